#include <cstddef>
#include <type_traits>

#include "farfault/c.h"
#include "farfault/farfault.h"
#include "lib/c_api/field_count.h"

// What the C++ API gains, the C API has to gain. Where an assertion fails, a struct of C++ has a field that its struct
// of C lacks, or the other way round: add it (in C at the end), convert it, and extend test/c_api/convert_test.cc. That
// every method has its function is for test/c_api/methods_test.cc to check.
namespace farfault {
namespace {

template <typename Field>
constexpr std::size_t kElements = std::is_array_v<Field> ? std::extent_v<Field> : 1;

/// The fields of a struct of C that say something.
template <typename InC>
consteval std::size_t FieldsOf() {
  std::size_t fields = FieldCount<InC>();
  if constexpr (requires { &InC::struct_size; }) fields -= 1;
  if constexpr (requires { &InC::reserved; }) fields -= kElements<decltype(InC::reserved)>;
  if constexpr (requires { &InC::reserved_end; }) fields -= kElements<decltype(InC::reserved_end)>;
  return fields;
}

template <typename InC, typename InCxx>
constexpr bool kCarried = FieldsOf<InC>() == FieldCount<InCxx>();

constexpr std::size_t kLength = 1;  // Of what C++ has as one value that knows its length.
constexpr std::size_t kBase = 1;    // SessionOptions, which C has as a struct of its own.

static_assert(kCarried<farfault_page_run, PageRun>);
static_assert(kCarried<farfault_page_heat, PageHeat>);
static_assert(kCarried<farfault_dirty_bitmap, DirtyBitmap>);
static_assert(kCarried<farfault_event, Event>);

static_assert(kCarried<farfault_region, Region>);
static_assert(kCarried<farfault_placement, OwnedRegion::Placement>);
static_assert(kCarried<farfault_guest_mapping, GuestMapping>);
static_assert(kCarried<farfault_external_guest, ExternalGuest>);
static_assert(FieldsOf<farfault_external_region>() == FieldCount<ExternalRegion>() + kLength);
static_assert(FieldCount<RemoteRegion>() == 3, "farfault_description_region tells its name, length and page size");

static_assert(FieldsOf<farfault_session_options>() == FieldCount<SessionOptions>() + kLength);
constexpr std::size_t kPredictors = 2;  // One of farfault's, or one of the caller's.
static_assert(FieldsOf<farfault_source_options>() - kPredictors + 1 ==
              FieldCount<SourceOptions>() - kBase - 1 + FieldCount<PushOptions>());
static_assert(FieldsOf<farfault_destination_options>() == FieldCount<DestinationOptions>() - kBase);
static_assert(FieldsOf<farfault_prepage_budget>() == FieldCount<PrePageBudget>() + kLength);
static_assert(kCarried<farfault_prepage_report, PrePageReport>);

constexpr std::size_t kHistograms = 2;  // farfault_session_stats gives them apart.
static_assert(FieldCount<RailStats>() == 3, "farfault_rail_stats tells its path, bytes read and bytes written");
static_assert(FieldsOf<farfault_stats>() == FieldCount<SessionStats>() - kHistograms);

}  // namespace
}  // namespace farfault
