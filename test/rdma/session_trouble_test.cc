#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "test/support/memory_machine.h"
#include "test/support/rdma_link.h"
#include "test/support/session_pair.h"
#include "test/support/verbs_ends.h"

// What becomes of sessions, and of the guest, when the device under them fails.
namespace farfault {
namespace {

const std::vector<GuestImage::Spec> kOneRegion = {{.length = 8u << 20}};

/// What a session has told.
class Heard {
 public:
  EventListener Listener() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex_);
      told_ += std::string(EventKindName(event.kind)) + ": " + event.text + "\n";
    };
  }
  std::string All() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  bool Waits(std::string_view what) const {
    const absl::Time deadline = absl::Now() + kVerbsPatience;
    while (All().find(what) == std::string::npos && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
    return Mentions(All(), what);
  }

 private:
  mutable std::mutex mutex_;
  std::string told_;
};

SourceOptions WithoutPush(Heard& heard) {
  SourceOptions options;
  options.push.enabled = false;
  options.on_event = heard.Listener();
  return options;
}

DestinationOptions Told(Heard& heard) {
  DestinationOptions options;
  options.on_event = heard.Listener();
  return options;
}

bool WaitUntilFailed(const PagingSession& session) {
  const absl::Time deadline = absl::Now() + kVerbsPatience;
  while (session.state() != SessionState::kFailed && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  return session.state() == SessionState::kFailed;
}

std::string ListenAddress(const RdmaLink& link) { return "verbs://" + link.address() + ":0"; }

/// Threads that touch a page which is missing do not come back, and pages that are there stay right.
void CheckParked(GuestImage& destination, GuestImage& source) {
  static std::atomic<int> came_back = 0;
  came_back = 0;
  std::thread([&destination] {
    static_cast<void>(*static_cast<volatile std::byte*>(destination.bytes().data() + 9 * kSmallPage));
    ++came_back;
  }).detach();
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(came_back == 0);
  CHECK(destination.bytes()[0] == source.bytes()[0]);
}

TEST_CASE("a session tells its device and what both ends agreed on", "[serial]") {
  RequireUserfaultfd();
  const RdmaLink link;
  GuestImage source(kOneRegion);
  GuestImage destination(kOneRegion);
  source.Fill(3);
  Heard at_source;
  Heard at_destination;
  SessionPair pair =
      MakePair(source, WithoutPush(at_source), destination, Told(at_destination), ListenAddress(link) + "?reads=4");
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.reads_at_once == 4);
  CHECK(stats.mtu == 4096);
  CHECK(stats.inline_bytes >= 64);
  CHECK(stats.demand_queue == 4096);
  CHECK(at_destination.Waits("connected: RDMA device " + link.device() + ", port 1, GID 1, MTU 4096, 4 READs at once"));
  CHECK(at_source.Waits("connected: RDMA device " + link.device()));
  CHECK(pair.source->Stats().mtu == 4096);
}

TEST_CASE("one READ at once is slower, and enough", "[serial]") {
  RequireUserfaultfd();
  const RdmaLink link;
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  source.Fill(4);
  Heard heard;
  SessionPair pair = MakePair(source, WithoutPush(heard), destination, {}, ListenAddress(link) + "?reads=1&inline=0");
  CHECK(pair.destination->Stats().reads_at_once == 1);
  pair.SwitchOver();
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(kVerbsPatience).ok());
  CHECK(source.FirstDifference(destination).empty());
}

TEST_CASE("a device that is removed before the switchover leaves the guest at the source", "[serial]") {
  RequireUserfaultfd();
  RdmaLink link;
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  source.Fill(5);
  const std::vector<std::byte> before(source.bytes().begin(), source.bytes().end());
  Heard at_source;
  Heard at_destination;
  {
    SessionPair pair = MakePair(source, WithoutPush(at_source), destination, Told(at_destination), ListenAddress(link));
    link.BeginRemoval();
    CHECK(WaitUntilFailed(*pair.source));
    CHECK(WaitUntilFailed(*pair.destination));
    CHECK_FALSE(pair.source->SwitchOver().ok());
    CHECK(Mentions(at_source.All() + at_destination.All(), link.device() + " was removed"));
    CHECK(Mentions(at_source.All() + at_destination.All(), "rdma link add " + link.device()));
  }
  CHECK(std::equal(before.begin(), before.end(), source.bytes().begin()));
  source.bytes()[5] = std::byte{9};
  // Nobody waits for anything at the destination either: its guest never ran.
  destination.bytes()[5] = std::byte{9};
}

TEST_CASE("a device that is removed after the switchover leaves missing pages parked", "[serial]") {
  RequireUserfaultfd();
  RdmaLink link;
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  source.Fill(6);
  Heard at_source;
  Heard at_destination;
  {
    SessionPair pair = MakePair(source, WithoutPush(at_source), destination, Told(at_destination), ListenAddress(link));
    pair.SwitchOver();
    CHECK(destination.bytes()[0] == source.bytes()[0]);
    link.BeginRemoval();
    CHECK(WaitUntilFailed(*pair.destination));
    CHECK(WaitUntilFailed(*pair.source));
    CHECK(Mentions(at_source.All() + at_destination.All(), link.device() + " was removed"));
    CHECK_FALSE(pair.destination->WaitUntilResident(kVerbsPatience).ok());
    CHECK_FALSE(pair.source->WaitUntilDrained(kVerbsPatience).ok());
    CheckParked(destination, source);
  }
  CheckParked(destination, source);
}

TEST_CASE("a port that goes down in the middle of a session is told while it waits, and when it fails", "[serial]") {
  RequireUserfaultfd();
  RdmaLink link;
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  source.Fill(7);
  Heard at_source;
  Heard at_destination;
  SessionPair pair = MakePair(source, WithoutPush(at_source), destination, Told(at_destination), ListenAddress(link));
  pair.SwitchOver();
  CHECK(destination.bytes()[0] == source.bytes()[0]);
  link.SetDown();
  const std::string down = "port 1 of this host's RDMA device " + link.device() + " is down";
  CHECK(at_destination.Waits("hint: " + down));
  CHECK(at_source.Waits("hint: " + down));
  CheckParked(destination, source);  // Its READ finds the link gone.
  CHECK(WaitUntilFailed(*pair.destination));
  CHECK(Mentions(pair.destination->status(), "parked"));
  CHECK(Mentions(pair.destination->status(), down));
  CHECK(Mentions(pair.destination->status(), "ip link set " + link.interface() + " up"));
}

}  // namespace
}  // namespace farfault
