#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "farfault/farfault.h"
#include "test/support/guest_process.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

// Sources whose guest lives in another process.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kPart = 4u << 20;
constexpr std::uint64_t kPages = 2 * kPart / kSmallPage;
constexpr std::uint64_t kShmem = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;

ForkedGuest::Spec Tracked(std::uint64_t modes) {
  return {.parts = {2 * kPart},
          .shared = true,
          .features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | (1u << 13) | (1u << 15),  // WP_UNPOPULATED, WP_ASYNC
          .register_modes = modes};
}

TEST_CASE("a guest in another process is a source, and what it writes before the switchover arrives",
          "[fabrics][external]") {
  RequireDirtyTracking();
  const std::uint64_t modes = GENERATE(0u, UFFDIO_REGISTER_MODE_WP);
  ForkedGuest guest(Tracked(modes));
  for (std::uint64_t page = 0; page < kPages; ++page) guest.Write(page, page + 1);
  GuestImage destination(std::vector<GuestImage::Spec>{{.length = 2 * kPart}});
  auto memory = GuestMemory::CreateExternal({{.name = "ram", .mappings = {guest.mappings()[0]}, .fd = guest.file()}},
                                            guest.external());
  REQUIRE(memory.ok());
  SessionPair pair = MakePair(*memory, SourceOptions{}, destination.memory(), DestinationOptions{});
  PrePageBudget budget;
  budget.bytes = 8 * kPart;
  budget.time = absl::Seconds(20);
  budget.observe = absl::ZeroDuration();
  const auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->pages_sent >= kPages);
  for (std::uint64_t page = 0; page < kPages; page += 100) guest.Write(page, 1'000'000 + page);
  pair.SwitchOver();
  CHECK(pair.destination->Stats().pages_stale == (kPages + 99) / 100);
  // It is not needed any more.
  guest.Kill();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) {
    std::uint64_t value = 0;
    std::memcpy(&value, destination.bytes().data() + page * kSmallPage, sizeof(value));
    wrong += value != (page % 100 == 0 ? 1'000'000 + page : page + 1) ? 1u : 0u;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a source that cannot see what a guest in another process writes says so", "[external]") {
  RequireDirtyTracking();
  ForkedGuest plain({.parts = {kPart, kPart}, .shared = true, .features = kShmem});
  ForkedGuest tracked(Tracked(0));
  ForkedGuest anonymous({.parts = {kPart, kPart}});
  GuestImage destination(std::vector<GuestImage::Spec>{{.length = 2 * kPart}});
  const auto memory_of = [](const ForkedGuest& guest, std::vector<GuestMapping> mappings) {
    return *GuestMemory::CreateExternal({{.name = "ram", .mappings = std::move(mappings), .fd = guest.file()}},
                                        guest.external());
  };
  PrePageBudget budget;
  budget.bytes = kPart;
  SECTION("features are missing") {
    ForkedGuest one({.parts = {2 * kPart}, .shared = true, .features = kShmem});
    SessionPair pair = MakePair(memory_of(one, {one.mappings()[0]}), SourceOptions{}, destination.memory(), {});
    CHECK_THAT(pair.source->PrePage(budget).status().ToString(), ContainsSubstring("WP_ASYNC"));
    pair.SwitchOver();
  }
  SECTION("events that nobody reads") {
    ExternalGuest watched = tracked.external();
    watched.features |= UFFD_FEATURE_EVENT_REMOVE;
    SessionPair pair =
        MakePair(*GuestMemory::CreateExternal(
                     {{.name = "ram", .mappings = {tracked.mappings()[0]}, .fd = tracked.file()}}, watched),
                 SourceOptions{}, destination.memory(), {});
    CHECK_THAT(pair.source->PrePage(budget).status().ToString(), ContainsSubstring("EVENT_REMOVE"));
    pair.SwitchOver();
  }
  SECTION("its process has exited") {
    SessionPair pair = MakePair(memory_of(tracked, {tracked.mappings()[0]}), SourceOptions{}, destination.memory(), {});
    REQUIRE(pair.source->PrePage(budget).ok());
    tracked.Kill();
    CHECK(absl::IsAborted(pair.source->PrePage(budget).status()));
    CHECK(absl::IsAborted(pair.source->SwitchOver()));
  }
  SECTION("private memory, or memory in parts") {
    SourceOptions options;
    options.connect = "tcp://127.0.0.1:1";
    const auto refused = [&](GuestMemory memory) {
      SourceOptions again;
      again.connect = options.connect;
      const absl::Status status = SourceSession::Create(std::move(memory), std::move(again)).status();
      CHECK(absl::IsInvalidArgument(status));
      return status.ToString();
    };
    CHECK_THAT(refused(memory_of(anonymous, {anonymous.mappings()[0]})), ContainsSubstring("has no file"));
    CHECK_THAT(refused(memory_of(plain, {plain.mappings()[0], plain.mappings()[1]})), ContainsSubstring("2 parts"));
  }
}

}  // namespace
}  // namespace farfault
