#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "lib/runtime/event_sink.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/runtime/rendezvous.h"
#include "lib/session/control_link.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"
#include "lib/util/notification.h"
#include "test/support/listening_source.h"
#include "test/support/memory_machine.h"
#include "test/support/no_threads.h"
#include "test/support/session_pair.h"

// How sessions end before their time: cancelled or failed in the middle of something, and how they behave afterwards.
namespace farfault {
namespace {

constexpr std::uint64_t kImage = 4u << 20;
const std::vector<GuestImage::Spec> kSmall = {{.length = kImage}};
const std::vector<GuestImage::Spec> kLarge = {{.length = 16 * kImage}};

SourceOptions Patient() {
  SourceOptions options;
  options.handshake_timeout = absl::Seconds(5);
  return options;
}

std::unique_ptr<DestinationSession> Meet(GuestImage& image, const std::string& address, EventListener listener) {
  DestinationOptions options;
  options.connect = address;
  options.on_event = std::move(listener);
  auto session = DestinationSession::Create(image.memory(), std::move(options));
  INFO(session.status().ToString());
  REQUIRE(session.ok());
  return *std::move(session);
}

/// Processor time of the whole process over a second: other programs do not make it more.
double BusyShareOfASecond() {
  const std::clock_t before = std::clock();
  absl::SleepFor(absl::Seconds(1));
  return static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
}

TEST_CASE("a session that is cancelled while it is being prepared stays closed") {
  RequireUserfaultfd();
  GuestImage source(kSmall);
  GuestImage destination(kSmall);
  ListeningSource listening(source, Patient());
  Notification preparing;
  Notification cancelled;
  const auto session = Meet(destination, listening.address(), [&](const Event& event) {
    if (event.kind != EventKind::kPreparing || preparing.HasBeenNotified()) return;
    preparing.Notify();
    cancelled.Wait();
  });
  std::thread other([&] {
    preparing.Wait();
    session->Cancel();
    cancelled.Notify();
  });
  const absl::Status prepared = session->Prepare();
  other.join();
  CHECK(absl::IsCancelled(prepared));
  CHECK(session->state() == SessionState::kClosed);
  CHECK(session->status().ok());
  CHECK_FALSE(session->Activate(absl::Milliseconds(1)).ok());
  CHECK_FALSE(listening.Join().ok());
  destination.bytes()[0] = std::byte{1};  // Nothing is armed.
}

TEST_CASE("of several threads that prepare one does, and others may look on meanwhile") {
  RequireUserfaultfd();
  GuestImage source(kSmall);
  source.Fill(1);
  GuestImage destination(kSmall);
  ListeningSource listening(source, Patient());
  const auto session = Meet(destination, listening.address(), {});
  std::atomic<bool> stop = false;
  bool always_right = true;
  std::thread observer([&] {
    while (!stop) {
      always_right &= session->status().ok() && session->Stats().total_pages == kImage / kSmallPage;
      std::this_thread::yield();
    }
  });
  std::atomic<int> succeeded = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      const absl::Status status = session->Prepare();
      succeeded += status.ok() ? 1 : 0;
      refused += absl::IsFailedPrecondition(status) ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  stop = true;
  observer.join();
  CHECK(always_right);
  CHECK(succeeded == 1);
  CHECK(refused == 2);
  CHECK(session->state() == SessionState::kPrepared);
  CHECK(listening.Join().ok());
}

TEST_CASE("what cannot be prepared keeps its reason and is not left armed") {
  RequireUserfaultfd();
  GuestImage source(kSmall);
  GuestImage destination(kSmall);
  ListeningSource listening(source, Patient());
  std::optional<NoThreads> none;
  const auto session = Meet(destination, listening.address(), [&](const Event& event) {
    if (event.kind == EventKind::kPreparing && !none.has_value()) none.emplace();
  });
  const absl::Status prepared = session->Prepare();
  REQUIRE(none.has_value());
  none.reset();
  CHECK(absl::IsResourceExhausted(prepared));
  CHECK(session->state() == SessionState::kFailed);
  CHECK(session->status() == prepared);
  CHECK(absl::IsFailedPrecondition(session->Prepare()));
  CHECK_FALSE(listening.Join().ok());
  destination.bytes()[0] = std::byte{1};
  session->Cancel();
  CHECK(session->state() == SessionState::kFailed);
  CHECK(session->status() == prepared);
}

TEST_CASE("memory is not left armed when the source leaves while it is being prepared") {
  RequireUserfaultfd();
  GuestImage source(kSmall);
  GuestImage destination(kSmall);
  SourceOptions options;
  options.prepare_timeout = absl::Milliseconds(100);
  ListeningSource listening(source, std::move(options));
  const auto session = Meet(destination, listening.address(), {});
  REQUIRE(absl::IsDeadlineExceeded(listening.Join()));
  const absl::Status prepared = session->Prepare();
  INFO(prepared.ToString());
  REQUIRE_FALSE(prepared.ok());
  CHECK(session->status() == prepared);
  // A page that is missing would park this thread.
  destination.bytes()[0] = std::byte{1};
}

TEST_CASE("a session that has failed sleeps, even while its guest waits for a page") {
  RequireUserfaultfd();
  GuestImage& destination = ImmortalImage(kSmall);
  GuestImage source(kSmall);
  source.Fill(11);
  SourceOptions options;
  options.push.enabled = false;
  SessionPair pair = MakePair(source, std::move(options), destination, {});
  pair.SwitchOver();
  pair.source.reset();
  REQUIRE_FALSE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
  std::thread([&destination] {
    volatile std::byte* const missing = destination.bytes().data() + 9 * kSmallPage;
    static_cast<void>(*missing);
  }).detach();
  absl::SleepFor(absl::Milliseconds(1500));
  CHECK(pair.destination->state() == SessionState::kFailed);
  CHECK(BusyShareOfASecond() < 0.25);
}

TEST_CASE("a source whose destination has left in the middle of the push sleeps") {
  RequireUserfaultfd();
  GuestImage& destination = ImmortalImage(kLarge);
  GuestImage source(kLarge);
  source.Fill(12);
  SessionPair pair = MakePair(source, {}, destination, {});
  pair.SwitchOver();
  pair.destination.reset();
  pair.source->WaitUntilDrained(absl::Seconds(30)).IgnoreError();
  absl::SleepFor(absl::Milliseconds(1500));
  CHECK(BusyShareOfASecond() < 0.25);
}

TEST_CASE("a drained source sleeps when its destination has left") {
  RequireUserfaultfd();
  GuestImage destination(kLarge);
  GuestImage source(kLarge);
  source.Fill(12);
  SessionPair pair = MakePair(source, {}, destination, {});
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(30)).ok());
  pair.destination.reset();
  CHECK(BusyShareOfASecond() < 0.25);
  CHECK(pair.source->state() == SessionState::kResident);
  CHECK(destination.FirstDifference(source).empty());
}

