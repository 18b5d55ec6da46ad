#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "lib/util/status_text.h"
#include "test/integration/runtime/rails_heard.h"
#include "test/integration/runtime/whole_sessions.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"
#include "test/support/two_rails.h"
#include "test/support/verbs_ends.h"

// Sessions over several rails that do not fit, or of which one breaks.
namespace farfault {
namespace {

/// A destination that waits for a source that does it right, and is told of one that does not.
class Waiting {
 public:
  explicit Waiting(const std::string& listen) {
    DestinationOptions options = Told(heard_);
    options.listen = listen;
    options.peer_timeout = absl::Seconds(60);
    thread_ = std::thread([this, options = std::move(options)]() mutable {
      auto session = DestinationSession::Create(image_.memory(), std::move(options));
      status_ = session.status();
      if (!session.ok()) return;
      session_ = *std::move(session);
      status_ = session_->Prepare();
    });
  }
  ~Waiting() {
    if (thread_.joinable()) thread_.join();
  }

  std::string address() const { return heard_.WaitFor(&Heard::address); }
  const Heard& heard() const { return heard_; }
  absl::Status Join() {
    thread_.join();
    return status_;
  }

 private:
  Heard heard_;
  GuestImage image_{OneRegion(true)};
  std::unique_ptr<DestinationSession> session_;
  absl::Status status_;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<SourceSession>> Connect(GuestImage& source, const std::string& address) {
  SourceOptions options = Pushing(true);
  options.connect = address;
  options.peer_timeout = absl::Seconds(5);
  return SourceSession::Create(source.memory(), std::move(options));
}

TEST_CASE("ends whose rails differ are told so, and the one that listens goes on", "[fabrics][serial]") {
  RequireUserfaultfd();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  source.Fill(34);
  Waiting destination(rails.listen());
  const std::string address = destination.address();
  const std::string first = address.substr(0, address.find('?'));
  const std::string second = address.substr(address.find("rail=") + 5);
  const std::string scheme = address.substr(0, address.find("//") + 2);

  const absl::Status fewer = Connect(source, first).status();
  CHECK(absl::IsFailedPrecondition(fewer));
  CHECK(Mentions(fewer, "this end has 1 rail and the peer 2: give both ends as many"));

  const absl::Status swapped = Connect(source, scheme + second + "?rail=" + first.substr(scheme.size())).status();
  CHECK(absl::IsFailedPrecondition(swapped));
  CHECK(Mentions(swapped, "what belongs to rail 1 came in on rail 2 of 2"));
  CHECK(Mentions(swapped, "in the same order, " + address));

  const absl::Status unheard = Connect(source, first + "?rail=" + second.substr(0, second.rfind(':')) + ":1").status();
  CHECK_FALSE(unheard.ok());
  CHECK(Mentions(unheard, "rail 2 of 2"));
  CHECK(Mentions(destination.heard().Get(&Heard::hints), "rail 1 came in on rail 2"));

  const auto right = Connect(source, address);
  INFO(right.status().ToString());
  CHECK(right.ok());
  const absl::Status prepared = destination.Join();
  INFO(prepared.ToString());
  CHECK(prepared.ok());
  CHECK(Mentions(destination.heard().Get(&Heard::hints),
                 "a peer came and failed: the peer left before it had opened its data channels: the peer says: "));
}

TEST_CASE("a third rail that leads to the second is refused at both ends with the remedy", "[fabrics][serial]") {
  RequireUserfaultfd();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  source.Fill(35);
  const std::string listen = rails.listen();
  Waiting destination(listen + "&rail=" + listen.substr(listen.find("rail=") + 5));
  const std::string address = destination.address();
  const std::size_t second = address.find("rail=");
  const std::size_t third = address.rfind("&rail=");
  const std::string wrong =
      address.substr(0, second) + address.substr(third + 1) + "&" + address.substr(second, third - second);
  const absl::Status refused = Connect(source, wrong).status();
  CHECK(absl::IsFailedPrecondition(refused));
  CHECK(Mentions(refused, "the peer says: what belongs to rail 2 came in on rail 3 of 3"));
  const absl::Status there = destination.Join();
  CHECK(absl::IsFailedPrecondition(there));
  CHECK(Mentions(there, "in the same order, " + address));
}

bool WaitUntilFailed(const PagingSession& session) {
  const absl::Time deadline = absl::Now() + kVerbsPatience;
  while (session.state() != SessionState::kFailed && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  return session.state() == SessionState::kFailed;
}

TEST_CASE("a rail that breaks ends the session, names itself, and leaves missing pages parked", "[fabrics][serial]") {
  RequireUserfaultfd();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  GuestImage& destination = ImmortalImage(OneRegion(true));
  source.Fill(36);
  Heard heard;
  Heard at_source;
  SourceOptions options = Pushing(false);
  options.on_event = at_source.Listener();
  const SessionPair pair = MakePair(source, std::move(options), destination, Told(heard), rails.listen());
  pair.SwitchOver();
  for (std::size_t page = 0; page < 8; ++page) {
    REQUIRE(destination.bytes()[page * kSmallPage] == source.bytes()[page * kSmallPage]);
  }
  TwoRails::BreakSecond(heard.Get(&Heard::address));
  static std::atomic<int> came_back;
  came_back = 0;
  // Each rail gets some of these.
  for (std::size_t page = 100; page < 104; ++page) {
    std::thread([&destination, page] {
      static_cast<void>(*static_cast<volatile std::byte*>(destination.bytes().data() + page * kSmallPage));
      ++came_back;
    }).detach();
  }
  CHECK(WaitUntilFailed(*pair.destination));
  CHECK(WaitUntilFailed(*pair.source));
  CHECK(Mentions(heard.Get(&Heard::failure) + at_source.Get(&Heard::failure), "rail 2 of 2"));
  CHECK(came_back < 4);
  CHECK(destination.bytes()[0] == source.bytes()[0]);
}

TEST_CASE("a rail that breaks before the switchover leaves the guest at the source", "[fabrics][serial]") {
  RequireDirtyTracking();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  GuestImage& destination = ImmortalImage(OneRegion(true));
  source.Fill(37);
  const std::vector<std::byte> before(source.bytes().begin(), source.bytes().end());
  Heard heard;
  {
    const SessionPair pair = MakePair(source, Pushing(true), destination, Told(heard), rails.listen());
    TwoRails::BreakSecond(heard.Get(&Heard::address));
    // Over verbs it shows only when something is to go over it.
    static_cast<void>(pair.source->PrePage(Everything()));
    CHECK(WaitUntilFailed(*pair.source));
    CHECK(WaitUntilFailed(*pair.destination));
    const absl::Status refused = pair.source->SwitchOver();
    CHECK_FALSE(refused.ok());
    CHECK(Mentions(std::string(StatusText(refused)) + heard.Get(&Heard::failure), "rail 2 of 2"));
  }
  CHECK(std::equal(before.begin(), before.end(), source.bytes().begin()));
  source.bytes()[5] = std::byte{9};
}

}  // namespace
}  // namespace farfault
