#include "lib/transport/tcp/tcp_listener.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/util/deadline.h"
#include "test/unit/transport/tcp/raw_peer.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

struct Fixture {
  Fixture() {
    auto made = MakeTransport("tcp://127.0.0.1:0");
    REQUIRE(made.ok());
    transport = *std::move(made);
    auto listening = transport->Listen("tcp://127.0.0.1:0");
    REQUIRE(listening.ok());
    listener = *std::move(listening);
  }

  // Whether a well-behaved peer gets through, and how long that took.
  bool Connects(absl::Duration* took = nullptr) const {
    bool accepted = false;
    std::thread accept([&] {
      const auto incoming = listener->Accept(Deadline::After(kPatience));
      accepted = incoming.ok() && (*incoming)->Accept({}).ok();
    });
    const absl::Time began = absl::Now();
    const bool connected = transport->Connect(listener->address(), {}, {}, Deadline::After(kPatience)).ok();
    if (took != nullptr) *took = absl::Now() - began;
    if (!connected) listener->Close();
    accept.join();
    return connected && accepted;
  }

  std::unique_ptr<Transport> transport;
  std::unique_ptr<Listener> listener;
};

TEST_CASE("strangers at the port are in nobody's way") {
  const Fixture f;
  std::deque<RawPeer> peers;
  SECTION("silent") {
    for (int i = 0; i < 10; ++i) peers.emplace_back(f.listener->address());
  }
  SECTION("more silent ones than may wait") {
    for (std::size_t i = 0; i < 2 * TcpListener::kMostPending; ++i) peers.emplace_back(f.listener->address());
  }
  SECTION("in another protocol") {
    peers.emplace_back(f.listener->address()).Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  SECTION("garbage") { peers.emplace_back(f.listener->address()).Send(std::string(100'000, '\xa5')); }
  SECTION("half a hello") {
    const TcpHello hello;
    peers.emplace_back(f.listener->address()).Send(std::as_bytes(std::span(&hello, 1)).first(40));
  }
  SECTION("one byte, then the end") {
    peers.emplace_back(f.listener->address()).Send("f");
    peers.back().FinishSending();
  }
  SECTION("gone at once") {
    peers.emplace_back(f.listener->address());
    peers.clear();
  }
  SECTION("a hello, then gone") {
    peers.emplace_back(f.listener->address()).SendStruct(TcpHello{});
    peers.clear();
  }
  absl::Duration took;
  CHECK(f.Connects(&took));
  // Not even the time that a silent peer is given passes first.
  CHECK(took < TcpListener::kHelloTimeout);
}

TEST_CASE("a stranger is shown out as soon as its first bytes are wrong") {
  const Fixture f;
  const RawPeer peer(f.listener->address());
  peer.Send("SSH-2.0-");
  CHECK(absl::IsDeadlineExceeded(f.listener->Accept(Deadline::After(absl::Milliseconds(200))).status()));
  CHECK(peer.SeesEnd());
}

TEST_CASE("a hello may come in pieces") {
  const Fixture f;
  const RawPeer peer(f.listener->address());
  TcpHello hello;
  hello.private_data[55] = std::byte{7};
  const auto bytes = std::as_bytes(std::span(&hello, 1));
  for (std::size_t i = 0; i < bytes.size(); i += 9) {
    CHECK(!f.listener->Accept(Deadline::After(absl::Milliseconds(2))).ok());
    peer.Send(bytes.subspan(i, std::min<std::size_t>(9, bytes.size() - i)));
  }
  const auto incoming = f.listener->Accept(Deadline::After(kPatience));
  REQUIRE(incoming.ok());
  CHECK((*incoming)->private_data()[55] == std::byte{7});
  CHECK((*incoming)->peer().rfind("tcp://127.0.0.1:", 0) == 0);
}

TEST_CASE("a peer of another version is told which one this side speaks") {
  const Fixture f;
  const RawPeer peer(f.listener->address());
  TcpHello hello;
  hello.version = kTcpWireVersion + 1;
  hello.size = 500;
  peer.SendStruct(hello);
  peer.Send(std::string(500 - sizeof(hello), 'x'));
  CHECK(absl::IsDeadlineExceeded(f.listener->Accept(Deadline::After(absl::Milliseconds(200))).status()));
  const std::vector<std::byte> bytes = peer.Receive(sizeof(TcpHelloReply));
  REQUIRE(bytes.size() == sizeof(TcpHelloReply));
  TcpHelloReply reply;
  std::memcpy(&reply, bytes.data(), sizeof(reply));
  CHECK(reply.magic == kTcpMagic);
  CHECK(reply.answer == TcpAnswer::kWrongVersion);
  CHECK(reply.version == kTcpWireVersion);
}

TEST_CASE("the address of a listener has the port that was chosen") {
  const Fixture f;
  CHECK(f.listener->address().rfind("tcp://127.0.0.1:", 0) == 0);
  CHECK(f.listener->address() != "tcp://127.0.0.1:0");
}

TEST_CASE("a listener of IPv6 wildcards takes IPv4 as well") {
  const Fixture f;
  const auto listener = f.transport->Listen("tcp://[::]:0");
  REQUIRE(listener.ok());
  const std::string port = (*listener)->address().substr(std::string_view("tcp://[::]:").size());
  const RawPeer peer("tcp://127.0.0.1:" + port);
  peer.SendStruct(TcpHello{});
  CHECK((*listener)->Accept(Deadline::After(kPatience)).ok());
}

TEST_CASE("listening where this host has no address says so") {
  const Fixture f;
  // TEST-NET-1 is assigned to nobody.
  const auto listener = f.transport->Listen("tcp://192.0.2.1:0");
  CHECK(absl::IsInvalidArgument(listener.status()));
  CHECK(listener.status().message().find("192.0.2.1") != std::string_view::npos);
}

TEST_CASE("an address in use names the port and a way out") {
  const Fixture f;
  const auto second = f.transport->Listen(f.listener->address());
  REQUIRE(absl::IsAlreadyExists(second.status()));
  const std::string port = f.listener->address().substr(std::string_view("tcp://127.0.0.1:").size());
  CHECK(second.status().message().find("port " + port) != std::string_view::npos);
  CHECK(second.status().message().find("port 0") != std::string_view::npos);
}

}  // namespace
}  // namespace farfault
