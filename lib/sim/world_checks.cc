#include <fmt/format.h>

#include <array>
#include <string>

#include "lib/sim/world.h"

namespace farfault::sim {

// "the page table counts right", and what it calls mapped is what the guest has.
void World::CheckTable() {
  const PageTable& table = destination_.engine().table();
  std::array<std::uint64_t, kPageStates> counts{};
  for (PageIndex page = 0; page < table.size(); ++page) {
    const PageState state = table.state(page);
    ++counts[static_cast<std::size_t>(state)];
    // What was given back stays mapped for the pager, or is absent before the kernel has taken it.
    if (kernel_.zapped(page) || kernel_.zapping(page)) continue;
    if ((state == PageState::kMapped) == kernel_.owned_by_guest(page)) continue;
    // A run of which a part was mapped before the kernel said EAGAIN is in the table before Poll returns.
    scene_.Report("the page table says what is mapped",
                  fmt::format("page {} is {} in the table", page, PageStateName(state)));
  }
  for (std::size_t i = 0; i < kPageStates; ++i) {
    const auto state = static_cast<PageState>(i);
    if (counts[i] == table.count(state)) continue;
    scene_.Report("the page table counts right", fmt::format("{} pages are {}, the table says {}", counts[i],
                                                             PageStateName(state), table.count(state)));
  }
}

// "a session fails only when something has broken"
void World::CheckFailure() {
  if (wire_.broken()) return;
  for (const absl::Status& failure : {source_.engine().failure(), destination_.engine().failure()}) {
    if (failure.ok()) continue;
    scene_.Report("a session fails only when something has broken", std::string(failure.message()));
  }
}

// "the guest runs on one side": a source that says that nothing was handed over lets its guest go on.
void World::CheckOneGuest() {
  const SourceEngine& source = source_.engine();
  const bool goes_on =
      source.phase() == SourceEngine::Phase::kFailed && !source.handed_over() && !source.outcome_unknown();
  if (goes_on && guest_moved_) {
    scene_.Report("the guest runs on one side", "the source takes a guest back that runs at the destination");
  }
}

void World::CheckEnd() {
  CheckOneGuest();
  CheckTable();
  if (guest_moved_) guest_.CheckAll();
  const DestinationEngine& destination = destination_.engine();
  if (destination.phase() != DestinationEngine::Phase::kDone) return;
  // "every fault is answered or the session failed"
  if (kernel_.parked() > 0 || !guest_.finished()) {
    scene_.Report("every fault is answered or the session failed",
                  fmt::format("{} vCPUs wait for ever", kernel_.parked()));
  }
  // "duplicates are counted"
  const std::uint64_t duplicates = wire_.transfers().duplicates();
  if (destination.Stats().duplicates != duplicates && !wire_.broken()) {
    scene_.Report("duplicates are counted", fmt::format("{} pages came twice, the destination counted {}", duplicates,
                                                        destination.Stats().duplicates));
  }
}

}  // namespace farfault::sim
