#include "lib/session/demand_arrivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lib/util/mutant.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr std::uint32_t kReadAheadSlots = 16;

}  // namespace

DemandArrivals::DemandArrivals(DestinationPages& pages, DestinationProgress& progress, const SourcePeer& source,
                               std::span<Channel* const> channels, DemandReader::Scratch scratch, std::uint32_t slots)
    : pages_(pages),
      progress_(progress),
      offered_(source.memory),
      reader_(pages.layout(), source, channels, pages.placement(), scratch, slots),
      most_reads_ahead_(std::clamp(slots / 2, 1u, kReadAheadSlots)) {
  unmapped_.reserve(slots);
}

PageState DemandArrivals::EnterIfHole(PageIndex page) {
  if (pages_.state(page) == PageState::kAbsent && !offered_.Has(page)) {
    pages_.Move(page, PageState::kHole);
    ++pages_.stats().hole_pages;
  }
  return pages_.state(page);
}

bool DemandArrivals::Read(PageIndex page, ReadOptions options) {
  // There are no claims where nothing is pushed.
  options.alone = !progress_.push_expected();
  if (reader_.Read(page, options) != PostResult::kOk) return false;
  pages_.Move(page, PageState::kWanted);
  return true;
}

void DemandArrivals::AddOrder(std::vector<PageRun> order) {
  order_.erase(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(next_in_order_));
  next_in_order_ = 0;
  order_.insert(order_.end(), order.begin(), order.end());
}

bool DemandArrivals::ReadAhead(bool rest) {
  if (has_order()) return ReadInOrder();
  return rest && ReadRest();
}

bool DemandArrivals::ReadInOrder() {
  bool progress = false;
  for (std::uint64_t looked = 0; has_order() && looked < DestinationPages::kStatesPerRound; ++looked) {
    if (reads_ahead_ == most_reads_ahead_) break;
    PageRun& run = order_[next_in_order_];
    progress = true;
    if (run.count == 0) {
      ++next_in_order_;
      continue;
    }
    if (EnterIfHole(run.first) == PageState::kAbsent) {
      if (!Read(run.first, {.ahead = true})) return looked > 0;
      ++reads_ahead_;
    }
    run = {run.first + 1, run.count - 1};
  }
  return progress;
}

bool DemandArrivals::ReadRest() {
  const PageTable& table = pages_.table();
  bool progress = false;
  while (reads_ahead_ < most_reads_ahead_ && table.count(PageState::kAbsent) > 0) {
    const PageIndex limit = std::min(read_ahead_at_ + DestinationPages::kStatesPerRound, table.size());
    const PageRun absent = table.NextRun(PageState::kAbsent, read_ahead_at_, limit, 1);
    if (absent.count == 0) {
      read_ahead_at_ = limit == table.size() ? 0 : limit;
      return true;
    }
    read_ahead_at_ = absent.first;
    if (EnterIfHole(absent.first) == PageState::kHole) {
      ++read_ahead_at_;
      return true;
    }
    if (!Read(absent.first, {.ahead = true})) break;
    ++read_ahead_at_;
    ++reads_ahead_;
    progress = true;
  }
  return progress;
}

bool DemandArrivals::Take() {
  std::array<DemandedPage, 16> demanded;
  const std::size_t count = reader_.Poll(demanded);
  for (const DemandedPage& page : std::span(demanded).first(count)) {
    if (!progress_.failed()) OnDemanded(page);
  }
  if (reader_.broken() && progress_.phase() < DestinationPhase::kResident) {
    progress_.LoseChannel(
        absl::UnavailableError(fmt::format("the demand channel to the source is lost{}", Because(reader_.failure()))));
  }
  return count > 0;
}

void DemandArrivals::OnDemanded(const DemandedPage& demanded) {
  const auto [page, slot, claim, ahead] = demanded;
  if (claim > Claim::kPosted) {
    return progress_.Fail(absl::DataLossError(fmt::format("the source's claim on page {} makes no sense", page)));
  }
  const PageState state = pages_.state(page);
  const bool arrived = state == PageState::kWantedArrived;
  SessionStats& stats = pages_.stats();
  stats.bytes_received += pages_.layout().page_size(page);
  if (ahead) {
    ++stats.pages_fetched;
    --reads_ahead_;
  } else {
    ++stats.pages_demanded;
  }
  if (claim == Claim::kPosted) ++stats.duplicates;
  const bool direct = pages_.placement().direct(page);
  // A push that is out would overwrite the frame later. A staged page has its frame to itself.
  if (claim == Claim::kPosted && !arrived && direct && !MutantIs(Mutant::kMapOnPosted)) {
    reader_.Release(slot);
    return pages_.Move(page, PageState::kArriving);
  }
  // A staged page has landed when it is mapped: until then its bytes are nowhere but in the demand slot.
  if (direct && (state == PageState::kWanted || arrived)) pages_.Land(page);
  if (!MapDemanded(page, slot)) unmapped_.push_back({page, slot});
}

bool DemandArrivals::MapDemanded(PageIndex page, std::uint32_t slot) {
  if (pages_.discarded(page)) pages_.Land(page);
  if (pages_.state(page) == PageState::kHole) {
    if (!pages_.MapHole(page)) return false;
    reader_.Release(slot);
    return true;
  }
  if (pages_.state(page) == PageState::kMapped) {
    // While this was put off, another fault or a neighbour has had the page mapped. The guest may have given it back
    // since: these bytes are too old.
    pages_.RecordWake(page);
    reader_.Release(slot);
    return true;
  }
  const MapResult result = pages_.placement().MapDemanded(page, slot);
  if (result.status == MapStatus::kRetry) return false;
  pages_.CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    if (!pages_.placement().direct(page)) pages_.Land(page);
    pages_.Move(page, PageState::kMapped);
    pages_.RecordWake(page);
  }
  reader_.Release(slot);
  return true;
}

bool DemandArrivals::RetryUnmapped() {
  if (unmapped_.empty()) return false;
  std::erase_if(unmapped_, [this](const Unmapped& entry) { return MapDemanded(entry.page, entry.slot); });
  return true;  // Also when none could be mapped: nothing wakes a thread that sleeps on a retry.
}

}  // namespace farfault
