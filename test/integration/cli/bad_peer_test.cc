#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/session/handshake.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "test/integration/cli/command.h"
#include "test/integration/cli/stranger.h"
#include "test/integration/runtime/scripted_source.h"
#include "test/support/memory_machine.h"
#include "test/support/scripted_peer.h"
#include "test/support/session_pair.h"

// What `farfault fetch` says of a source that is not what it should be: what is wrong, and what to do.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

std::vector<std::string> FetchFrom(const std::string& address, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"fetch", "--from", address};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Farfault(arguments);
}

void CheckEnds(CommandProcess& fetch, const std::vector<std::string>& words) {
  CHECK(fetch.Wait(kPatience) == 1);
  const std::string err = fetch.Err();
  CHECK_THAT(err, ContainsSubstring("farfault: "));
  for (const std::string& word : words) CHECK_THAT(err, ContainsSubstring(word));
  CHECK(fetch.Out().empty());
}

std::string_view Bytes(const TcpHelloReply& reply) { return {reinterpret_cast<const char*>(&reply), sizeof(reply)}; }

TEST_CASE("who waits for ever is told why a port does not answer, and waits on") {
  const Stranger stranger;
  CommandProcess fetch(FetchFrom(stranger.address()));
  SECTION("it closes each connection") {
    stranger.Answer("");
    CHECK(fetch.WaitForErr("hint: the peer at " + stranger.address() +
                               " closed the connection without an answer: it stopped, or it is not",
                           kPatience));
  }
  SECTION("it is silent") {
    CHECK(fetch.WaitForErr(
        "hint: what listens at " + stranger.address() + " took the connection but did not answer in time", kPatience));
  }
  CHECK(fetch.WaitForErr("check the port, and see on that host what listens there; trying again", kPatience));
  CHECK_THAT(fetch.Err(), ContainsSubstring("waiting for a source at " + stranger.address()));
  CHECK(fetch.Wait(absl::ZeroDuration()) == -1);
}

TEST_CASE("a port that says nothing is given up after --wait") {
  const Stranger silent;
  CommandProcess fetch(FetchFrom(silent.address(), {"--wait", "1s"}));
  CheckEnds(fetch, {silent.address(), "did not answer in time", "wait longer with --wait"});
}

TEST_CASE("a port that answers something else is given up at once") {
  const Stranger stranger;
  CommandProcess fetch(FetchFrom(stranger.address()));
  SECTION("in another protocol") {
    stranger.Answer("HTTP/1.1 400 Bad Request\r\n\r\n" + std::string(300, 'x'));
    CheckEnds(fetch, {"what listens at " + stranger.address() + " is not farfault", "check the port"});
  }
  SECTION("in the tcp wire format of another version") {
    stranger.Answer(Bytes({.version = 9, .answer = TcpAnswer::kWrongVersion}));
    CheckEnds(fetch, {stranger.address(), "speaks version 9", "version " + std::to_string(kTcpWireVersion),
                      "use the same version of farfault on both hosts"});
  }
  SECTION("that it does not want this peer") {
    stranger.Answer(Bytes({.answer = TcpAnswer::kRejected}));
    CheckEnds(fetch, {"the peer at " + stranger.address() + " rejected the connection", "check the port"});
  }
}

TEST_CASE("a source whose protocol has another version is named with the remedy") {
  ScriptedPeer source(Role::kSource);
  CommandProcess fetch(FetchFrom(source.address()));
  source.Accept();
  source.hello().version = kWireVersion + 7;
  source.SayHello();
  source.Flush();
  CheckEnds(fetch, {"the peer speaks version " + std::to_string(kWireVersion + 7),
                    "this side version " + std::to_string(kWireVersion), "install the same release on both ends"});
}

TEST_CASE("a source that accepts and says nothing is given up with what to do") {
  ScriptedPeer mute(Role::kSource);
  CommandProcess fetch(FetchFrom(mute.address()));
  mute.Accept();
  CheckEnds(fetch, {"connected but silent", "its greeting did not come in time", "check the address"});
}

TEST_CASE("fetch says at each step of the handshake that its source has left, and what to do") {
  RequireUserfaultfd();
  const SourceStep last = GENERATE(from_range(SourceSteps(SourceStep::kConnected, SourceStep::kToldDirtyRuns)));
  CAPTURE(static_cast<int>(last));
  GuestImage image(std::vector<GuestImage::Spec>{{.length = 1u << 20}});
  auto source = std::make_unique<ScriptedSource>(image);
  CommandProcess fetch(FetchFrom(source->address()));
  // Fetch first asks what there is. A source that leaves before it has told that, leaves then.
  if (last >= SourceStep::kToldRegions) source->Describe();
  source->Play(last);
  source.reset();
  CheckEnds(fetch, {"see there why", "then begin again"});
  CHECK_THAT(fetch.Err(), ContainsSubstring("closed the connection") || ContainsSubstring("nobody listens at") ||
                              ContainsSubstring("broke the connection off") ||
                              ContainsSubstring("Connection reset by peer"));
}

}  // namespace
}  // namespace farfault
