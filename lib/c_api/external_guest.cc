#include "farfault/external_guest.h"

#include <fmt/format.h>

#include <utility>

#include "farfault/c/external_guest.h"
#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/regions.h"

namespace farfault {
namespace {

farfault_external_region RegionDefaults() {
  const ExternalRegion defaults;
  return {.struct_size = sizeof(farfault_external_region),
          .name = nullptr,
          .page_size = defaults.page_size,
          .mappings = nullptr,
          .mapping_count = 0,
          .file_offset = defaults.file_offset,
          .fd = defaults.fd,
          .reserved = 0};
}

}  // namespace

absl::StatusOr<ExternalRegion> ExternalRegionFromC(const farfault_external_region* region) {
  farfault_external_region known = RegionDefaults();
  if (absl::Status read = ReadStruct(region, "region", &known); !read.ok()) return read;
  if (known.mapping_count > 0) {
    if (absl::Status set = NotNull(known.mappings, "region: mappings"); !set.ok()) return set;
  }
  ExternalRegion made{.name = TextOf(known.name),
                      .page_size = known.page_size,
                      .mappings = {},
                      .fd = known.fd,
                      .file_offset = known.file_offset};
  made.mappings.reserve(known.mapping_count);
  for (std::size_t i = 0; i < known.mapping_count; ++i) {
    made.mappings.push_back({.address = known.mappings[i].address, .length = known.mappings[i].length});
  }
  return made;
}

absl::StatusOr<ExternalGuest> ExternalGuestFromC(const farfault_external_guest* guest) {
  farfault_external_guest known = ExternalGuestForC({});
  if (absl::Status read = ReadStruct(guest, "guest", &known); !read.ok()) return read;
  return ExternalGuest{.userfaultfd = known.userfaultfd,
                       .features = known.features,
                       .registered = known.registered,
                       .running = known.running,
                       .taken_over = known.taken_over,
                       .pid = known.pid};
}

farfault_external_guest ExternalGuestForC(const ExternalGuest& guest) {
  return {.struct_size = sizeof(farfault_external_guest),
          .features = guest.features,
          .userfaultfd = guest.userfaultfd,
          .pid = guest.pid,
          .registered = guest.registered,
          .running = guest.running,
          .taken_over = guest.taken_over,
          .reserved = {}};
}

}  // namespace farfault

using farfault::Guarded;
using farfault::NotNull;

void farfault_external_guest_init(farfault_external_guest* guest, size_t struct_size) {
  farfault::WriteDefaults(farfault::ExternalGuestForC({}), guest, struct_size);
}

void farfault_external_region_init(farfault_external_region* region, size_t struct_size) {
  farfault::WriteDefaults(farfault::RegionDefaults(), region, struct_size);
}

enum farfault_status farfault_memory_create_external(const farfault_external_region* regions, size_t count,
                                                     const farfault_external_guest* guest, farfault_memory** memory) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(memory, "memory"); !set.ok()) return set;
    const auto process = farfault::ExternalGuestFromC(guest);
    if (!process.ok()) return process.status();
    auto copies = farfault::RegionsFromC(regions, count, farfault::ExternalRegionFromC);
    if (!copies.ok()) return copies.status();
    auto made = farfault::GuestMemory::CreateExternal(*std::move(copies), *process);
    if (!made.ok()) return made.status();
    *memory = new farfault_memory{*std::move(made)};
    return absl::OkStatus();
  });
}

enum farfault_status farfault_memory_external_guest(const farfault_memory* memory, farfault_external_guest* guest) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status checked = farfault::CheckSize(guest, "guest"); !checked.ok()) return checked;
    const farfault::ExternalGuest* const external = memory->memory.external();
    if (external == nullptr) return absl::NotFoundError("the memory is mapped in this process");
    farfault::WriteStruct(farfault::ExternalGuestForC(*external), guest);
    return absl::OkStatus();
  });
}

size_t farfault_memory_mapping_count(const farfault_memory* memory, size_t region) {
  if (region >= memory->memory.regions().size()) return 0;
  return memory->memory.mappings_of(region).size();
}

enum farfault_status farfault_memory_mapping(const farfault_memory* memory, size_t region, size_t index,
                                             farfault_guest_mapping* mapping) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(mapping, "mapping"); !set.ok()) return set;
    const size_t count = farfault_memory_mapping_count(memory, region);
    if (index >= count) {
      return absl::OutOfRangeError(
          fmt::format("there is no mapping {} of region {}; there are {}", index, region, count));
    }
    const farfault::GuestMapping& found = memory->memory.mappings_of(region)[index];
    *mapping = {.address = found.address, .length = found.length};
    return absl::OkStatus();
  });
}
