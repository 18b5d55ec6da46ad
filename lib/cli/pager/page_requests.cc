#include "lib/cli/pager/page_requests.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "farfault/guest_memory.h"
#include "lib/cli/pager/unix_socket.h"
#include "lib/util/deadline.h"

namespace farfault::cloud_hypervisor {
namespace {

absl::Status Answer(int socket, Status status) {
  const Response response{.status = status};
  return SendAll(socket, {reinterpret_cast<const char*>(&response), sizeof(response)});
}

}  // namespace

void PageRequests::Serve(UniqueFd connection) {
  connection_ = std::move(connection);
  thread_ = std::thread([this] { Run(); });
}

absl::Status PageRequests::end() const {
  const MutexLock lock(&mutex_);
  return end_;
}

bool PageRequests::HangUp(absl::Duration patience) {
  if (!thread_.joinable()) return true;
  shutdown(connection_.get(), SHUT_RDWR);
  const Deadline deadline = Deadline::After(patience);
  while (!ended_ && !deadline.Passed()) absl::SleepFor(absl::Milliseconds(5));
  if (!ended_) return false;
  thread_.join();
  return true;
}

void PageRequests::Run() {
  bool goodbye = false;
  absl::Status status;
  while (status.ok() && !goodbye) status = AnswerOne(&goodbye);
  {
    const MutexLock lock(&mutex_);
    end_ = status.ok() ? absl::AbortedError("Cloud Hypervisor has abandoned the migration") : status;
  }
  ended_ = true;
}

absl::Status PageRequests::AnswerOne(bool* goodbye) {
  Request request;
  if (!ReceiveAll(connection_.get(), &request, sizeof(request)).ok()) {
    return absl::AbortedError("Cloud Hypervisor has hung up");
  }
  if (request.command == Command::kAbandon) {
    *goodbye = true;
    return Answer(connection_.get(), Status::kOk);
  }
  if (request.command != Command::kPageFault || request.length != sizeof(MemoryRange)) {
    Answer(connection_.get(), Status::kError).IgnoreError();
    return absl::DataLossError(fmt::format("Cloud Hypervisor asks for something else than a page: command {}, {} bytes",
                                           static_cast<int>(request.command), request.length));
  }
  MemoryRange range;
  if (absl::Status received = ReceiveAll(connection_.get(), &range, sizeof(range)); !received.ok()) return received;
  if (absl::Status touched = Touch(range); !touched.ok()) {
    Answer(connection_.get(), Status::kError).IgnoreError();
    return touched;
  }
  ++answered_;
  return Answer(connection_.get(), Status::kOk);
}

absl::Status PageRequests::Touch(const MemoryRange& range) const {
  const auto slot = std::find_if(slots_.begin(), slots_.end(), [&range](const Slot& candidate) {
    return range.gpa >= candidate.gpa && range.gpa - candidate.gpa < candidate.size &&
           range.length <= candidate.size - (range.gpa - candidate.gpa);
  });
  if (slot == slots_.end() || range.length == 0) {
    return absl::DataLossError(
        fmt::format("Cloud Hypervisor asks for {} bytes at guest address {:#x}, where it has no "
                    "memory",
                    range.length, range.gpa));
  }
  const std::uint64_t begin = slot->file_offset + (range.gpa - slot->gpa);
  const volatile std::byte* const bytes = memory_.data();
  for (std::uint64_t at = begin / kSmallPage * kSmallPage; at < begin + range.length; at += kSmallPage) {
    static_cast<void>(bytes[at]);
  }
  return absl::OkStatus();
}

}  // namespace farfault::cloud_hypervisor
