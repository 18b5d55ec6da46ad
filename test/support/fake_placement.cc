#include "test/support/fake_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace farfault {

FakePlacement::FakePlacement(const PageLayout& layout, Options options)
    : layout_(layout), options_(std::move(options)), mapped_(layout.total_pages()), kept_(layout.total_pages()) {
  if (options_.direct.empty()) options_.direct.assign(layout.regions().size(), true);
  for (const PageLayout::RegionPages& region : layout.regions()) {
    frames_.emplace_back(region.pages.count * region.page_size);
    largest_page_ = std::max(largest_page_, region.page_size);
  }
  demand_frames_.resize(options_.demand_slots * largest_page_);
}

std::vector<FakePlacement::Call> FakePlacement::TakeCalls() { return std::exchange(calls_, {}); }

std::span<std::byte> FakePlacement::FrameOf(PageIndex page) {
  const std::size_t index = layout_.RegionOf(page);
  const PageLayout::RegionPages& region = layout_.regions()[index];
  return std::span(frames_[index]).subspan((page - region.pages.first) * region.page_size, region.page_size);
}

std::span<const std::byte> FakePlacement::guest(PageIndex page) const {
  return const_cast<FakePlacement*>(this)->FrameOf(page);
}

void FakePlacement::DiscardByGuest(PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) {
    std::ranges::fill(FrameOf(page), std::byte{0});
    mapped_.Clear(page);
  }
}

void FakePlacement::Check(PageRun run, bool needs_direct, const char* what) {
  const bool inside = run.count > 0 && layout_.Contains(run) && layout_.ClipToRegion(run) == run;
  if (!inside) {
    violations_.push_back(fmt::format("{} of {}+{}: not inside one region", what, run.first, run.count));
  } else if (needs_direct != direct(run.first)) {
    violations_.push_back(fmt::format("{} of page {}: wrong kind of placement", what, run.first));
  }
}

MapResult FakePlacement::NextResult(PlacementCall kind, PageRun run) {
  calls_.push_back({kind, run});
  if (!failure_.ok()) return {MapStatus::kFailed, 0};
  if (retry_always_) return {MapStatus::kRetry, 0};
  if (script_.empty()) return {MapStatus::kOk, run.count};
  const MapResult result = script_.front();
  script_.pop_front();
  return result.status == MapStatus::kOk ? MapResult{MapStatus::kOk, run.count} : result;
}

void FakePlacement::Install(PageIndex page, std::span<const std::byte> bytes) {
  const std::span<std::byte> frame = FrameOf(page);
  // Mapped already: EEXIST, nothing changes.
  if (!mapped_.Test(page) && bytes.data() != frame.data()) std::ranges::copy(bytes, frame.begin());
  mapped_.Set(page);
}

Frame FakePlacement::DemandFrame(PageIndex page, std::uint32_t slot) {
  if (slot >= options_.demand_slots) violations_.push_back(fmt::format("demand slot {} is out of range", slot));
  return {direct(page) ? FrameOf(page).data() : demand_frames_.data() + slot * largest_page_, 7};
}

MapResult FakePlacement::MapDemanded(PageIndex page, std::uint32_t slot) {
  Check({page, 1}, direct(page), "MapDemanded");
  const MapResult result = NextResult(PlacementCall::kDemanded, {page, 1});
  if (result.pages_done == 0) return result;
  Install(page, direct(page) ? FrameOf(page)
                             : std::span(demand_frames_).subspan(slot * largest_page_, layout_.page_size(page)));
  return result;
}

MapResult FakePlacement::MapLanded(PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) Check({page, 1}, !kept_.Test(page), "MapLanded");
  const MapResult result = NextResult(PlacementCall::kLanded, run);
  mapped_.SetRun({run.first, result.pages_done});
  kept_.ClearRun({run.first, result.pages_done});
  return result;
}

MapResult FakePlacement::KeepStaged(PageRun run, const std::byte* source) {
  Check(run, false, "KeepStaged");
  const MapResult result = NextResult(PlacementCall::kKept, run);
  const std::uint64_t page_size = layout_.page_size(run.first);
  for (PageIndex page = run.first; page < run.first + result.pages_done; ++page) {
    if (mapped_.Test(page)) violations_.push_back(fmt::format("page {} is kept after it was mapped", page));
    std::ranges::copy(std::span(source + (page - run.first) * page_size, page_size), FrameOf(page).begin());
    kept_.Set(page);
  }
  return result;
}

MapResult FakePlacement::MapStaged(PageRun run, const std::byte* source) {
  Check(run, false, "MapStaged");
  const MapResult result = NextResult(PlacementCall::kStaged, run);
  const std::uint64_t page_size = layout_.page_size(run.first);
  for (std::uint64_t i = 0; i < result.pages_done; ++i) Install(run.first + i, {source + i * page_size, page_size});
  return result;
}

MapResult FakePlacement::MapZeros(PageRun run) {
  if (on_map_zeros) on_map_zeros(run);
  Check(run, direct(run.first), "MapZeros");
  const MapResult result = NextResult(PlacementCall::kZeros, run);
  const std::vector<std::byte> zeros(layout_.page_size(run.first));
  for (std::uint64_t i = 0; i < result.pages_done; ++i) Install(run.first + i, zeros);
  return result;
}

std::uint32_t FakePlacement::chunk_pages(PageIndex page) const { return direct(page) ? options_.chunk_pages : 0; }

bool FakePlacement::TryCollapse(PageRun chunk) {
  Check(chunk, direct(chunk.first), "TryCollapse");
  calls_.push_back({PlacementCall::kCollapse, chunk});
  if (decline_collapses_) return false;
  mapped_.SetRun(chunk);
  return true;
}

bool FakePlacement::Forget(PageRun run) {
  Check(run, direct(run.first), "Forget");
  calls_.push_back({PlacementCall::kForget, run});
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (mapped_.Test(page)) violations_.push_back(fmt::format("page {} is taken back from the guest", page));
    if (kept_.Test(page)) std::ranges::fill(FrameOf(page), std::byte{0});
  }
  kept_.ClearRun(run);
  mapped_.ClearRun(run);
  return true;
}

std::ostream& operator<<(std::ostream& out, const FakePlacement::Call& call) {
  constexpr const char* kNames[] = {"demanded", "landed", "kept", "staged", "zeros", "collapse", "forget"};
  return out << kNames[static_cast<std::size_t>(call.kind)] << ' ' << call.run;
}

std::ostream& operator<<(std::ostream& out, const PageRun& run) { return out << run.first << '+' << run.count; }

}  // namespace farfault
