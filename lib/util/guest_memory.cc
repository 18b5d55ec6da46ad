#include "farfault/guest_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace farfault {
namespace {

absl::Status CheckRegion(const Region& region, std::size_t index) {
  if (region.name.empty()) return absl::InvalidArgumentError(fmt::format("region {} has no name", index));
  if (region.name.size() > kMaxRegionName) {
    return absl::InvalidArgumentError(
        fmt::format("the name of region {} has {} bytes; {} are allowed", index, region.name.size(), kMaxRegionName));
  }
  const auto invalid = [&region](const std::string& what) {
    return absl::InvalidArgumentError(fmt::format("region '{}': {}", region.name, what));
  };
  if (region.page_size != kSmallPage && region.page_size != kHugePage) {
    return invalid(
        fmt::format("a page size of {} is not supported; use {} or {}", region.page_size, kSmallPage, kHugePage));
  }
  const auto base = reinterpret_cast<std::uint64_t>(region.base);
  if (base == 0 || base % region.page_size != 0) {
    return invalid(fmt::format("its base {:#x} is not a multiple of its page size {}", base, region.page_size));
  }
  if (region.length == 0 || region.length % region.page_size != 0) {
    return invalid(
        fmt::format("its length {} is not a multiple of its page size {} or is 0", region.length, region.page_size));
  }
  if (region.length > UINT64_MAX - base) {
    return invalid(fmt::format("its length {} reaches beyond the address space", region.length));
  }
  if (region.fd < -1) return invalid(fmt::format("{} is not a file descriptor; -1 means anonymous memory", region.fd));
  if (region.file_offset % region.page_size != 0) {
    return invalid(
        fmt::format("its file offset {} is not a multiple of its page size {}", region.file_offset, region.page_size));
  }
  if (region.fd == -1 && region.file_offset != 0) {
    return invalid(fmt::format("it has a file offset {}, but no file", region.file_offset));
  }
  return absl::OkStatus();
}

absl::Status CheckNames(const std::vector<Region>& regions) {
  std::vector<std::string_view> names;
  for (const Region& region : regions) names.push_back(region.name);
  std::sort(names.begin(), names.end());
  const auto repeated = std::adjacent_find(names.begin(), names.end());
  if (repeated == names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("two regions are called '{}'", *repeated));
}

absl::Status CheckOverlap(const std::vector<Region>& regions) {
  std::vector<const Region*> sorted;
  for (const Region& region : regions) sorted.push_back(&region);
  std::sort(sorted.begin(), sorted.end(), [](const Region* a, const Region* b) { return a->base < b->base; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const Region& before = *sorted[i - 1];
    const Region& after = *sorted[i];
    if (before.base + before.length <= after.base) continue;
    return absl::InvalidArgumentError(fmt::format("regions '{}' and '{}' overlap at address {}", before.name,
                                                  after.name, fmt::ptr(static_cast<const void*>(after.base))));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GuestMemory> GuestMemory::Create(std::vector<Region> regions) {
  if (regions.empty()) return absl::InvalidArgumentError("the guest memory has no regions");
  if (regions.size() > kMaxRegions) {
    return absl::InvalidArgumentError(
        fmt::format("the guest memory has {} regions; {} are allowed", regions.size(), kMaxRegions));
  }
  GuestMemory memory;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    if (absl::Status status = CheckRegion(regions[i], i); !status.ok()) return status;
    const std::uint64_t pages = regions[i].length / regions[i].page_size;
    memory.runs_.push_back({memory.total_pages_, pages});
    memory.total_pages_ += pages;
    memory.total_bytes_ += regions[i].length;
  }
  if (absl::Status status = CheckNames(regions); !status.ok()) return status;
  if (absl::Status status = CheckOverlap(regions); !status.ok()) return status;
  memory.regions_ = std::move(regions);
  return memory;
}

absl::StatusOr<PageIndex> GuestMemory::PageAt(const void* address) const {
  const auto wanted = reinterpret_cast<std::uint64_t>(address);
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const auto base = reinterpret_cast<std::uint64_t>(regions_[i].base);
    if (wanted < base || wanted - base >= regions_[i].length) continue;
    return runs_[i].first + (wanted - base) / regions_[i].page_size;
  }
  return absl::NotFoundError(fmt::format("address {:#x} is in no region of the guest memory", wanted));
}

}  // namespace farfault
