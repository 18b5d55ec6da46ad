#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <thread>

#include "test/integration/runtime/whole_sessions.h"

// Threads at the destination that touch the memory before the source has handed it over.
namespace farfault {
namespace {

constexpr std::uint64_t kLength = 16u << 20;
// In a hole that is large enough not to be registered, so that what is put there is staged.
constexpr PageIndex kLate = (12u << 20) / kSmallPage;
constexpr absl::Duration kLongEnough = absl::Milliseconds(200);

// A store that cannot be done before the switchover.
class EarlyStore {
 public:
  explicit EarlyStore(std::byte* address)
      : thread_([this, address] {
          std::atomic_ref(*address).store(std::byte{0xaa});
          done_ = true;
        }) {}
  ~EarlyStore() { thread_.join(); }
  EarlyStore(const EarlyStore&) = delete;
  EarlyStore& operator=(const EarlyStore&) = delete;

  bool parked() const {
    absl::SleepFor(kLongEnough);
    return !done_;
  }

 private:
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

TEST_CASE("pre-paging shows nothing to whoever touches a page before the switchover") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  const bool before = GENERATE(true, false);
  CAPTURE(shared, before);
  GuestImage source({{.length = kLength, .shared = shared}});
  GuestImage& destination = ImmortalImage({{.length = kLength, .shared = shared}});
  std::memset(source.bytes().data(), 1, 2u << 20);
  const SessionPair pair = MakePair(source, {}, destination, {}, "tcp://127.0.0.1:0");
  std::memset(source.bytes().data() + kLate * kSmallPage, 3, 2 * kSmallPage);
  std::byte* const touched = destination.bytes().data() + kLate * kSmallPage + 1;
  std::optional<EarlyStore> store;
  if (before) {
    store.emplace(touched);
    CHECK(store->parked());
  }
  PrePageBudget budget;
  budget.bytes = kLength;
  const auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  if (!before) store.emplace(touched);
  CHECK(store->parked());
  // One of two neighbours becomes stale.
  source.bytes()[kLate * kSmallPage] = std::byte{0x77};
  pair.SwitchOver();
  store.reset();
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
  CHECK(*touched == std::byte{0xaa});
  *touched = std::byte{3};
  CHECK(destination.FirstDifference(source).empty());
}

}  // namespace
}  // namespace farfault
