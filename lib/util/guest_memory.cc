#include "farfault/guest_memory.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "lib/util/unique_fd.h"
#include "lib/util/whole_pages.h"

namespace farfault {
namespace {

absl::Status CheckRegion(const Region& region, std::size_t index) {
  if (region.name.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("region {} has no name; give it one, the same at source and destination", index));
  }
  if (region.name.size() > kMaxRegionName) {
    return absl::InvalidArgumentError(
        fmt::format("the name of region {} has {} bytes; {} are allowed: give it a shorter one", index,
                    region.name.size(), kMaxRegionName));
  }
  const auto invalid = [&region](const std::string& what) {
    return absl::InvalidArgumentError(fmt::format("region '{}': {}", region.name, what));
  };
  if (region.page_size != kSmallPage && region.page_size != kHugePage) {
    return invalid(
        fmt::format("a page size of {} is not supported; use {} or {}", region.page_size, kSmallPage, kHugePage));
  }
  const auto base = reinterpret_cast<std::uint64_t>(region.base);
  if (base == 0) return invalid("its base is null; map its memory first, with mmap() or an OwnedRegion");
  if (base % region.page_size != 0) {
    return invalid(fmt::format(
        "its base {:#x} is not a multiple of its page size {}; align it, as mmap() does for memory of such pages", base,
        region.page_size));
  }
  if (region.length > UINT64_MAX - base) {
    return invalid(fmt::format("its length {} reaches beyond the address space; give it the length that is mapped",
                               region.length));
  }
  if (region.length == 0 || region.length % region.page_size != 0) {
    return invalid(fmt::format("its length {} is not a multiple of its page size {} or is 0; round the length up to {}",
                               region.length, region.page_size, RoundUpToPages(region.length, region.page_size)));
  }
  if (region.fd < -1) return invalid(fmt::format("{} is not a file descriptor; -1 means anonymous memory", region.fd));
  if (region.file_offset % region.page_size != 0) {
    return invalid(fmt::format(
        "its file offset {} is not a multiple of its page size {}; begin at the page before, and map the region there",
        region.file_offset, region.page_size));
  }
  if (region.fd == -1 && region.file_offset != 0) {
    return invalid(
        fmt::format("it has a file offset {}, but no file; set fd to the file that is mapped, or the offset to 0",
                    region.file_offset));
  }
  return absl::OkStatus();
}

absl::Status CheckNames(const std::vector<Region>& regions) {
  std::vector<std::string_view> names;
  for (const Region& region : regions) names.push_back(region.name);
  std::sort(names.begin(), names.end());
  const auto repeated = std::adjacent_find(names.begin(), names.end());
  if (repeated == names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("two regions are called '{}'; give each a name of its own", *repeated));
}

absl::Status CheckOverlap(const std::vector<Region>& regions, const std::vector<std::vector<GuestMapping>>& mappings) {
  struct Placed {
    GuestMapping mapping;
    const Region* region;
  };
  std::vector<Placed> sorted;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    for (const GuestMapping& mapping : mappings[i]) sorted.push_back({mapping, &regions[i]});
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const Placed& a, const Placed& b) { return a.mapping.address < b.mapping.address; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const Placed& before = sorted[i - 1];
    const Placed& after = sorted[i];
    if (before.mapping.length <= after.mapping.address - before.mapping.address) continue;
    return absl::InvalidArgumentError(
        fmt::format("regions '{}' and '{}' overlap at address {:#x}; give each region addresses of its own",
                    before.region->name, after.region->name, after.mapping.address));
  }
  return absl::OkStatus();
}

absl::Status CheckExternalMappings(const ExternalRegion& region) {
  const auto invalid = [&region](const std::string& what) {
    return absl::InvalidArgumentError(fmt::format("region '{}': {}", region.name, what));
  };
  if (region.mappings.empty()) return invalid("it is mapped nowhere; say where the guest has mapped it");
  for (const GuestMapping& mapping : region.mappings) {
    const std::uint64_t page_size = region.page_size == 0 ? kSmallPage : region.page_size;
    if (mapping.address == 0 || mapping.address % page_size != 0 || mapping.length == 0 ||
        mapping.length % page_size != 0) {
      return invalid(
          fmt::format("its mapping of {} bytes at {:#x} does not consist of whole pages of {} bytes; give it as the "
                      "guest has mapped it, and the page size of that memory",
                      mapping.length, mapping.address, page_size));
    }
    if (mapping.length > UINT64_MAX - mapping.address) {
      return invalid(
          fmt::format("its mapping of {} bytes at {:#x} reaches beyond the address space; give it as the guest has "
                      "mapped it",
                      mapping.length, mapping.address));
    }
  }
  return absl::OkStatus();
}

