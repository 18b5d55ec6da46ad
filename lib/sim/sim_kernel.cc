#include "lib/sim/sim_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace farfault::sim {

SimKernel::SimKernel(Scene& scene, PageImage& source, std::uint32_t slots)
    : scene_(scene),
      source_(source),
      memory_(scene.layout),
      present_(scene.layout.total_pages()),
      young_(scene.layout.total_pages()),
      owned_(scene.layout.total_pages()),
      kept_(scene.layout.total_pages()),
      zapped_(scene.layout.total_pages()),
      zapping_(scene.layout.total_pages()),
      excused_(scene.layout.total_pages()) {
  for (const RegionConfig& region : scene.config.regions) {
    if (!region.direct) largest_page_ = std::max(largest_page_, region.page_size);
  }
  demand_bytes_ = std::max<std::uint64_t>(8, slots * largest_page_);
  demand_frames_ = std::make_unique_for_overwrite<std::byte[]>(demand_bytes_);
}

bool SimKernel::Touch(PageIndex page, bool write, std::size_t vcpu) {
  if (present_.Test(page)) {
    young_.Clear(page);
    return true;
  }
  scene_.Note("fault", page, vcpu);
  events_.push_back({{FeedEventKind::kFault, write, {page, 1}}, vcpu});
  parked_.push_back({page, vcpu});
  return false;
}

void SimKernel::Discard(PageRun run, std::size_t caller) {
  scene_.Note("discard", run.first, run.count);
  events_.push_back({{FeedEventKind::kDiscard, false, run}, caller});
}

void SimKernel::Zap(PageRun run) {
  scene_.Note("zap", run.first, run.count);
  discarded_pages_ += run.count;
  for (PageIndex page = run.first; page < run.end(); ++page) {
    present_.Clear(page);
    owned_.Clear(page);
    --zapping_[page];
    if (direct(page)) memory_.Clear(page);  // Punched out of the file.
    // Until the guest has moved it is not its own pages that go.
    if (switched_over_) zapped_.Set(page);
  }
}

void SimKernel::Unpark(PageRun run) {
  std::erase_if(parked_, [this, run](const Parked& parked) {
    if (parked.page < run.first || parked.page >= run.end()) return false;
    woken_.push_back(parked.vcpu);
    return true;
  });
}

void SimKernel::ReclaimOne() {
  if (scene_.layout.total_pages() == 0) return;
  const PageIndex page = scene_.random.Below(scene_.layout.total_pages());
  // Like a kernel's, this one leaves alone what was mapped and has not been used since: every fault gets somewhere.
  if (!present_.Test(page) || young_.Test(page) || !direct(page)) return;
  scene_.Note("reclaim", page);
  present_.Clear(page);
}

FeedResult SimKernel::Drain(std::span<FeedEvent> out) {
  FeedResult result;
  while (result.events < out.size() && !events_.empty()) {
    // The kernel may hand out fewer than there are.
    if (result.events > 0 && scene_.random.OneIn(16)) break;
    const auto& [event, caller] = events_.front();
    out[result.events++] = event;
    if (event.kind == FeedEventKind::kFault) {
      ++excused_[event.run.first];
    } else {
      for (PageIndex page = event.run.first; page < event.run.end(); ++page) ++zapping_[page];
      woken_.push_back(caller);
    }
    events_.pop_front();
  }
  return result;
}

bool SimKernel::direct(PageIndex page) const { return RegionFor(page).direct; }

std::uint32_t SimKernel::chunk_pages(PageIndex page) const { return RegionFor(page).chunk_pages; }

Frame SimKernel::DemandFrame(PageIndex page, std::uint32_t slot) {
  if (direct(page)) return {memory_.page(page).data(), frame_keys_[scene_.layout.RegionOf(page)]};
  return {demand_frames_.get() + slot * largest_page_, demand_key_};
}

std::uint64_t SimKernel::PagesBeforeRetry(PageRun run) {
  cost_ += scene_.config.kernel.map_cost;
  if (!scene_.Chance(scene_.config.kernel.retry_one_in)) return run.count;
  const std::uint64_t count = scene_.random.Below(run.count);
  // Whoever tries again may find that a neighbour's mapping has taken the page along.
  for (PageIndex page = run.first + count; page < run.end(); ++page) ++excused_[page];
  return count;
}

// A page that is mapped already costs the kernel nothing (EEXIST), but only a fault on it, or a call that was put off,
// explains why it is mapped again.
bool SimKernel::CheckNotMapped(PageIndex page, std::string_view how) {
  if (!present_.Test(page)) return true;
  if (excused_[page] == 0) scene_.Report("mapped at most once", fmt::format("page {} is mapped again ({})", page, how));
  excused_[page] -= excused_[page] > 0 ? 1u : 0u;
  return false;
}

