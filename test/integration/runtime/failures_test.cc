#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <future>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/runtime/rendezvous.h"
#include "lib/session/control_link.h"
#include "lib/session/handshake.h"
#include "lib/transport/transport.h"
#include "lib/util/status_text.h"
#include "lib/util/unique_fd.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

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
  options.peer_timeout = absl::Seconds(2);
  options.handshake_timeout = absl::Milliseconds(500);
  return options;
}

TEST_CASE("ends with different keys do not meet") {
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

TEST_CASE("ends whose memory differs do not meet") {
  RequireUserfaultfd();
  GuestImage source(kOneRegion);
  GuestImage destination(std::vector<GuestImage::Spec>{{.length = 2 * kImage}});
  const PairOutcome outcome =
      TryMakePair(source, Impatient<SourceOptions>(), destination, Impatient<DestinationOptions>());
  CHECK(absl::IsFailedPrecondition(outcome.source));
  CHECK(absl::IsFailedPrecondition(outcome.destination));
  CHECK_THAT(Text(outcome.source), ContainsSubstring("4194304") && ContainsSubstring("8388608"));
  CHECK_THAT(Text(outcome.destination), ContainsSubstring("give it the same length"));
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
  CHECK_THAT(Text(second.status()), ContainsSubstring("in use by another session"));
}

TEST_CASE("nobody there, and an address that is taken, are told with the remedy") {
  GuestImage image(kOneRegion);
  auto options = Impatient<SourceOptions>();
  options.peer_timeout = absl::Milliseconds(200);
  options.connect = "tcp://127.0.0.1:9";
  std::atomic<int> waiting = 0;
  options.on_event = [&](const Event& event) { waiting += event.kind == EventKind::kWaitingForPeer ? 1 : 0; };
  const auto nobody = SourceSession::Create(image.memory(), std::move(options));
  CHECK(absl::IsUnavailable(nobody.status()));
  CHECK_THAT(Text(nobody.status()), ContainsSubstring("127.0.0.1:9") && ContainsSubstring("start the other end"));
  CHECK(waiting == 1);

  auto transport = MakeTransport("tcp://127.0.0.1:0");
  REQUIRE(transport.ok());
  auto listener = (*transport)->Listen("tcp://127.0.0.1:0");
  REQUIRE(listener.ok());
  auto taken = Impatient<SourceOptions>();
  taken.listen = (*listener)->address();
  const auto in_use = SourceSession::Create(image.memory(), std::move(taken));
  CHECK(absl::IsAlreadyExists(in_use.status()));

  auto alone = Impatient<SourceOptions>();
  alone.peer_timeout = absl::Milliseconds(200);
  alone.listen = "tcp://127.0.0.1:0";
  const auto unanswered = SourceSession::Create(image.memory(), std::move(alone));
  CHECK(absl::IsDeadlineExceeded(unanswered.status()));
  CHECK_THAT(Text(unanswered.status()), ContainsSubstring("nobody connected"));
}

// A peer made of the protocol's own parts, so that it can stop or lie at any step.
class RawPeer {
 public:
  RawPeer(const std::string& address, Role role) : role_(role) {
    auto transport = MakeTransport(address);
    REQUIRE(transport.ok());
    transport_ = *std::move(transport);
    auto channel = transport_->Connect(address, EncodeTicket(ChannelTicket{}), {.service = Service::kPolled},
                                       absl::Now() + absl::Seconds(5));
    INFO(channel.status().ToString());
    REQUIRE(channel.ok());
    channel_ = *std::move(channel);
    auto buffers = RegisteredBuffer::Create(*transport_, ControlLink::kBufferBytes, RemoteAccess::kNone);
    REQUIRE(buffers.ok());
    buffers_ = *std::move(buffers);
    link_ = std::make_unique<ControlLink>(*channel_, buffers_.bytes(), buffers_.local_key());
    auto hello = MakeHello(role_, 1, 1);
    REQUIRE(hello.ok());
    hello_ = *hello;
  }
  ~RawPeer() {
    link_.reset();
    channel_.reset();
  }

  ControlLink& link() { return *link_; }
  HelloMessage& hello() { return hello_; }
  absl::StatusOr<ControlMessage> Next() {
    return WaitForMessage(*link_, "next message", absl::Now() + absl::Seconds(5));
  }

  void SayHello() { link_->SendStruct(MessageType::kHello, hello_); }
  void Prove() {
    const auto hello = Next();
    REQUIRE(hello.ok());
    const auto peer = hello->As<HelloMessage>();
    REQUIRE(peer.has_value());
    const bool source = role_ == Role::kSource;
    link_->SendStruct(MessageType::kProof, MakeProof("", role_, source ? hello_ : *peer, source ? *peer : hello_));
    REQUIRE(Next().ok());
  }
  // The other end may have lost patience first.
  void Flush() { FlushLink(*link_, absl::Now() + absl::Seconds(5)).IgnoreError(); }

 private:
  Role role_;
  std::unique_ptr<Transport> transport_;
  RegisteredBuffer buffers_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<ControlLink> link_;
  HelloMessage hello_;
};

// A source that listens, made on a thread of its own.
class ListeningSource {
 public:
  ListeningSource(GuestImage& image, SourceOptions options) {
    options.listen = "tcp://127.0.0.1:0";
    std::promise<std::string> address;
    std::future<std::string> known = address.get_future();
    options.on_event = [&address](const Event& event) {
      if (event.kind == EventKind::kListening) address.set_value(event.text);
    };
    thread_ = std::thread([&image, this, made = std::move(options)]() mutable {
      auto session = SourceSession::Create(image.memory(), std::move(made));
      status_ = session.status();
      if (session.ok()) session_ = *std::move(session);
    });
    address_ = known.get();
  }
  ~ListeningSource() { Join().IgnoreError(); }

  const std::string& address() const { return address_; }
  absl::Status Join() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  std::thread thread_;
  std::string address_;
  absl::Status status_;
  std::unique_ptr<SourceSession> session_;
};

TEST_CASE("a peer of another version is told so, and the listener outlasts it") {
  GuestImage image(kOneRegion);
  ListeningSource source(image, Impatient<SourceOptions>());
  RawPeer peer(source.address(), Role::kDestination);
  peer.hello().version = kWireVersion + 7;
  peer.SayHello();
  REQUIRE(peer.Next().ok());
  const auto refusal = peer.Next();
  CHECK(absl::IsFailedPrecondition(refusal.status()));
  CHECK_THAT(Text(refusal.status()), ContainsSubstring("version"));
  const absl::Status status = source.Join();
  CHECK_FALSE(status.ok());
  CHECK_THAT(Text(status), ContainsSubstring("install the same release"));
}

TEST_CASE("a peer that leaves at any step of the handshake leaves the source as it was") {
  const int steps = GENERATE(0, 1, 2, 3, 4);
  GuestImage image(kOneRegion);
  image.Fill(1);
  GuestImage copy(kOneRegion);
  copy.Fill(1);
  ListeningSource source(image, Impatient<SourceOptions>());
  {
    RawPeer peer(source.address(), Role::kDestination);
    if (steps >= 1) peer.SayHello();
    if (steps >= 2) peer.Prove();
    if (steps >= 3) {
      REQUIRE(peer.Next().ok());  // Regions.
      peer.link().Send(MessageType::kRegionsAccepted);
    }
    if (steps >= 1) peer.Flush();
    if (steps >= 4) absl::SleepFor(absl::Milliseconds(50));  // Accepted, but no data channels.
  }
  const absl::Status status = source.Join();
  INFO(status.ToString());
  CHECK_FALSE(status.ok());
  CHECK_FALSE(Text(status).empty());
  CHECK(image.FirstDifference(copy).empty());
}

TEST_CASE("strangers on the port do not keep the real peer out") {
  RequireUserfaultfd();
  GuestImage image(kOneRegion);
  image.Fill(3);
  SourceOptions options;
  options.peer_timeout = absl::Seconds(20);
  options.handshake_timeout = absl::Milliseconds(300);
  options.push.enabled = true;
  ListeningSource source(image, std::move(options));

  const auto plain_connection = [&source] {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(source.address().substr(source.address().rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
    return fd;
  };
  const UniqueFd silent = plain_connection();
  const UniqueFd garbage = plain_connection();
  const std::string noise(1000, '\x5a');
  CHECK(send(garbage.get(), noise.data(), noise.size(), MSG_NOSIGNAL) > 0);
  RawPeer mute(source.address(), Role::kDestination);
  {
    RawPeer liar(source.address(), Role::kDestination);
    liar.link().Send(MessageType::kGoodbye);
  }

  GuestImage destination(kOneRegion);
  DestinationOptions destination_options;
  destination_options.connect = source.address();
  auto session = DestinationSession::Create(destination.memory(), std::move(destination_options));
  INFO(session.status().ToString());
  REQUIRE(session.ok());
  REQUIRE((*session)->Prepare().ok());
  CHECK(source.Join().ok());
}

TEST_CASE("a source can be asked for its regions and goes on waiting") {
  RequireUserfaultfd();
  GuestImage image(
      std::vector<GuestImage::Spec>{{.name = "low", .length = kImage}, {.name = "high", .length = 2 * kImage}});
  SourceOptions options;
  ListeningSource source(image, std::move(options));
  SessionOptions ask;
  ask.connect = source.address();
  for (int i = 0; i < 3; ++i) {
    const auto regions = DescribeSource(ask);
    INFO(regions.status().ToString());
    REQUIRE(regions.ok());
    REQUIRE(regions->size() == 2);
    CHECK((*regions)[1].name == "high");
    CHECK((*regions)[1].length == 2 * kImage);
    CHECK((*regions)[1].page_size == kSmallPage);
  }
  GuestImage destination(
      std::vector<GuestImage::Spec>{{.name = "low", .length = kImage}, {.name = "high", .length = 2 * kImage}});
  DestinationOptions destination_options;
  destination_options.connect = source.address();
  auto session = DestinationSession::Create(destination.memory(), std::move(destination_options));
  REQUIRE(session.ok());
  REQUIRE((*session)->Prepare().ok());
  CHECK(source.Join().ok());
}

TEST_CASE("whoever cancels before the switchover leaves the guest at the source") {
  RequireUserfaultfd();
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
  }
  CHECK(source.FirstDifference(copy).empty());
  source.bytes()[0] = std::byte{1};  // Nothing is armed any more.
  destination.bytes()[0] = std::byte{1};
}

TEST_CASE("without Activate the switchover is given up, and nothing is lost") {
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
  RequireUserfaultfd();
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

TEST_CASE("when the source is lost, missing pages stay missing") {
  RequireUserfaultfd();
  // The thread that gets parked below never comes back: what it touches outlives the test case.
  auto& destination = *new GuestImage(kOneRegion);
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

TEST_CASE("a destination that leaves early tells the source") {
  RequireUserfaultfd();
  auto& destination = *new GuestImage(kOneRegion);  // Keeps its missing pages.
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
