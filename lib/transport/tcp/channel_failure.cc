#include "lib/transport/tcp/channel_failure.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <utility>

#include "lib/transport/tcp/memory_table.h"

namespace farfault {
namespace {

absl::StatusCode CodeOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kBadKey:
    case Refusal::kNoAccess:
      return absl::StatusCode::kPermissionDenied;
    case Refusal::kOutOfBounds:
    case Refusal::kTooLong:
      return absl::StatusCode::kOutOfRange;
    case Refusal::kMalformed:
      return absl::StatusCode::kDataLoss;
  }
  return absl::StatusCode::kUnknown;
}

}  // namespace

bool ChannelFailure::Record(absl::StatusCode code, std::string_view what) {
  if (!status_.ok()) return false;
  status_ = absl::Status(code, fmt::format("{}: {}", who_, what));
  return true;
}

void ChannelFailure::Break(absl::StatusCode code, std::string_view what, std::uint64_t request) {
  {
    const MutexLock lock(&mutex_);
    if (Record(code, what)) failed_request_.store(request, std::memory_order_release);
    broken_.store(true, std::memory_order_seq_cst);
  }
  // Fails only when the peer has gone already, and then everybody is awake.
  static_cast<void>(shutdown(socket_, SHUT_RDWR));
}

void ChannelFailure::Refuse(Notice notice) {
  {
    const MutexLock lock(&mutex_);
    if (!Record(CodeOf(notice.refusal), fmt::format("refused the peer's {}", notice.text))) return;
    notice_ = std::move(notice);
    has_notice_.store(true, std::memory_order_release);
    broken_.store(true, std::memory_order_seq_cst);
  }
  static_cast<void>(shutdown(socket_, SHUT_RD));
}

void ChannelFailure::RefusedByPeer(Refusal refusal, std::uint64_t request, std::string_view text) {
  Break(CodeOf(refusal), fmt::format("the peer refused this side's {}", text), request);
}

absl::Status ChannelFailure::status() const {
  const MutexLock lock(&mutex_);
  return status_;
}

}  // namespace farfault
