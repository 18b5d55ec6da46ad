#include "lib/page/extent_plan.h"

#include <algorithm>
#include <tuple>

namespace farfault {
namespace {

constexpr std::uint64_t kChunkBytes = 64u << 20;
constexpr std::uint64_t kMostChunks = kMaxOfferedExtents / 2;

// A hole beside or between the data of one stretch. Leaving it out takes slots: an extent more and a stretch without a
// key more when it lies between data, only the latter when it lies at an end.
struct Hole {
  std::size_t before = 0;  // The data that it lies before; of the last hole of a stretch that it lies behind.
  std::uint64_t pages = 0;
  bool between = false;
  bool behind = false;

  std::size_t cost() const { return between ? 2 : 1; }
  std::uint64_t worth() const { return between ? pages : 2 * pages; }  // For half a slot.
};

std::vector<Hole> HolesOf(std::span<const PageRun> stretches, std::span<const PageRun> data) {
  std::vector<Hole> holes;
  const auto add = [&](std::uint64_t begin, std::uint64_t end, Hole hole) {
    hole.pages = end - begin;
    if (hole.pages > 0) holes.push_back(hole);
  };
  std::size_t next = 0;
  for (const PageRun& stretch : stretches) {
    const std::size_t first = next;
    for (; next < data.size() && data[next].first < stretch.end(); ++next) {
      const PageIndex begin = next == first ? stretch.first : data[next - 1].end();
      add(begin, data[next].first, {.before = next, .between = next != first});
    }
    if (next > first) add(data[next - 1].end(), stretch.end(), {.before = next - 1, .behind = true});
  }
  return holes;
}

// The most valuable of `holes` for `slots` in all.
std::vector<Hole> Afford(std::vector<Hole> holes, std::size_t slots) {
  std::size_t cost = 0;
  for (const Hole& hole : holes) cost += hole.cost();
  if (cost <= slots) return holes;
  std::sort(holes.begin(), holes.end(), [](const Hole& a, const Hole& b) { return a.worth() > b.worth(); });
  std::erase_if(holes, [&](const Hole& hole) {
    if (hole.cost() > slots) return true;
    slots -= hole.cost();
    return false;
  });
  return holes;
}

// Large extents in pieces, as long as there are `more` slots for them.
std::vector<PageRun> CutIntoPieces(const PageLayout& layout, std::span<const PageRun> extents, std::size_t more) {
  const std::uint64_t chunk = std::max(kChunkBytes, layout.total_bytes() / kMostChunks + 1);
  std::vector<PageRun> pieces;
  for (PageRun rest : extents) {
    const std::uint64_t page_size = layout.page_size(rest.first);
    const std::uint64_t most = (chunk + page_size - 1) / page_size;
    for (; rest.count > most && more > 0; rest = {rest.first + most, rest.count - most}) {
      pieces.push_back({rest.first, most});
      --more;
    }
    pieces.push_back(rest);
  }
  return pieces;
}

}  // namespace

// With s stretches and r slots: of a stretch with data, h holes are left out, e of them at its ends. That makes h - e +
// 1 extents of it, and h stretches without a key where there was one. No fewer slots than stretches without a key are
// left when the sum of 2h - e over the stretches is at most r - s.
std::vector<PageRun> PlanExtents(std::span<const PageRun> stretches, std::span<const PageRun> data, std::size_t slots) {
  std::vector<Hole> out = Afford(HolesOf(stretches, data), slots > stretches.size() ? slots - stretches.size() : 0);
  std::sort(out.begin(), out.end(),
            [](const Hole& a, const Hole& b) { return std::tie(a.before, a.behind) < std::tie(b.before, b.behind); });
  std::vector<PageRun> extents;
  auto hole = out.begin();
  std::size_t next = 0;
  for (const PageRun& stretch : stretches) {
    const std::size_t first = next;
    PageIndex begin = stretch.first;
    PageIndex end = stretch.end();
    for (; next < data.size() && data[next].first < stretch.end(); ++next) {
      for (; hole != out.end() && hole->before == next; ++hole) {
        if (hole->behind) {
          end = data[next].end();
          continue;
        }
        if (hole->between) extents.push_back({begin, data[next - 1].end() - begin});
        begin = data[next].first;
      }
    }
    if (next > first) extents.push_back({begin, end - begin});
  }
  return extents;
}

std::vector<PageRun> PlanLate(const PageLayout& layout, std::span<const PageRun> missing,
                              std::span<const PageRun> holes, std::size_t slots) {
  const std::vector<PageRun> extents = PlanExtents(missing, WithoutHoles(missing, holes), slots);
  const std::size_t needed = extents.size() + WithoutHoles(missing, extents).size();
  // What comes later still has a choice of holes then.
  return CutIntoPieces(layout, extents, slots > needed ? (slots - needed) / 2 : 0);
}

std::vector<PageRun> PlanOffer(const PageLayout& layout, std::span<const PageRun> holes) {
  std::vector<PageRun> regions;
  for (const PageLayout::RegionPages& region : layout.regions()) regions.push_back(region.pages);
  std::vector<PageRun> sorted(holes.begin(), holes.end());
  std::sort(sorted.begin(), sorted.end(), [](const PageRun& a, const PageRun& b) { return a.first < b.first; });
  // The regions' own share of the slots pays for one extent of each.
  const std::size_t slots = kMaxOfferedExtents - std::min(regions.size(), kMaxOfferedExtents);
  const std::vector<PageRun> extents = PlanExtents(regions, WithoutHoles(regions, sorted), slots);
  return CutIntoPieces(layout, extents, kMaxOfferedExtents - std::min(extents.size(), kMaxOfferedExtents));
}

std::vector<PageRun> WithoutHoles(std::span<const PageRun> stretches, std::span<const PageRun> holes) {
  std::vector<PageRun> parts;
  std::size_t next = 0;
  for (const PageRun& stretch : stretches) {
    PageIndex at = stretch.first;
    while (next < holes.size() && holes[next].end() <= at) ++next;
    for (std::size_t i = next; i < holes.size() && holes[i].first < stretch.end(); ++i) {
      if (holes[i].first > at) parts.push_back({at, holes[i].first - at});
      at = std::max(at, holes[i].end());
    }
    if (at < stretch.end()) parts.push_back({at, stretch.end() - at});
  }
  return parts;
}

}  // namespace farfault