/// A destination made of the protocol's own parts, which prepares properly and then says what it likes.
class RawDestination {
 public:
  RawDestination(GuestImage& image, const std::string& address) : events_({}) {
    options_.connect = address;
    auto rendezvous = Rendezvous::Create(Role::kDestination, options_, /*spin=*/true, events_);
    REQUIRE(rendezvous.ok());
    auto connection = (*rendezvous)->Meet([](Connection& peer) -> absl::StatusOr<Rendezvous::Agreement> {
      const auto regions = WaitForMessage(*peer.link, "regions", Deadline::After(absl::Seconds(5)));
      if (!regions.ok()) return regions.status();
      peer.link->Send(MessageType::kRegionsAccepted);
      return Rendezvous::Agreement::kSession;
    });
    transport_ = (*rendezvous)->TakeTransport();
    INFO(connection.status().ToString());
    REQUIRE(connection.ok());
    connection_ = *std::move(connection);
    for (auto type = MessageType::kInitialHoles; type != MessageType::kSourceMemory;) {
      const auto message = WaitForMessage(*connection_.link, "addresses", Deadline::After(absl::Seconds(5)));
      REQUIRE(message.ok());
      type = message->type;
    }
    auto frames = transport_->Register(image.bytes(), RemoteAccess::kReadWrite);
    REQUIRE(frames.ok());
    frames_ = *std::move(frames);
    const Extent own{{0, image.memory().total_pages()}, frames_->remote_address(), frames_->remote_key()};
    SendExtents(*connection_.link, std::span(&own, 1));
    connection_.link->Send(MessageType::kDestinationMemory);
    Flush();
  }
  ~RawDestination() {
    connection_.push.clear();
    connection_.demand.clear();
    connection_.link.reset();
    connection_.control.reset();
  }

  ControlLink& link() { return *connection_.link; }
  void Flush() { FlushLink(link(), Deadline::After(absl::Seconds(5))).IgnoreError(); }

 private:
  SessionOptions options_;
  EventSink events_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<RegisteredMemory> frames_;
  Connection connection_;
};

TEST_CASE("nonsense before the switchover leaves no doubt where the guest runs") {
  GuestImage source(kSmall);
  GuestImage destination(kSmall);
  ListeningSource listening(source, Patient());
  RawDestination peer(destination, listening.address());
  REQUIRE(listening.Join().ok());
  std::thread liar([&peer] {
    absl::SleepFor(absl::Milliseconds(100));
    peer.link().Send(MessageType::kResident);
    peer.Flush();
  });
  const absl::Status switched = listening.session().SwitchOver();
  liar.join();
  INFO(switched.ToString());
  CHECK(absl::IsAborted(switched));
  const absl::Status again = listening.session().SwitchOver();
  CHECK(absl::IsAborted(again));
}

}  // namespace
}  // namespace farfault
