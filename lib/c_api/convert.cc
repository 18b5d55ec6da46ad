#include "lib/c_api/convert.h"

#include <fmt/format.h>

#include "lib/c_api/status.h"
#include "lib/c_api/structs.h"

namespace farfault {

std::int64_t NanosecondsOf(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

std::vector<farfault_page_run> RunsForC(std::span<const PageRun> runs) {
  std::vector<farfault_page_run> copies;
  copies.reserve(runs.size());
  for (const PageRun& run : runs) copies.push_back({run.first, run.count});
  return copies;
}

absl::StatusOr<std::vector<PageRun>> RunsFromC(const farfault_page_run* runs, std::size_t count, const char* name) {
  std::vector<PageRun> copies;
  if (count == 0) return copies;
  if (absl::Status set = NotNull(runs, name); !set.ok()) return set;
  copies.reserve(count);
  for (std::size_t i = 0; i < count; ++i) copies.push_back({runs[i].first, runs[i].count});
  return copies;
}

absl::StatusOr<DirtyBitmap> BitmapFromC(const farfault_dirty_bitmap* bitmap) {
  if (absl::Status set = NotNull(bitmap, "bitmap"); !set.ok()) return set;
  DirtyBitmap copy{.region = bitmap->region, .offset = bitmap->offset, .pages = bitmap->pages, .words = {}};
  if (copy.pages == 0) return copy;
  if (absl::Status set = NotNull(bitmap->words, "bitmap->words"); !set.ok()) return set;
  copy.words = {bitmap->words, (copy.pages - 1) / 64 + 1};
  return copy;
}

absl::StatusOr<Region> RegionFromC(const farfault_region* region) {
  farfault_region known = RegionForC({});
  if (absl::Status read = ReadStruct(region, "region", &known); !read.ok()) return read;
  return Region{.name = TextOf(known.name),
                .base = static_cast<std::byte*>(known.base),
                .length = known.length,
                .page_size = known.page_size,
                .fd = known.fd,
                .file_offset = known.file_offset};
}

farfault_region RegionForC(const Region& region) {
  return {.struct_size = sizeof(farfault_region),
          .name = region.name.c_str(),
          .base = region.base,
          .length = region.length,
          .page_size = region.page_size,
          .file_offset = region.file_offset,
          .fd = region.fd,
          .reserved = 0};
}

absl::StatusOr<OwnedRegion::Placement> PlacementFromC(const farfault_placement* placement) {
  if (placement == nullptr) return OwnedRegion::Placement{};
  farfault_placement known;
  farfault_placement_init(&known, sizeof(known));
  if (absl::Status read = ReadStruct(placement, "placement", &known); !read.ok()) return read;
  return OwnedRegion::Placement{.page_size = known.page_size,
                                .fixed_address = known.fixed_address,
                                .transparent_huge_pages = known.transparent_huge_pages};
}

EventListener ListenerFromC(const farfault_event_listener& listener) {
  if (listener.on_event == nullptr) return {};
  return [listener](const Event& event) {
    const farfault_event for_c{.struct_size = sizeof(farfault_event),
                               .kind = static_cast<enum farfault_event_kind>(event.kind),
                               .reserved = 0,
                               .done = event.done,
                               .total = event.total,
                               .text = event.text.c_str()};
    listener.on_event(listener.user_data, &for_c);
  };
}

}  // namespace farfault
