#include "farfault/c/memory.h"

#include <fmt/format.h>

#include <utility>

#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/regions.h"
#include "lib/c_api/structs.h"

using farfault::Guarded;
using farfault::NotNull;

namespace {

farfault_placement PlacementDefaults() {
  const farfault::OwnedRegion::Placement defaults;
  return {.struct_size = sizeof(farfault_placement),
          .page_size = defaults.page_size,
          .fixed_address = defaults.fixed_address,
          .transparent_huge_pages = defaults.transparent_huge_pages,
          .reserved = {}};
}

absl::Status Give(absl::StatusOr<farfault::OwnedRegion> made, farfault_owned_region** owned) {
  if (!made.ok()) return made.status();
  *owned = new farfault_owned_region{*std::move(made)};
  return absl::OkStatus();
}

}  // namespace

void farfault_region_init(farfault_region* region, size_t struct_size) {
  farfault_region defaults = farfault::RegionForC({});
  defaults.name = nullptr;
  farfault::WriteDefaults(defaults, region, struct_size);
}

void farfault_placement_init(farfault_placement* placement, size_t struct_size) {
  farfault::WriteDefaults(PlacementDefaults(), placement, struct_size);
}

enum farfault_status farfault_memory_create(const farfault_region* regions, size_t count, farfault_memory** memory) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(memory, "memory"); !set.ok()) return set;
    auto copies = farfault::RegionsFromC(regions, count, farfault::RegionFromC);
    if (!copies.ok()) return copies.status();
    auto made = farfault::GuestMemory::Create(*std::move(copies));
    if (!made.ok()) return made.status();
    *memory = new farfault_memory{*std::move(made)};
    return absl::OkStatus();
  });
}

void farfault_memory_destroy(farfault_memory* memory) { delete memory; }

size_t farfault_memory_region_count(const farfault_memory* memory) { return memory->memory.regions().size(); }
uint64_t farfault_memory_total_bytes(const farfault_memory* memory) { return memory->memory.total_bytes(); }
uint64_t farfault_memory_total_pages(const farfault_memory* memory) { return memory->memory.total_pages(); }

enum farfault_status farfault_memory_region(const farfault_memory* memory, size_t index, farfault_region* region,
                                            farfault_page_run* pages) {
  return Guarded([&]() -> absl::Status {
    const auto regions = memory->memory.regions();
    if (index >= regions.size()) {
      return absl::OutOfRangeError(fmt::format("there is no region {}; there are {}", index, regions.size()));
    }
    if (region != nullptr) {
      if (absl::Status checked = farfault::CheckSize(region, "region"); !checked.ok()) return checked;
      farfault::WriteStruct(farfault::RegionForC(regions[index]), region);
    }
    const farfault::PageRun run = memory->memory.pages_of(index);
    if (pages != nullptr) *pages = {run.first, run.count};
    return absl::OkStatus();
  });
}

enum farfault_status farfault_memory_page_at(const farfault_memory* memory, const void* address, uint64_t* page) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(page, "page"); !set.ok()) return set;
    const auto found = memory->memory.PageAt(address);
    if (found.ok()) *page = *found;
    return found.status();
  });
}

enum farfault_status farfault_owned_region_create_shared(const char* name, uint64_t length,
                                                         const farfault_placement* placement,
                                                         farfault_owned_region** owned) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(name, "name", owned, "owned"); !set.ok()) return set;
    const auto where = farfault::PlacementFromC(placement);
    if (!where.ok()) return where.status();
    return Give(farfault::OwnedRegion::CreateShared(name, length, *where), owned);
  });
}

enum farfault_status farfault_owned_region_create_anonymous(const char* name, uint64_t length,
                                                            const farfault_placement* placement,
                                                            farfault_owned_region** owned) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(name, "name", owned, "owned"); !set.ok()) return set;
    const auto where = farfault::PlacementFromC(placement);
    if (!where.ok()) return where.status();
    return Give(farfault::OwnedRegion::CreateAnonymous(name, length, *where), owned);
  });
}

enum farfault_status farfault_owned_region_open_file(const char* path, farfault_owned_region** owned) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(path, "path", owned, "owned"); !set.ok()) return set;
    return Give(farfault::OwnedRegion::OpenFile(path), owned);
  });
}

enum farfault_status farfault_owned_region_get(const farfault_owned_region* owned, farfault_region* region) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status checked = farfault::CheckSize(region, "region"); !checked.ok()) return checked;
    farfault::WriteStruct(farfault::RegionForC(owned->owned.region()), region);
    return absl::OkStatus();
  });
}

void farfault_owned_region_destroy(farfault_owned_region* owned) { delete owned; }
