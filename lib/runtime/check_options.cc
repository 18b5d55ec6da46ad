#include "lib/runtime/check_options.h"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "lib/page/page_layout.h"
#include "lib/session/wire.h"

namespace farfault {
namespace {

constexpr std::uint64_t kMinWindow = 64u << 10;
constexpr std::uint64_t kMaxWindow = 256u << 20;
constexpr std::size_t kMaxKey = 4096;

absl::Status InRange(std::string_view name, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{} is {}; it must be {} to {}", name, value, least, most));
}

absl::Status Positive(std::string_view name, absl::Duration value) {
  if (value > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} is {}; it must be more than zero", name, absl::FormatDuration(value)));
}

absl::Status NotNegative(std::string_view name, absl::Duration value) {
  if (value >= absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} is {}; it must not be negative", name, absl::FormatDuration(value)));
}

// The first that is not OK.
template <typename... Statuses>
absl::Status AllOf(const Statuses&... statuses) {
  absl::Status first;
  (first.Update(statuses), ...);
  return first;
}

absl::Status CheckMemory(const GuestMemory& memory) {
  if (!memory.regions().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("the guest memory has no region; make it with GuestMemory::Create");
}

std::uint64_t LargestPage(const GuestMemory& memory) {
  std::uint64_t largest = kSmallPage;
  for (const Region& region : memory.regions()) largest = std::max(largest, region.page_size);
  return largest;
}

}  // namespace

absl::Status CheckOptions(const SessionOptions& options) {
  if (options.connect.empty() == options.listen.empty()) {
    return absl::InvalidArgumentError(
        "set exactly one of connect and listen, to an address such as tcp://192.0.2.7:7000");
  }
  return AllOf(InRange("pre_shared_key (bytes)", options.pre_shared_key.size(), 0, kMaxKey),
               InRange("push_channels", options.push_channels, 1, kMaxPushChannels),
               InRange("demand_channels", options.demand_channels, 1, kMaxPushChannels),
               Positive("peer_timeout", options.peer_timeout), Positive("handshake_timeout", options.handshake_timeout),
               Positive("prepare_timeout", options.prepare_timeout));
}

absl::Status CheckOptions(const SourceOptions& options, const GuestMemory& memory) {
  const PushOptions& push = options.push;
  return AllOf(CheckOptions(static_cast<const SessionOptions&>(options)), CheckMemory(memory),
               InRange("push.window_bytes", push.window_bytes, kMinWindow, kMaxWindow),
               InRange("push.batch_bytes", push.batch_bytes, kSmallPage, kMaxWindow),
               NotNegative("spin", options.spin));
}

absl::Status CheckOptions(const DestinationOptions& options, const GuestMemory& memory) {
  return AllOf(CheckOptions(static_cast<const SessionOptions&>(options)), CheckMemory(memory),
               InRange("max_outstanding_faults", options.max_outstanding_faults, 1, 1024),
               InRange("map_around_pages", options.map_around_pages, 1, 512),
               InRange("prepare_threads", options.prepare_threads, 0, 64),
               InRange("staging_bytes", options.staging_bytes, std::max<std::uint64_t>(kMinWindow, LargestPage(memory)),
                       std::uint64_t{1} << 32),
               NotNegative("spin", options.spin));
}

absl::Status CheckBudget(const PrePageBudget& budget, const GuestMemory& memory) {
  if (budget.bytes == 0 && budget.time == absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the pre-page budget has no limit; set its bytes, its time, or both");
  }
  const PageLayout layout(memory);
  for (const PageRun& run : budget.critical) {
    if (run.count == 0 || !layout.Contains(run)) {
      return absl::InvalidArgumentError(
          fmt::format("the critical range of {} pages from page {} is not in the memory, "
                      "which has {} pages",
                      run.count, run.first, layout.total_pages()));
    }
  }
  return AllOf(NotNegative("budget.time", budget.time), NotNegative("budget.observe", budget.observe));
}

}  // namespace farfault
