#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "farfault/farfault.h"
#include "lib/util/status_text.h"
#include "test/integration/runtime/scripted_destination.h"
#include "test/support/listening_source.h"
#include "test/support/session_pair.h"

// A destination that closes at each step from the first connection to the switchover: the source says so at once and
// what to do, and its guest is as it was.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;
using Step = DestinationStep;

constexpr std::uint64_t kImage = 4u << 20;
const std::vector<GuestImage::Spec> kOneRegion = {{.length = kImage}};
// Whoever notices late is noticed: the sources wait for three times as long.
constexpr auto kAtOnce = std::chrono::seconds(20);

SourceOptions Patient() {
  SourceOptions options;
  options.peer_timeout = absl::Seconds(60);
  options.handshake_timeout = absl::Seconds(60);
  options.prepare_timeout = absl::Seconds(60);
  return options;
}

std::string Text(const absl::Status& status) { return std::string(StatusText(status)); }

// The image of a source, and what it held before.
struct Guest {
  Guest() {
    image.Fill(1);
    copy.Fill(1);
  }

  GuestImage image{kOneRegion};
  GuestImage copy{kOneRegion};
};

// What came of the session, and of the switchover once there was one.
struct Ending {
  absl::Status created;
  absl::Status switched_over;
};

void CheckTold(const Ending& ending, Step last) {
  INFO(ending.created.ToString());
  INFO(ending.switched_over.ToString());
  REQUIRE(ending.created.ok() == (last >= Step::kPrepared));
  if (!ending.created.ok()) {
    CHECK(absl::IsUnavailable(ending.created));
    CHECK_THAT(Text(ending.created), ContainsSubstring("see there why") && ContainsSubstring("begin again"));
    return;
  }
  // Whether the guest may go on. A destination that is ready may be asked before its end is noticed.
  const bool unknown = absl::IsDataLoss(ending.switched_over);
  if (last != Step::kMayActivate) CHECK(unknown == (last == Step::kHeardSwitchOver));
  CHECK(absl::IsUnavailable(ending.switched_over) == !unknown);
  CHECK_THAT(Text(ending.switched_over), ContainsSubstring("the connection to the peer is lost") ||
                                             ContainsSubstring("the push channel to the destination is lost"));
  if (unknown) CHECK_THAT(Text(ending.switched_over), ContainsSubstring("ask there before it goes on here"));
}

// Plays the destination while `meet` makes the source's session. Catch2's assertions belong to this thread.
template <typename Meet>
void CheckLeft(std::unique_ptr<ScriptedDestination> destination, Step last, Meet meet) {
  std::future<Ending> ending = std::async(std::launch::async, std::move(meet));
  destination->Play(last);
  destination.reset();
  REQUIRE(ending.wait_for(kAtOnce) == std::future_status::ready);
  CheckTold(ending.get(), last);
}

TEST_CASE("a destination that leaves at any step of the handshake leaves the guest of a source that connects") {
  const Step last = GENERATE(from_range(DestinationSteps(Step::kConnected, Step::kHeardSwitchOver)));
  CAPTURE(static_cast<int>(last));
  Guest guest;
  auto destination = std::make_unique<ScriptedDestination>(kImage);
  SourceOptions options = Patient();
  options.connect = destination->address();
  CheckLeft(std::move(destination), last, [&guest, made = std::move(options)]() mutable -> Ending {
    auto session = SourceSession::Create(guest.image.memory(), std::move(made));
    if (!session.ok()) return {session.status(), {}};
    return {absl::OkStatus(), (*session)->SwitchOver()};
  });
  CHECK(guest.image.FirstDifference(guest.copy).empty());
}

TEST_CASE("a source that listens is told of a destination that leaves with its data channels open") {
  const Step last = GENERATE(from_range(DestinationSteps(Step::kOpenedPushChannel, Step::kHeardSwitchOver)));
  CAPTURE(static_cast<int>(last));
  Guest guest;
  ListeningSource source(guest.image, Patient());
  CheckLeft(std::make_unique<ScriptedDestination>(kImage, source.address()), last, [&source]() -> Ending {
    if (absl::Status created = source.Join(); !created.ok()) return {created, {}};
    return {absl::OkStatus(), source.session().SwitchOver()};
  });
  CHECK(guest.image.FirstDifference(guest.copy).empty());
}

TEST_CASE("a source's memory is open to its destination until that has all of it, and no longer") {
  Guest guest;
  ListeningSource source(guest.image, Patient());
  ScriptedDestination destination(kImage, source.address());
  destination.Play(Step::kMayActivate);
  REQUIRE(source.Join().ok());
  CHECK(destination.ReadSource() == CompletionStatus::kOk);
  auto switched_over = std::async(std::launch::async, [&source] { return source.session().SwitchOver(); });
  destination.Take(Step::kHeardSwitchOver);
  destination.BecomeResident();
  REQUIRE(switched_over.get().ok());
  REQUIRE(source.session().WaitUntilDrained(absl::Seconds(20)).ok());
  CHECK(destination.ReadSource() == CompletionStatus::kError);
}

}  // namespace
}  // namespace farfault
