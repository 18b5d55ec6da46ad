#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "lib/transport/transport.h"
#include "lib/util/status_text.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"
#include "test/support/skip.h"

// What can go wrong between two ends: each gets one clear error, nothing hangs, and before the switchover the source's
// guest may simply go on.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kImage = 4u << 20;
const std::vector<GuestImage::Spec> kOneRegion = {{.length = kImage}};

std::string Text(const absl::Status& status) { return std::string(StatusText(status)); }

template <typename Options>
Options Impatient() {
  Options options;
  // Ends that answer must meet within these, in an emulated machine too.
  options.peer_timeout = absl::Seconds(5);
  options.handshake_timeout = absl::Seconds(5);
  return options;
}

TEST_CASE("ends with different keys do not meet", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(kOneRegion);
  GuestImage destination(kOneRegion);
  auto source_options = Impatient<SourceOptions>();
  source_options.pre_shared_key = "right";
  auto destination_options = Impatient<DestinationOptions>();
  destination_options.pre_shared_key = "wrong";
  const PairOutcome outcome =
      TryMakePair(source, std::move(source_options), destination, std::move(destination_options));
  CHECK(absl::IsUnauthenticated(outcome.source));
  CHECK_THAT(Text(outcome.source), ContainsSubstring("same pre-shared key"));
  CHECK(absl::IsUnauthenticated(outcome.destination));
}

TEST_CASE("ends whose memory differs do not meet", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(kOneRegion);
  GuestImage destination(std::vector<GuestImage::Spec>{{.length = 2 * kImage}});
  const PairOutcome outcome =
      TryMakePair(source, Impatient<SourceOptions>(), destination, Impatient<DestinationOptions>());
  CHECK(absl::IsFailedPrecondition(outcome.source));
  CHECK(absl::IsFailedPrecondition(outcome.destination));
  for (const absl::Status& end : {outcome.source, outcome.destination}) {
    CHECK_THAT(Text(end), ContainsSubstring("4194304") && ContainsSubstring("8388608") &&
                              ContainsSubstring("give it the same length on both ends"));
  }
}

TEST_CASE("ends whose pages differ in size do not meet", "[serial]") {
  RequireUserfaultfd();
  const auto pool = HugePagePool::Provide(kImage / kHugePage);
  if (!pool.ok()) SkipFor(std::string(pool.status().message()));
  const bool source_is_huge = GENERATE(true, false);
  CAPTURE(source_is_huge);
  const std::vector<GuestImage::Spec> huge = {{.length = kImage, .page_size = kHugePage}};
  GuestImage source(source_is_huge ? huge : kOneRegion);
  GuestImage destination(source_is_huge ? kOneRegion : huge);
  source.Fill(3);
  const std::byte first = source.bytes()[0];
  const PairOutcome outcome =
      TryMakePair(source, Impatient<SourceOptions>(), destination, Impatient<DestinationOptions>());
  for (const absl::Status& end : {outcome.source, outcome.destination}) {
    INFO(end.ToString());
    CHECK(absl::IsFailedPrecondition(end));
    CHECK_THAT(Text(end), ContainsSubstring("region 'ram' has pages of") && ContainsSubstring("4096") &&
                              ContainsSubstring("2097152") &&
                              ContainsSubstring("map it with the same page size on both ends"));
  }
  CHECK(source.bytes()[0] == first);
}

TEST_CASE("ends that name other regions, or not as many, do not meet") {
  RequireUserfaultfd();
  GuestImage source(std::vector<GuestImage::Spec>{{.name = "low", .length = kImage}});
  const bool more = GENERATE(true, false);
  std::vector<GuestImage::Spec> other = {{.name = more ? "low" : "high", .length = kImage}};
  if (more) other.push_back({.name = "high", .length = kImage});
  GuestImage destination(other);
  const PairOutcome outcome =
      TryMakePair(source, Impatient<SourceOptions>(), destination, Impatient<DestinationOptions>());
  for (const absl::Status& end : {outcome.source, outcome.destination}) {
    INFO(end.ToString());
    CHECK(absl::IsFailedPrecondition(end));
    CHECK_THAT(Text(end), ContainsSubstring(more ? "both must give the same ones" : "give the same regions in the"));
  }
}

