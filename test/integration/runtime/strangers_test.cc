#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "lib/session/handshake.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"
#include "lib/util/unique_fd.h"
#include "test/support/listening_source.h"
#include "test/support/memory_machine.h"
#include "test/support/scripted_peer.h"
#include "test/support/session_pair.h"

// Peers that are not what they should be: of another version, gone in the middle, silent, or no peers at all.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kImage = 4u << 20;
const std::vector<GuestImage::Spec> kOneRegion = {{.length = kImage}};

std::string Text(const absl::Status& status) { return std::string(StatusText(status)); }

SourceOptions Impatient() {
  SourceOptions options;
  options.peer_timeout = absl::Seconds(2);
  options.handshake_timeout = absl::Milliseconds(500);
  return options;
}

SourceOptions Patient() {
  SourceOptions options;
  options.peer_timeout = absl::Seconds(60);
  options.handshake_timeout = absl::Seconds(60);
  return options;
}

// The real peer gets through.
void CheckMeets(ListeningSource& source) {
  GuestImage image(kOneRegion);
  DestinationOptions options;
  options.connect = source.address();
  options.handshake_timeout = absl::Seconds(20);
  auto session = DestinationSession::Create(image.memory(), std::move(options));
  INFO(session.status().ToString());
  REQUIRE(session.ok());
  REQUIRE((*session)->Prepare().ok());
  CHECK(source.Join().ok());
}

