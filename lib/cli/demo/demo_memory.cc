#include "lib/cli/demo/demo_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "farfault/guest_memory.h"
#include "lib/cli/terminal/units.h"
#include "lib/cli/workload/index_builder.h"
#include "lib/util/memory_budget.h"

namespace farfault {
namespace {

/// Two images, and for each ledgers, digests, journals and the tables of a session.
constexpr double kBytesPerByte = 2.15;
constexpr double kBytesPerByteOfOneSide = 1.2;
constexpr std::uint64_t kFixedBytes = 256 << 20;

absl::Status CheckHugePages(const GuestPlan& guest, std::uint64_t images) {
  const std::uint64_t needed = images * guest.bytes / kHugePage;
  const std::uint64_t free = FreeHugePages();
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("--hugetlb --size {} needs {} free huge pages of 2 MiB, since the demo keeps the memory {}; {} are "
                  "free. Provide them with: sysctl -w vm.nr_hugepages={}",
                  FormatBytes(guest.bytes), needed, images == 1 ? "here" : "twice", free, needed));
}

}  // namespace

absl::Status CheckDemoMemory(const DemoOptions& options, const GuestPlan& guest) {
  const bool two_hosts = !options.source_host.empty();
  const std::uint64_t smallest = guest.threads * std::max(kMinShardBytes, guest.page_size);
  if (guest.bytes < smallest) {
    return absl::InvalidArgumentError(fmt::format("--size {} is too small for {} thread(s): the smallest is {}",
                                                  FormatBytes(guest.bytes), guest.threads, FormatBytes(smallest)));
  }
  if (options.hugetlb) return CheckHugePages(guest, two_hosts ? 1 : 2);
  const std::uint64_t available = AvailableMemory().bytes;
  const double most = (static_cast<double>(available) - static_cast<double>(kFixedBytes)) /
                      (two_hosts ? kBytesPerByteOfOneSide : kBytesPerByte);
  if (static_cast<double>(guest.bytes) <= most) return absl::OkStatus();
  const auto fits = static_cast<std::uint64_t>(std::max(0.0, most)) >> 20;
  return absl::ResourceExhaustedError(
      fmt::format("--size {} does not fit: the demo keeps the memory {}, and {} are available here; the largest "
                  "that fits is --size {}M",
                  FormatBytes(guest.bytes), two_hosts ? "here" : "twice", FormatBytes(available), fits));
}

}  // namespace farfault