TEST_CASE("memory is in one session at a time") {
  RequireUserfaultfd();
  GuestImage source(kOneRegion);
  GuestImage destination(kOneRegion);
  const SessionPair pair = MakePair(source, {}, destination, {});
  SourceOptions again;
  again.connect = "tcp://127.0.0.1:9";
  const auto second = SourceSession::Create(source.memory(), std::move(again));
  CHECK(absl::IsFailedPrecondition(second.status()));
  CHECK_THAT(Text(second.status()), ContainsSubstring("region 'ram' is in use by another session") &&
                                        ContainsSubstring("end that session first"));
}

TEST_CASE("nobody there, and an address that is taken, are told with the remedy") {
  GuestImage image(kOneRegion);
  auto options = Impatient<SourceOptions>();
  options.peer_timeout = absl::Milliseconds(200);
  options.connect = "tcp://127.0.0.1:9";
  std::atomic<int> waiting = 0;
  std::atomic<int> hints = 0;
  options.on_event = [&](const Event& event) {
    waiting += event.kind == EventKind::kWaitingForPeer ? 1 : 0;
    hints += event.kind == EventKind::kHint ? 1 : 0;
  };
  const auto nobody = SourceSession::Create(image.memory(), std::move(options));
  CHECK(absl::IsUnavailable(nobody.status()));
  CHECK_THAT(Text(nobody.status()), ContainsSubstring("127.0.0.1:9") && ContainsSubstring("start the other end"));
  CHECK(waiting == 1);
  CHECK(hints == 0);  // That it is not there yet is all that there is to say.

  auto transport = MakeTransport("tcp://127.0.0.1:0");
  REQUIRE(transport.ok());
  auto listener = (*transport)->Listen("tcp://127.0.0.1:0");
  REQUIRE(listener.ok());
  auto taken = Impatient<SourceOptions>();
  taken.listen = (*listener)->address();
  const auto in_use = SourceSession::Create(image.memory(), std::move(taken));
  CHECK(absl::IsAlreadyExists(in_use.status()));
  CHECK_THAT(Text(in_use.status()), ContainsSubstring((*listener)->address() + " is in use by another program") &&
                                        ContainsSubstring("listen at another port; port 0 picks a free one"));

  auto alone = Impatient<SourceOptions>();
  alone.peer_timeout = absl::Milliseconds(200);
  alone.listen = "tcp://127.0.0.1:0";
  const auto unanswered = SourceSession::Create(image.memory(), std::move(alone));
  CHECK(absl::IsDeadlineExceeded(unanswered.status()));
  CHECK_THAT(Text(unanswered.status()), ContainsSubstring("nobody connected"));
}

TEST_CASE("whoever cancels before the switchover leaves the guest at the source") {
  RequireDirtyTracking();
  const bool source_cancels = GENERATE(true, false);
  GuestImage source(kOneRegion);
  source.Fill(5);
  GuestImage copy(kOneRegion);
  copy.Fill(5);
  GuestImage destination(kOneRegion);
  {
    const SessionPair pair = MakePair(source, {}, destination, {});
    PrePageBudget budget;
    budget.bytes = kImage;
    budget.observe = absl::ZeroDuration();
    REQUIRE(pair.source->PrePage(budget).ok());
    if (source_cancels) {
      pair.source->Cancel();
      CHECK(pair.source->state() == SessionState::kClosed);
      const absl::Status activated = pair.destination->Activate(absl::Seconds(10));
      CHECK_FALSE(activated.ok());
      CHECK(pair.destination->state() == SessionState::kFailed);
    } else {
      pair.destination->Cancel();
      CHECK(pair.destination->state() == SessionState::kClosed);
      for (int i = 0; i < 1000 && pair.source->state() != SessionState::kFailed; ++i)
        absl::SleepFor(absl::Milliseconds(5));
    }
    const absl::Status switched = pair.source->SwitchOver();
    INFO(switched.ToString());
    CHECK_FALSE(switched.ok());
    CHECK_FALSE(absl::IsDataLoss(switched));
    // Whatever the destination's reason is, it is no invitation to try again.
    if (!source_cancels) CHECK(absl::IsAborted(switched));
  }
  CHECK(source.FirstDifference(copy).empty());
  source.bytes()[0] = std::byte{1};  // Nothing is armed any more.
  destination.bytes()[0] = std::byte{1};
}

