#include "lib/prepage/access_history.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "lib/prepage/region_pages.h"

namespace farfault {
namespace {

constexpr std::uint64_t kDropSlice = 256u << 20;

// Dropping the entries of a private mapping would lose what was written to it.
absl::Status CheckMappedShared(const RegionPages& region) {
  const auto [begin, end] = region.Addresses();
  std::ifstream maps("/proc/self/maps");
  std::uint64_t covered = begin;
  for (std::string line; covered < end && std::getline(maps, line);) {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    char shared = '\0';
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*3c%c", &from, &to, &shared) != 3) continue;
    if (from <= covered && covered < to && shared == 's') covered = to;
  }
  if (covered >= end) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "it has a file, but at {:#x} it is not mapped with MAP_SHARED; give it fd = -1, or map it shared", covered));
}

}  // namespace

AccessHistory::AccessHistory(const GuestMemory& memory, Pagemap pagemap, bool blind)
    : memory_(memory), pagemap_(std::move(pagemap)), blind_(blind), heat_(memory.total_pages()) {}

absl::StatusOr<std::unique_ptr<AccessHistory>> AccessHistory::Create(const GuestMemory& memory) {
  absl::StatusOr<Pagemap> pagemap = Pagemap::OpenSelf();
  if (!pagemap.ok()) return pagemap.status();
  std::unique_ptr<AccessHistory> history(new AccessHistory(memory, *std::move(pagemap), false));
  for (std::size_t i = 0; i < memory.regions().size(); ++i) {
    const RegionPages region(memory, i);
    if (!history->Watches(region.region())) continue;
    if (absl::Status status = CheckMappedShared(region); !status.ok()) return region.Annotate(status);
  }
  return history;
}

absl::StatusOr<std::unique_ptr<AccessHistory>> AccessHistory::CreateBlind(const GuestMemory& memory) {
  absl::StatusOr<Pagemap> pagemap = Pagemap::OpenSelf();
  if (!pagemap.ok()) return pagemap.status();
  return std::unique_ptr<AccessHistory>(new AccessHistory(memory, *std::move(pagemap), true));
}

bool AccessHistory::watches_any() const {
  return std::any_of(memory_.regions().begin(), memory_.regions().end(),
                     [this](const Region& region) { return Watches(region); });
}

absl::Status AccessHistory::BeginRound() {
  for (const Region& region : memory_.regions()) {
    if (!Watches(region)) continue;
    for (std::uint64_t at = 0; at < region.length; at += kDropSlice) {
      const std::uint64_t length = std::min(kDropSlice, region.length - at);
      if (madvise(region.base + at, length, MADV_DONTNEED) == 0) continue;
      const int error = errno;
      const std::string what = fmt::format("region '{}': cannot watch what the guest touches", region.name);
      if (error == EINVAL) {
        return absl::FailedPreconditionError(what + ": its memory is locked (mlock); set track_history = false");
      }
      return absl::ErrnoToStatus(error, what);
    }
  }
  return absl::OkStatus();
}

absl::Status AccessHistory::EndRound() {
  for (std::size_t i = 0; i < memory_.regions().size(); ++i) {
    const RegionPages region(memory_, i);
    if (!Watches(region.region())) continue;
    const absl::Status status = pagemap_.Scan(region.Addresses(), {.all_of = Pagemap::kPresent},
                                              [&](Pagemap::AddressRange range) { heat_.Count(region.Pages(range)); });
    if (!status.ok()) return region.Annotate(status);
  }
  ++rounds_;
  return absl::OkStatus();
}

void AccessHistory::NoteTouched(std::span<const PageRun> runs) {
  for (const PageRun& run : runs) heat_.Count(run);
}

}  // namespace farfault