// Saturating: what adds up to more than there is fails the checks that follow.
std::uint64_t TotalLength(std::span<const GuestMapping> mappings) {
  std::uint64_t total = 0;
  for (const GuestMapping& mapping : mappings) total += std::min(mapping.length, UINT64_MAX - total);
  return total;
}

}  // namespace

absl::StatusOr<GuestMemory> GuestMemory::Create(std::vector<Region> regions) {
  std::vector<std::vector<GuestMapping>> mappings;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    if (absl::Status status = CheckRegion(regions[i], i); !status.ok()) return status;
    mappings.push_back({{reinterpret_cast<std::uint64_t>(regions[i].base), regions[i].length}});
  }
  return CreateChecked(std::move(regions), std::move(mappings));
}

absl::StatusOr<GuestMemory> GuestMemory::CreateExternal(std::vector<ExternalRegion> external_regions,
                                                        const ExternalGuest& guest) {
  const auto not_a_userfaultfd = [&guest](std::string_view why) {
    return absl::InvalidArgumentError(
        fmt::format("{} is not a userfaultfd of the guest's process{}: external memory needs one; open it in that "
                    "process, and send it here",
                    guest.userfaultfd, why));
  };
  if (guest.userfaultfd < 0) return not_a_userfaultfd("");
  std::vector<Region> regions;
  std::vector<std::vector<GuestMapping>> mappings;
  for (ExternalRegion& external : external_regions) {
    if (absl::Status status = CheckExternalMappings(external); !status.ok()) return status;
    regions.push_back({.name = std::move(external.name),
                       .base = reinterpret_cast<std::byte*>(external.mappings.front().address),
                       .length = TotalLength(external.mappings),
                       .page_size = external.page_size,
                       .fd = external.fd,
                       .file_offset = external.file_offset});
    mappings.push_back(std::move(external.mappings));
    if (absl::Status status = CheckRegion(regions.back(), regions.size() - 1); !status.ok()) return status;
  }
  auto memory = CreateChecked(std::move(regions), std::move(mappings));
  if (!memory.ok()) return memory;
  // Whoever makes a session of it later must not find another file under this number.
  auto owner = std::make_shared<UniqueFd>(fcntl(guest.userfaultfd, F_DUPFD_CLOEXEC, 0));
  if (!owner->valid() && errno != EBADF) {
    return absl::ResourceExhaustedError(
        fmt::format("the guest's userfaultfd cannot be duplicated: {}; see ulimit -n", std::strerror(errno)));
  }
  if (!owner->valid()) return not_a_userfaultfd(", and not open");
  memory->external_ = guest;
  memory->external_->userfaultfd = owner->get();
  memory->userfaultfd_ = std::move(owner);
  return memory;
}

absl::StatusOr<GuestMemory> GuestMemory::CreateChecked(std::vector<Region> regions,
                                                       std::vector<std::vector<GuestMapping>> mappings) {
  if (regions.empty()) return absl::InvalidArgumentError("the guest memory has no regions; give it at least one");
  if (regions.size() > kMaxRegions) {
    return absl::InvalidArgumentError(fmt::format(
        "the guest memory has {} regions; {} are allowed: map neighbours as one", regions.size(), kMaxRegions));
  }
  GuestMemory memory;
  for (const Region& region : regions) {
    const std::uint64_t pages = region.length / region.page_size;
    memory.runs_.push_back({memory.total_pages_, pages});
    memory.total_pages_ += pages;
    memory.total_bytes_ += region.length;
  }
  if (absl::Status status = CheckNames(regions); !status.ok()) return status;
  if (absl::Status status = CheckOverlap(regions, mappings); !status.ok()) return status;
  memory.regions_ = std::move(regions);
  memory.mappings_ = std::move(mappings);
  return memory;
}

absl::StatusOr<PageIndex> GuestMemory::PageAt(const void* address) const {
  const auto wanted = reinterpret_cast<std::uint64_t>(address);
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    std::uint64_t offset = 0;
    for (const GuestMapping& mapping : mappings_[i]) {
      if (wanted >= mapping.address && wanted - mapping.address < mapping.length) {
        return runs_[i].first + (offset + wanted - mapping.address) / regions_[i].page_size;
      }
      offset += mapping.length;
    }
  }
  return absl::NotFoundError(fmt::format("address {:#x} is in no region of the guest memory", wanted));
}

}  // namespace farfault
