#ifndef FARFAULT_LIB_C_API_CONVERT_H_
#define FARFAULT_LIB_C_API_CONVERT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/c/external_guest.h"
#include "farfault/c/memory.h"
#include "farfault/c/options.h"
#include "farfault/dirty_log.h"
#include "farfault/guest_memory.h"
#include "farfault/options.h"

// From the structs of C to those of C++ and back. Pointers of callers are checked here.
namespace farfault {

inline std::string TextOf(const char* text) { return text == nullptr ? std::string() : std::string(text); }
/// FARFAULT_FOREVER for more than 292 years.
std::int64_t NanosecondsOf(absl::Duration duration);

std::vector<farfault_page_run> RunsForC(std::span<const PageRun> runs);
absl::StatusOr<std::vector<PageRun>> RunsFromC(const farfault_page_run* runs, std::size_t count, const char* name);
absl::StatusOr<DirtyBitmap> BitmapFromC(const farfault_dirty_bitmap* bitmap);

absl::StatusOr<Region> RegionFromC(const farfault_region* region);
/// The name is `region`'s.
farfault_region RegionForC(const Region& region);
absl::StatusOr<ExternalRegion> ExternalRegionFromC(const farfault_external_region* region);
absl::StatusOr<ExternalGuest> ExternalGuestFromC(const farfault_external_guest* guest);
farfault_external_guest ExternalGuestForC(const ExternalGuest& guest);
/// Null: the defaults.
absl::StatusOr<OwnedRegion::Placement> PlacementFromC(const farfault_placement* placement);

EventListener ListenerFromC(const farfault_event_listener& listener);
absl::StatusOr<SessionOptions> SessionOptionsFromC(const farfault_session_options* options);
/// Null `source` or `destination`: the defaults.
absl::StatusOr<SourceOptions> SourceOptionsFromC(const farfault_session_options* session,
                                                 const farfault_source_options* source, const GuestMemory& memory);
absl::StatusOr<DestinationOptions> DestinationOptionsFromC(const farfault_session_options* session,
                                                           const farfault_destination_options* destination);
absl::StatusOr<PrePageBudget> BudgetFromC(const farfault_prepage_budget* budget);

}  // namespace farfault

#endif  // FARFAULT_LIB_C_API_CONVERT_H_
