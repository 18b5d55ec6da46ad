#include "lib/cli/demo/role_support.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/cli/peer_advice.h"
#include "lib/util/status_text.h"

namespace farfault {

absl::StatusOr<OwnedRegion> AllocateGuest(const GuestPlan& plan) {
  const OwnedRegion::Placement placement{.page_size = plan.page_size};
  return plan.anonymous ? OwnedRegion::CreateAnonymous("guest", plan.bytes, placement)
                        : OwnedRegion::CreateShared("guest", plan.bytes, placement);
}

std::vector<Program::Shard> ShardsOf(const GuestPlan& plan, const OwnedRegion& memory, const Judge& judge,
                                     Judge::Side side) {
  std::vector<Program::Shard> shards;
  for (const std::span<std::byte> bytes : DivideIntoShards(memory.bytes(), plan.threads, plan.page_size)) {
    const std::size_t i = shards.size();
    shards.push_back({bytes, judge.ledger(i), judge.timeline(side, i)});
  }
  return shards;
}

EventListener ForwardEvents(RoleLink& link) {
  return [&link](const Event& event) {
    const auto progress = [&](std::string_view step) {
      // A coordinator that is gone takes this process with it; nothing to do about a failed send.
      link.Send("progress", {{"step", step}, {"done", event.done}, {"total", event.total}}).IgnoreError();
    };
    switch (event.kind) {
      case EventKind::kListening:
        link.Send("listening", {{"address", event.text}}).IgnoreError();
        break;
      case EventKind::kConnected:
        if (!event.text.empty()) link.Send("connected", {{"path", event.text}}).IgnoreError();
        break;
      case EventKind::kPreparing:
        progress("preparing the destination");
        break;
      case EventKind::kPrePaging:
        progress("pre-paging");
        break;
      case EventKind::kMoving:
        progress("moving");
        break;
      case EventKind::kHint:
        link.Send("hint", {{"text", event.text}}).IgnoreError();
        break;
      default:
        break;
    }
  };
}

std::function<void(std::uint64_t)> ForwardProgress(RoleLink& link, std::string step, std::uint64_t total) {
  return [&link, step = std::move(step), total, next = std::int64_t{0}](std::uint64_t done) mutable {
    const std::int64_t now = MonotonicNanos();
    if (now < next) return;
    next = now + 100'000'000;
    link.Send("progress", {{"step", step}, {"done", done}, {"total", total}}).IgnoreError();
  };
}

void FailRole(RoleLink& link, const absl::Status& status) {
  link.Send("error", {{"text", std::string(StatusText(status))}}).IgnoreError();
  _exit(1);
}

absl::Status While(std::string_view doing, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", doing, std::string(StatusText(status))));
}

std::string BothComplaints(std::string_view first, std::string_view second) {
  constexpr std::string_view kHearsay = "the peer says: ";
  const auto repeats = [&](std::string_view one, std::string_view other) {
    const std::size_t at = one.find(kHearsay);
    return at != std::string_view::npos && other.find(one.substr(at + kHearsay.size())) != std::string_view::npos;
  };
  if (repeats(second, first)) return std::string(first);
  if (repeats(first, second)) return std::string(second);
  return fmt::format("{} ({})", first, second);
}

absl::Status WhileConnecting(const absl::Status& status) {
  return While("connecting", AdviseInstead(status, "see that one host reaches the other there: address, firewall"));
}

}  // namespace farfault
