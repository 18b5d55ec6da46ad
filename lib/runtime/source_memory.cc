#include "lib/runtime/source_memory.h"

#include <utility>

#include "lib/page/extent_plan.h"
#include "lib/prepage/holes.h"

namespace farfault {
namespace {

constexpr std::size_t kOneThreadPerCore = 0;

}  // namespace

absl::StatusOr<SourceMemory::Late> SourceMemory::RegisterRuns(
    Transport& transport, std::vector<PageRun> runs,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) const {
  std::vector<ExtentMemory> extents;
  for (const PageRun& run : runs) {
    const std::size_t index = layout_.RegionOf(run.first);
    const Region& region = memory_.regions()[index];
    const PageIndex first = layout_.regions()[index].pages.first;
    extents.push_back(
        {region.name, {region.base + (run.first - first) * region.page_size, run.count * region.page_size}});
  }
  auto registered = RegisterExtents(transport, extents, RemoteAccess::kRead, kOneThreadPerCore, progress);
  if (!registered.ok()) return registered.status();
  return Late{std::move(runs), *std::move(registered)};
}

absl::Status SourceMemory::Register(Transport& transport,
                                    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  std::vector<PageRun> runs;
  if (transport.pins_memory()) {
    const auto holes = FindHoles(memory_, WhileItGrows::kHoles);
    if (!holes.ok()) return holes.status();
    runs = PlanOffer(layout_, *holes);
  } else {
    for (const PageLayout::RegionPages& region : layout_.regions()) runs.push_back(region.pages);
  }
  auto registered = RegisterRuns(transport, std::move(runs), progress);
  if (!registered.ok()) return registered.status();
  Adopt(*std::move(registered));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PageRun>> SourceMemory::FindLate(bool guest_runs) const {
  const std::vector<PageRun> missing = local_.Missing();
  if (missing.empty()) return std::vector<PageRun>{};
  const auto holes = FindHolesIn(memory_, missing, guest_runs ? WhileItGrows::kHoles : WhileItGrows::kData);
  if (!holes.ok()) return holes.status();
  return PlanLate(layout_, missing, *holes, local_.free_slots());
}

absl::StatusOr<SourceMemory::Late> SourceMemory::RegisterLate(Transport& transport, std::vector<PageRun> pages) const {
  return RegisterRuns(transport, std::move(pages), {});
}

std::vector<Extent> SourceMemory::Adopt(Late late) {
  std::vector<Extent> remote;
  for (std::size_t i = 0; i < late.pages.size(); ++i) {
    // The plan sees to it that there is room.
    if (!local_.Add(LocalExtent(late.pages[i], *late.registered[i]))) continue;
    remote.push_back(RemoteExtent(late.pages[i], *late.registered[i]));
    registered_.push_back(std::move(late.registered[i]));
  }
  return remote;
}

std::vector<Extent> SourceMemory::remote() const {
  std::vector<Extent> remote;
  for (std::size_t i = 0; i < registered_.size(); ++i) {
    remote.push_back(RemoteExtent(local_.extents()[i].pages, *registered_[i]));
  }
  return remote;
}

}  // namespace farfault
