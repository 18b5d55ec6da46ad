#include "lib/session/destination_pages.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/fault/guest_process.h"

namespace farfault {

DestinationPages::DestinationPages(World world, std::size_t map_around_pages, std::uint32_t most_waiters)
    : world_(world),
      mapper_(world.layout, world.table, world.placement, map_around_pages),
      discarded_(world.layout.total_pages()),
      waiters_(most_waiters) {
  stats_.total_pages = table().size();
  const std::size_t metadata = table().size_bytes() + mapper_.size_bytes() + discarded_.size_bytes();
  stats_.metadata_bytes_per_page =
      static_cast<double>(metadata) / static_cast<double>(std::max<std::uint64_t>(1, table().size()));
}

void DestinationPages::RefuseMove(PageIndex page, PageState from, PageState to) {
  world_.progress.Fail(absl::InternalError(
      fmt::format("page {} cannot go from {} to {}: the peer broke the claim protocol, or this is a bug", page,
                  PageStateName(from), PageStateName(to))));
}

void DestinationPages::CheckMap(MapStatus status) {
  if (status == MapStatus::kGuestGone) {
    world_.progress.Fail(GuestProcess::Gone());
  }
  if (status != MapStatus::kFailed) return;
  const absl::Status& refused = world_.placement.failure();
  world_.progress.Fail(
      refused.ok() ? absl::InternalError("the kernel has mapped a page that had not landed: this is a bug") : refused);
}

void DestinationPages::Land(PageIndex page) {
  Move(page, PageState::kLanded);
  if (discarded_.Test(page)) {
    discarded_.Clear(page);
    Move(page, PageState::kHole);
  } else {
    mapper_.OnArrived(page);
  }
}

std::uint64_t DestinationPages::Forget(PageRun run) {
  std::uint64_t forgotten = 0;
  const auto is_here = [this](PageIndex page) {
    return state(page) == PageState::kLanded || state(page) == PageState::kMapped;
  };
  for (PageIndex page = run.first; page < run.end();) {
    PageIndex end = page;
    while (end < run.end() && is_here(end)) ++end;
    if (end == page) {
      ++page;
      continue;
    }
    if (!world_.placement.Forget({page, end - page})) {
      world_.progress.Fail(absl::InternalError("a stale page could not be unmapped"));
      return forgotten;
    }
    forgotten += end - page;
    for (; page < end; ++page) {
      Move(page, PageState::kAbsent);
      mapper_.OnForgotten(page);
    }
  }
  return forgotten;
}

bool DestinationPages::MapHole(PageIndex page) {
  // Whoever takes over from us must not make zeros of what the guest has written by then.
  const bool in_frame = world_.placement.direct(page);
  if (in_frame) Move(page, PageState::kLanded);
  const MapResult result = world_.placement.MapZeros({page, 1});
  if (in_frame && result.status != MapStatus::kOk) Move(page, PageState::kHole);
  CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    Move(page, PageState::kMapped);
    mapper_.OnArrived(page);
    RecordWake(page);
  }
  return result.status != MapStatus::kRetry;
}

// What is to be in the page is at the source still. A WRITE that was on its way may or may not have been lost with the
// frame, so that the page is READ after the switchover, whatever is pre-paged until then.
void DestinationPages::DiscardEarly(PageIndex page) {
  discarded_.Set(page);
  any_discarded_early_ = true;
  if (state(page) == PageState::kAbsent) return;
  Move(page, PageState::kAbsent);
  mapper_.OnForgotten(page);
}

void DestinationPages::EndEarlyDiscards() {
  if (any_discarded_early_) discarded_.ClearAll();
}

void DestinationPages::Discard(PageIndex page) {
  const PageState now = state(page);
  const bool frame_is_its_own = !world_.progress.push_expected() || !world_.placement.direct(page);
  if (now == PageState::kLanded) {
    mapper_.OnForgotten(page);
    Move(page, PageState::kHole);
  } else if (now == PageState::kAbsent && frame_is_its_own) {
    Move(page, PageState::kHole);
  } else if (now != PageState::kMapped && now != PageState::kHole) {
    discarded_.Set(page);  // The old bytes may come yet; they must not come to life.
  }
}

void DestinationPages::RecordWake(PageIndex page) {
  if (waiters_.empty()) return;
  const Nanos now = world_.clock.Now();
  waiters_.Take(page, [&](Nanos since, bool network) {
    (network ? stats_.stall_network : stats_.stall_local).Record(now - since);
  });
}

}  // namespace farfault