TEST_CASE("a peer of another version is told so, and the listener outlasts it") {
  GuestImage image(kOneRegion);
  ListeningSource source(image, Impatient());
  ScriptedPeer peer(source.address(), Role::kDestination);
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
  ListeningSource source(image, Impatient());
  {
    ScriptedPeer peer(source.address(), Role::kDestination);
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
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(Text(status), ContainsSubstring("nobody connected to " + source.address()) &&
                               ContainsSubstring("start the other end, or raise peer_timeout") &&
                               ContainsSubstring("the last peer that tried: the "));
  CHECK(image.FirstDifference(copy).empty());
}

TEST_CASE("a data channel of another session is turned away, and the session's own are let in behind it") {
  GuestImage image(kOneRegion);
  ListeningSource source(image, Patient());
  ScriptedPeer peer(source.address(), Role::kDestination);
  peer.SayHello();
  peer.Prove();
  peer.Expect(MessageType::kRegions);
  peer.link().Send(MessageType::kRegionsAccepted);
  peer.Flush();
  for (const ChannelKind kind : {ChannelKind::kDemand, ChannelKind::kPush}) {
    const absl::Status foreign = peer.OpenForeignDataChannel(kind);
    INFO(foreign.ToString());
    CHECK(absl::IsPermissionDenied(foreign));
    const std::unique_ptr<Channel> own = peer.OpenDataChannel(kind);
    CHECK_FALSE(own->broken());
  }
  peer.HangUp();
  CHECK_FALSE(source.Join().ok());
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
  ScriptedPeer mute(source.address(), Role::kDestination);
  {
    ScriptedPeer liar(source.address(), Role::kDestination);
    liar.link().Send(MessageType::kGoodbye);
  }

  CheckMeets(source);
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

TEST_CASE("silent peers delay nobody, however long each of them is given") {
  RequireUserfaultfd();
  GuestImage image(kOneRegion);
  ListeningSource source(image, Patient());
  std::vector<std::unique_ptr<ScriptedPeer>> mute;
  for (int i = 0; i < 8; ++i) mute.push_back(std::make_unique<ScriptedPeer>(source.address(), Role::kDestination));
  ScriptedPeer half(source.address(), Role::kDestination);
  half.SayHello();

  // One after the other they would take nine minutes.
  CheckMeets(source);
}

TEST_CASE("more silent peers than are kept do not keep the real one out") {
  RequireUserfaultfd();
  GuestImage image(kOneRegion);
  ListeningSource source(image, Patient());
  std::vector<std::unique_ptr<ScriptedPeer>> mute;
  for (int i = 0; i < 70; ++i) mute.push_back(std::make_unique<ScriptedPeer>(source.address(), Role::kDestination));
  // The oldest had to make room.
  REQUIRE(mute.front()->Next().ok());  // Its greeting.
  CHECK(absl::IsUnavailable(mute.front()->Next().status()));

  CheckMeets(source);
}

TEST_CASE("a peer that vanishes before its data channels are open holds nobody up") {
  RequireUserfaultfd();
  GuestImage image(kOneRegion);
  ListeningSource source(image, Patient());
  {
    ScriptedPeer peer(source.address(), Role::kDestination);
    peer.SayHello();
    peer.Prove();
    REQUIRE(peer.Next().ok());  // Regions.
    peer.link().Send(MessageType::kRegionsAccepted);
    peer.Flush();
  }
  CheckMeets(source);
}

TEST_CASE("who connects to a port that takes connections and is silent is told so, once") {
  const UniqueFd silent(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(at);
  REQUIRE(bind(silent.get(), reinterpret_cast<const sockaddr*>(&at), length) == 0);
  REQUIRE(listen(silent.get(), 128) == 0);
  REQUIRE(getsockname(silent.get(), reinterpret_cast<sockaddr*>(&at), &length) == 0);
  SessionOptions options;
  options.connect = "tcp://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  options.peer_timeout = absl::Seconds(2);
  options.handshake_timeout = absl::Milliseconds(100);
  int waiting = 0;
  std::vector<std::string> hints;
  options.on_event = [&](const Event& event) {
    if (event.kind == EventKind::kWaitingForPeer) ++waiting;
    if (event.kind == EventKind::kHint) hints.push_back(event.text);
  };
  const absl::Status status = DescribeSource(options).status();
  INFO(status.ToString());
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK_THAT(Text(status), ContainsSubstring(options.connect) && ContainsSubstring("did not answer in time") &&
                               ContainsSubstring("start the other end, or raise peer_timeout"));
  CHECK(waiting == 1);
  REQUIRE(hints.size() == 1);
  CHECK_THAT(hints[0], ContainsSubstring("what listens at " + options.connect +
                                         " took the connection but did not "
                                         "answer in time") &&
                           ContainsSubstring("check the port") && ContainsSubstring("trying again"));
}

TEST_CASE("a source that falls silent at any step of the handshake is given up with what to do") {
  const std::size_t steps = GENERATE(0u, 1u, 2u);
  CAPTURE(steps);
  GuestImage image(kOneRegion);
  ScriptedPeer source(Role::kSource);
  DestinationOptions options;
  options.connect = source.address();
  options.handshake_timeout = absl::Seconds(2);
  std::future<absl::Status> destination =
      std::async(std::launch::async, [memory = image.memory(), made = std::move(options)]() mutable {
        return DestinationSession::Create(std::move(memory), std::move(made)).status();
      });
  source.Accept();
  if (steps >= 1) source.SayHello();
  if (steps >= 2) source.Prove();
  source.Flush();
  const absl::Status status = destination.get();
  INFO(status.ToString());
  CHECK(absl::IsDeadlineExceeded(status));
  const std::vector<std::string> awaited = {"greeting", "proof that it knows the key", "list of regions"};
  CHECK_THAT(Text(status), ContainsSubstring("connected but silent: its " + awaited[steps] + " did not come in time") &&
                               ContainsSubstring("check the address, and see at the other end what keeps it"));
}

TEST_CASE("peers that keep coming and say nothing do not keep a session waiting for ever") {
  GuestImage image(kOneRegion);
  SourceOptions options;
  options.peer_timeout = absl::Seconds(1);
  options.handshake_timeout = absl::Milliseconds(500);
  ListeningSource source(image, std::move(options));
  std::atomic<bool> over = false;
  std::atomic<int> came = 0;
  bool gave_up = false;
  std::thread strangers([&] {
    // Far longer than both timeouts: it is the session that has to end this.
    const absl::Time end = absl::Now() + absl::Seconds(30);
    auto transport = MakeTransport(source.address());
    while (transport.ok() && !over && absl::Now() < end) {
      const auto mute = (*transport)
                            ->Connect(source.address(), EncodeTicket(ChannelTicket{}), {.service = Service::kPolled},
                                      Deadline::After(absl::Milliseconds(200)));
      came += mute.ok() ? 1 : 0;
      absl::SleepFor(absl::Milliseconds(100));
    }
    gave_up = !over;
  });
  CHECK_FALSE(source.Join().ok());
  over = true;
  strangers.join();
  CHECK_FALSE(gave_up);
  CHECK(came > 0);
}

}  // namespace
}  // namespace farfault