TEST_CASE("without Activate the switchover is given up, and nothing is lost", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(kOneRegion);
  GuestImage destination(kOneRegion);
  const SessionPair pair = MakePair(source, Impatient<SourceOptions>(), destination, {});
  const absl::Status switched = pair.source->SwitchOver();
  CHECK(absl::IsDeadlineExceeded(switched));
  CHECK_THAT(Text(switched), ContainsSubstring("Activate") && ContainsSubstring("go on at the source"));
  CHECK_FALSE(pair.destination->Activate(absl::Seconds(5)).ok());
}

TEST_CASE("methods out of order are refused by name") {
  RequireDirtyTracking();
  GuestImage source(kOneRegion);
  source.Fill(1);
  GuestImage destination(kOneRegion);
  const SessionPair pair = MakePair(source, {}, destination, {});
  CHECK(absl::IsFailedPrecondition(pair.destination->Prepare()));
  PrePageBudget unlimited;
  CHECK(absl::IsInvalidArgument(pair.source->PrePage(unlimited).status()));
  const PageRun run{0, 1};
  CHECK(absl::IsFailedPrecondition(pair.source->ReportDirty(std::span(&run, 1))));
  pair.SwitchOver();
  CHECK(absl::IsFailedPrecondition(pair.source->SwitchOver()));
  PrePageBudget budget;
  budget.bytes = 1;
  CHECK(absl::IsFailedPrecondition(pair.source->PrePage(budget).status()));
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
}

TEST_CASE("when the source is lost, missing pages stay missing", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage& destination = ImmortalImage(kOneRegion);
  GuestImage source(kOneRegion);
  source.Fill(11);
  SourceOptions options;
  options.push.enabled = false;
  SessionPair pair = MakePair(source, std::move(options), destination, {});
  pair.SwitchOver();
  CHECK(destination.bytes()[0] == source.bytes()[0]);
  pair.source.reset();
  const absl::Status resident = pair.destination->WaitUntilResident(absl::Seconds(30));
  CHECK_FALSE(resident.ok());
  CHECK(pair.destination->state() == SessionState::kFailed);
  CHECK_THAT(Text(resident), ContainsSubstring("parked") || ContainsSubstring("ended"));

  static std::atomic<bool> came_back = false;
  std::thread([&destination] {
    volatile std::byte* const missing = destination.bytes().data() + 9 * kSmallPage;
    static_cast<void>(*missing);
    came_back = true;
  }).detach();
  absl::SleepFor(absl::Milliseconds(200));
  CHECK_FALSE(came_back);
  pair.destination.reset();
  absl::SleepFor(absl::Milliseconds(200));
  CHECK_FALSE(came_back);
  CHECK(destination.bytes()[0] == source.bytes()[0]);
}

TEST_CASE("a destination that leaves early tells the source", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage& destination = ImmortalImage(kOneRegion);
  GuestImage source(kOneRegion);
  SourceOptions options;
  options.push.enabled = false;
  source.Fill(12);
  SessionPair pair = MakePair(source, std::move(options), destination, {});
  pair.SwitchOver();
  pair.destination.reset();
  const absl::Status drained = pair.source->WaitUntilDrained(absl::Seconds(30));
  CHECK_FALSE(drained.ok());
  CHECK_FALSE(absl::IsDeadlineExceeded(drained));
}

}  // namespace
}  // namespace farfault
