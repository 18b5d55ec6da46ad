#include "lib/fault/mapper.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace farfault {
namespace {

// Pages per background slice: bounds how long a fault can wait behind one.
constexpr std::uint64_t kSlicePages = 64;
// The same where mapping copies, which takes longer for large pages.
constexpr std::uint64_t kSliceBytes = 256u << 10;
// States that one slice looks through for landed pages, likewise: a few microseconds.
constexpr std::uint64_t kScanPages = 64u << 10;
// In a chunk's count: it stands in the ring of finished chunks.
constexpr std::uint16_t kQueued = 0x8000;
constexpr std::uint16_t kCount = kQueued - 1;

}  // namespace

Mapper::Mapper(const PageLayout& layout, PageTable& table, PagePlacement& placement, std::size_t map_around_pages)
    : layout_(layout),
      table_(table),
      placement_(placement),
      map_around_pages_(std::max<std::size_t>(1, map_around_pages)) {
  std::uint64_t chunks = 0;
  for (const PageLayout::RegionPages& region : layout.regions()) {
    const std::uint32_t pages = placement.chunk_pages(region.pages.first);
    assert(pages <= kCount);
    chunks_.push_back({pages, chunks});
    if (pages > 0) chunks += (region.pages.count + pages - 1) / pages;
  }
  arrived_.resize(chunks);
  finished_.resize(chunks);
}

void Mapper::OnArrived(PageIndex page) {
  const std::size_t region = layout_.RegionOf(page);
  if (chunks_[region].pages == 0) return;
  const std::uint64_t chunk = ChunkOf(region, page);
  if (++arrived_[chunk] != chunks_[region].pages) return;  // Not whole, or whole and in the ring.
  arrived_[chunk] |= kQueued;
  finished_[(finished_head_ + finished_count_++) % finished_.size()] = static_cast<std::uint32_t>(chunk);
}

void Mapper::OnForgotten(PageIndex page) {
  const std::size_t region = layout_.RegionOf(page);
  if (chunks_[region].pages > 0) --arrived_[ChunkOf(region, page)];
}

PageRun Mapper::PagesOfChunk(std::uint64_t chunk) const {
  std::size_t region = 0;
  while (region + 1 < chunks_.size() && (chunks_[region].pages == 0 || chunk >= chunks_[region + 1].first)) ++region;
  const PageIndex first =
      layout_.regions()[region].pages.first + (chunk - chunks_[region].first) * chunks_[region].pages;
  return {first, chunks_[region].pages};
}

bool Mapper::SetMapped(PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (table_.state(page) == PageState::kMapped) continue;
    if (!table_.Move(page, PageState::kMapped)) {
      status_ = MapStatus::kFailed;
      return false;
    }
  }
  return true;
}

MapStatus Mapper::MapRun(PageRun run) {
  const MapResult result = placement_.MapLanded(run);
  if (!SetMapped({run.first, result.pages_done})) return MapStatus::kFailed;
  if (result.status == MapStatus::kGuestGone || result.status == MapStatus::kFailed) status_ = result.status;
  return result.status;
}

// Of pages that begin with `first`, and that have landed.
std::uint64_t Mapper::MostPages(PageIndex first) const {
  if (placement_.direct(first)) return std::numeric_limits<std::uint64_t>::max();
  return std::max<std::uint64_t>(1, kSliceBytes / layout_.page_size(first));
}

MapStatus Mapper::MapAround(PageIndex page) {
  const PageRun region = layout_.regions()[layout_.RegionOf(page)].pages;
  const PageIndex window = region.first + (page - region.first) / map_around_pages_ * map_around_pages_;
  const PageIndex limit = std::min(window + map_around_pages_, region.end());
  PageIndex first = page;
  while (first > window && table_.state(first - 1) == PageState::kLanded) --first;
  PageIndex end = page + 1;
  while (end < limit && table_.state(end) == PageState::kLanded) ++end;
  if (const std::uint64_t most = MostPages(page); end - first > most) {
    first = page;
    end = std::min(end, page + most);
  }
  return MapRun({first, end - first});
}

bool Mapper::Collapse(PageRun chunk) {
  if (!placement_.TryCollapse(chunk)) {
    ++collapses_declined_;
    return false;
  }
  ++chunks_collapsed_;
  return SetMapped(chunk);
}

bool Mapper::MapSome(bool sweep) {
  if (finished_count_ > 0) {
    const std::uint64_t index = finished_[finished_head_];
    finished_head_ = (finished_head_ + 1) % finished_.size();
    --finished_count_;
    const PageRun chunk = PagesOfChunk(index);
    arrived_[index] &= kCount;
    // Pre-paged pages of it may have been forgotten since.
    if (arrived_[index] == chunk.count) Collapse(chunk);
    return true;
  }
  if (!sweep || table_.count(PageState::kLanded) == 0) return false;
  const PageIndex total = layout_.total_pages();
  const PageIndex limit = std::min(sweep_ + kScanPages, total);
  PageRun run = table_.NextRun(PageState::kLanded, sweep_, limit, kSlicePages);
  if (run.count == 0) {
    sweep_ = limit == total ? 0 : limit;
    return true;
  }
  run = layout_.ClipToRegion(run);
  run.count = std::min(run.count, MostPages(run.first));
  sweep_ = run.first;
  const MapStatus mapped = MapRun(run);
  // Nothing wakes a thread that sleeps on a retry.
  return mapped == MapStatus::kOk || mapped == MapStatus::kRetry;
}

}  // namespace farfault