void SimKernel::Install(PageIndex page, std::string_view how) {
  scene_.Note(how, page);
  if (!switched_over_) {
    scene_.Report("nothing is mapped before the switchover", fmt::format("page {} is mapped ({})", page, how));
  }
  present_.Set(page);
  young_.Set(page);
  kept_.Clear(page);
  if (owned_.Test(page)) return;
  owned_.Set(page);
  const bool is_zero = PageImage::IsZero(memory_.page(page));
  if (zapped_.Test(page)) {
    zapped_.Clear(page);
    if (!is_zero) {
      scene_.Report("discarded pages read as zeros", fmt::format("page {} comes back with bytes ({})", page, how));
    }
    return;
  }
  if (zapping(page) && is_zero) return;
  if (std::memcmp(memory_.page(page).data(), source_.page(page).data(), source_.page(page).size()) != 0) {
    scene_.Report("mapped bytes are the source's", fmt::format("page {} is mapped with other bytes ({})", page, how));
  }
}

MapResult SimKernel::MapDemanded(PageIndex page, std::uint32_t slot) {
  if (PagesBeforeRetry({page, 1}) == 0) return {MapStatus::kRetry, 0};
  if (CheckNotMapped(page, "demanded")) {
    if (!direct(page)) {
      const std::span<std::byte> bytes = memory_.page(page);
      std::memcpy(bytes.data(), demand_frames_.get() + slot * largest_page_, bytes.size());
    }
    Install(page, "map demanded");
  }
  Unpark({page, 1});
  return {MapStatus::kOk, 1};
}

MapResult SimKernel::MapLanded(PageRun run) {
  const std::uint64_t count = PagesBeforeRetry(run);
  for (PageIndex page = run.first; page < run.first + count; ++page) {
    if (!direct(page) && !kept_.Test(page)) {
      scene_.Report("placement contract", fmt::format("MapLanded of staged page {}", page));
    }
    if (CheckNotMapped(page, "landed")) Install(page, "map landed");
  }
  Unpark({run.first, count});
  return {count == run.count ? MapStatus::kOk : MapStatus::kRetry, count};
}

MapResult SimKernel::KeepStaged(PageRun run, const std::byte* source) {
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (direct(page) || switched_over_) scene_.Report("placement contract", fmt::format("page {} is kept", page));
    const std::span<std::byte> bytes = memory_.page(page);
    std::memcpy(bytes.data(), source + (page - run.first) * bytes.size(), bytes.size());
    kept_.Set(page);
    scene_.Note("keep", page);
  }
  return {MapStatus::kOk, run.count};
}

MapResult SimKernel::MapStaged(PageRun run, const std::byte* source) {
  const std::uint64_t count = PagesBeforeRetry(run);
  for (PageIndex page = run.first; page < run.first + count; ++page) {
    if (direct(page)) scene_.Report("placement contract", fmt::format("MapStaged of direct page {}", page));
    const std::span<std::byte> bytes = memory_.page(page);
    if (!CheckNotMapped(page, "staged")) continue;
    std::memcpy(bytes.data(), source + (page - run.first) * bytes.size(), bytes.size());
    Install(page, "map staged");
  }
  Unpark({run.first, count});
  return {count == run.count ? MapStatus::kOk : MapStatus::kRetry, count};
}

MapResult SimKernel::MapZeros(PageRun run) {
  const std::uint64_t count = PagesBeforeRetry(run);
  for (PageIndex page = run.first; page < run.first + count; ++page) {
    if (!CheckNotMapped(page, "zeros")) continue;
    if (owned_.Test(page)) {
      scene_.Report("holes read as zeros, and only they", fmt::format("zeros over the guest's page {}", page));
    }
    if (!zapped_.Test(page) && !zapping(page) && !PageImage::IsZero(source_.page(page))) {
      scene_.Report("holes read as zeros, and only they", fmt::format("zeros for page {}, which has bytes", page));
    }
    memory_.Clear(page);
    Install(page, "map zeros");
  }
  Unpark({run.first, count});
  return {count == run.count ? MapStatus::kOk : MapStatus::kRetry, count};
}

MapResult SimKernel::MapAgain(PageIndex page) {
  if (PagesBeforeRetry({page, 1}) == 0) return {MapStatus::kRetry, 0};
  if (CheckNotMapped(page, "again")) {
    if (!owned_.Test(page) && !zapped_.Test(page)) {
      scene_.Report("placement contract", fmt::format("page {} is mapped again but never was", page));
    }
    if (!direct(page)) memory_.Clear(page);
    Install(page, "map again");
  }
  Unpark({page, 1});
  return {MapStatus::kOk, 1};
}

bool SimKernel::TryCollapse(PageRun chunk) {
  cost_ += scene_.config.kernel.map_cost;
  if (scene_.Chance(scene_.config.kernel.decline_collapse_one_in)) return false;
  for (PageIndex page = chunk.first; page < chunk.end(); ++page) {
    if (!present_.Test(page)) Install(page, "map collapsed");
  }
  Unpark(chunk);
  return true;
}

bool SimKernel::Forget(PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (switched_over_) scene_.Report("placement contract", fmt::format("page {} is taken back", page));
    scene_.Note("forget", page);
    if (kept_.Test(page)) memory_.Clear(page);
    kept_.Clear(page);
  }
  return true;
}

}  // namespace farfault::sim
