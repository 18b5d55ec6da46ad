#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "lib/page/extent_plan.h"
#include "lib/page/guest_placement.h"
#include "lib/page/huge_page_hint.h"
#include "lib/page/populate.h"

// Where bytes land: aliases and their frames, demand slots and staging rings.
namespace farfault {
namespace {

RemoteMemory ForPeer(const RegisteredMemory& memory) {
  return {.address = memory.remote_address(), .length = memory.bytes().size(), .key = memory.remote_key()};
}

absl::Status NoMemory(std::string_view what, std::uint64_t bytes, const absl::Status& status) {
  return absl::ResourceExhaustedError(
      fmt::format("{} bytes for {} cannot be mapped: {}", bytes, what, std::string(status.message())));
}

}  // namespace

absl::Status GuestPlacement::MapAliases() {
  for (Place& place : places_) {
    if (place.region.fd == -1) continue;
    auto alias = Alias::Map(place.region);
    if (!alias.ok()) return alias.status();
    place.mapping = *std::move(alias);
    place.alias = place.mapping.data();
  }
  return absl::OkStatus();
}

// The pages that are placed directly. What is not populated is left out where that can be: where the file system has
// become full, whoever writes there meets SIGBUS.
std::vector<PageRun> GuestPlacement::PlanFrames(const Transport& transport, std::span<const PageRun> holes) const {
  // In another process a page may be there before we put it there: what is staged could overwrite it.
  if (external_ != nullptr) holes = {};
  std::vector<PageRun> runs;
  if (transport.pins_memory()) {
    runs = PlanOffer(layout_, holes);
  } else {
    for (const Place& place : places_) runs.push_back(place.pages);
    if (!holes.empty()) runs = PlanExtents(runs, WithoutHoles(runs, holes), kMaxOfferedExtents);
  }
  std::erase_if(runs, [this](const PageRun& run) { return PlaceOf(run.first).alias == nullptr; });
  return runs;
}

absl::Status GuestPlacement::PopulateAliases(std::span<const PageRun> runs,
                                             const GuestPlacementOptions& options) const {
  std::vector<PopulateRange> ranges;
  for (const PageRun& run : runs) {
    const Place& place = PlaceOf(run.first);
    ranges.push_back({.region = &place.region,
                      .memory = {place.alias + place.Offset(run.first), run.count << place.page_shift},
                      .huge = makes_huge_folios() && place.region.page_size == kSmallPage,
                      .armed = external_ != nullptr && external_->guest.registered,
                      .file_offset = place.region.file_offset + place.Offset(run.first)});
  }
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  // Registering is the other half.
  if (options.progress) progress = [&](std::uint64_t done, std::uint64_t total) { options.progress(done / 2, total); };
  return Populate(ranges, options.threads, progress);
}

void GuestPlacement::FindHugeChunks(std::span<const PageRun> populated,
                                    const std::function<void(std::string hint)>& hint) {
  for (Place& place : places_) {
    if (place.alias == nullptr) continue;
    place.huge_chunks = place.mapping.FindHugeChunks(place.region);
    if (std::count(place.huge_chunks.begin(), place.huge_chunks.end(), true) > 0) {
      place.chunk_pages = kHugePage / kSmallPage;
    }
    std::uint64_t pages = 0;
    for (const PageRun& run : populated) pages += &PlaceOf(run.first) == &place ? run.count : 0;
    if (!hint) continue;
    std::string text = HugePageHint(place.region, place.huge_chunks, pages == place.pages.count);
    if (!text.empty()) hint(std::move(text));
  }
}

absl::Status GuestPlacement::RegisterFrames(Transport& transport, std::vector<PageRun> runs,
                                            const GuestPlacementOptions& options) {
  std::vector<ExtentMemory> extents;
  for (const PageRun& run : runs) {
    const Place& place = PlaceOf(run.first);
    extents.push_back({place.region.name, {place.alias + place.Offset(run.first), run.count << place.page_shift}});
  }
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  if (options.progress) {
    progress = [&](std::uint64_t done, std::uint64_t total) { options.progress((total + done) / 2, total); };
  }
  auto registered = RegisterExtents(transport, extents, RemoteAccess::kWrite, options.threads, progress);
  if (!registered.ok()) return registered.status();
  registered_frames_ = *std::move(registered);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!frames_.Add(LocalExtent(runs[i], *registered_frames_[i]))) return absl::InternalError("frames overlap");
  }
  for (const PageRun& staged : frames_.Missing()) {
    largest_staged_page_ = std::max(largest_staged_page_, layout_.page_size(staged.first));
  }
  return absl::OkStatus();
}

absl::Status GuestPlacement::RegisterRings(Transport& transport, const GuestPlacementOptions& options) {
  if (largest_staged_page_ == 0) return absl::OkStatus();
  const std::uint64_t page = largest_staged_page_;
  const std::uint64_t demand_bytes = options.demand_slots * page;
  auto demand_memory = Mapping::Anonymous(demand_bytes);
  if (!demand_memory.ok()) return NoMemory("demand reads", demand_bytes, demand_memory.status());
  demand_memory_ = *std::move(demand_memory);
  auto demand_frames = transport.Register(demand_memory_.bytes(), RemoteAccess::kNone);
  if (!demand_frames.ok()) return demand_frames.status();
  demand_frames_ = *std::move(demand_frames);

  const std::uint64_t ring_bytes = std::max<std::uint64_t>(1, (options.staging_bytes + page - 1) / page) * page;
  auto ring_memory = Mapping::Anonymous(ring_bytes * options.push_channels);
  if (!ring_memory.ok()) return NoMemory("staging rings", ring_bytes * options.push_channels, ring_memory.status());
  ring_memory_ = *std::move(ring_memory);
  for (std::size_t i = 0; i < options.push_channels; ++i) {
    auto ring = transport.Register(ring_memory_.bytes().subspan(i * ring_bytes, ring_bytes), RemoteAccess::kWrite);
    if (!ring.ok()) return ring.status();
    rings_.push_back(*std::move(ring));
  }
  if (page != kHugePage) return absl::OkStatus();
  // Never written, so that it costs no memory.
  auto zeros = Mapping::Anonymous(kHugePage);
  if (!zeros.ok()) return NoMemory("zeros", kHugePage, zeros.status());
  huge_zeros_ = *std::move(zeros);
  return absl::OkStatus();
}

std::vector<Extent> GuestPlacement::frames() const {
  std::vector<Extent> frames;
  for (std::size_t i = 0; i < registered_frames_.size(); ++i) {
    frames.push_back(RemoteExtent(frames_.extents()[i].pages, *registered_frames_[i]));
  }
  return frames;
}

std::vector<RemoteMemory> GuestPlacement::staging_memory() const {
  std::vector<RemoteMemory> all;
  for (const auto& ring : rings_) all.push_back(ForPeer(*ring));
  return all;
}

std::vector<std::span<const std::byte>> GuestPlacement::staging() const {
  std::vector<std::span<const std::byte>> all;
  for (const auto& ring : rings_) all.emplace_back(ring->bytes());
  return all;
}

void GuestPlacement::RevokeFrames() {
  registered_frames_.clear();
  demand_frames_.reset();
  rings_.clear();
}

}  // namespace farfault
