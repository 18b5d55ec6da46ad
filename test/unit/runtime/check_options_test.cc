#include "lib/runtime/check_options.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "lib/util/status_text.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

GuestMemory Memory() {
  Region region;
  region.name = "ram";
  region.base = reinterpret_cast<std::byte*>(std::uint64_t{1} << 40);
  region.length = 16 * kSmallPage;
  auto memory = GuestMemory::Create({region});
  REQUIRE(memory.ok());
  return *memory;
}

template <typename Options>
std::string Refusal(const std::function<void(Options&)>& change) {
  Options options;
  options.connect = "tcp://127.0.0.1:1";
  change(options);
  const absl::Status status = CheckOptions(options, Memory());
  CHECK(absl::IsInvalidArgument(status));
  return std::string(StatusText(status));
}

TEST_CASE("the defaults with an address pass") {
  SourceOptions source;
  source.listen = "tcp://127.0.0.1:0";
  CHECK(CheckOptions(source, Memory()).ok());
  DestinationOptions destination;
  destination.connect = "tcp://127.0.0.1:1";
  CHECK(CheckOptions(destination, Memory()).ok());
}

TEST_CASE("an option out of range is named with its value and its range") {
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.connect.clear(); }), ContainsSubstring("exactly one"));
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.listen = "tcp://[::]:0"; }),
             ContainsSubstring("exactly one"));
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.push_channels = 9; }),
             ContainsSubstring("push_channels is 9; it must be 1 to 8"));
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.demand_channels = 0; }),
             ContainsSubstring("demand_channels is 0"));
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.push.window_bytes = 1000; }),
             ContainsSubstring("push.window_bytes is 1000"));
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.push.batch_bytes = 1u << 30; }),
             ContainsSubstring("push.batch_bytes is 1073741824"));
  CHECK_THAT(Refusal<SourceOptions>([](auto& options) { options.pre_shared_key.resize(5000); }),
             ContainsSubstring("pre_shared_key"));
  CHECK_THAT(Refusal<DestinationOptions>([](auto& options) { options.max_outstanding_faults = 1025; }),
             ContainsSubstring("max_outstanding_faults is 1025"));
  CHECK_THAT(Refusal<DestinationOptions>([](auto& options) { options.map_around_pages = 0; }),
             ContainsSubstring("map_around_pages is 0"));
  CHECK_THAT(Refusal<DestinationOptions>([](auto& options) { options.staging_bytes = 1; }),
             ContainsSubstring("staging_bytes is 1"));
  CHECK_THAT(Refusal<DestinationOptions>([](auto& options) { options.handshake_timeout = absl::ZeroDuration(); }),
             ContainsSubstring("handshake_timeout is 0"));
  CHECK_THAT(Refusal<DestinationOptions>([](auto& options) { options.spin = -absl::Seconds(1); }),
             ContainsSubstring("spin is -1s"));
}

TEST_CASE("a budget needs a limit, and critical ranges inside the memory") {
  PrePageBudget budget;
  CHECK_FALSE(CheckBudget(budget, Memory()).ok());
  budget.bytes = 4096;
  CHECK(CheckBudget(budget, Memory()).ok());
  budget.critical = {{15, 1}};
  CHECK(CheckBudget(budget, Memory()).ok());
  budget.critical = {{15, 2}};
  CHECK_FALSE(CheckBudget(budget, Memory()).ok());
  budget.critical = {{0, 0}};
  CHECK_FALSE(CheckBudget(budget, Memory()).ok());
}

}  // namespace
}  // namespace farfault
