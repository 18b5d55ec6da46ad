#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "test/support/memory_machine.h"
#include "test/support/rdma.h"
#include "test/support/session_pair.h"
#include "test/support/verbs_ends.h"

// Sessions of one process, one after the other: what it has done before is none of the next one's concern.
namespace farfault {
namespace {

const std::vector<GuestImage::Spec> kOneRegion = {{.length = 8u << 20}};

std::string ListenAddress() { return "verbs://" + RequireRdmaAddress() + ":0"; }

/// Moves a guest that has not been touched yet.
void Finish(const SessionPair& pair, GuestImage& source, GuestImage& destination) {
  pair.SwitchOver();
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(kVerbsPatience).ok());
  REQUIRE(source.FirstDifference(destination).empty());
}

void MoveGuest(std::uint64_t seed) {
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  source.Fill(seed);
  Finish(MakePair(source, {}, destination, {}, ListenAddress()), source, destination);
}

bool FailsInTime(const PagingSession& session) {
  const absl::Time deadline = absl::Now() + kVerbsPatience;
  while (session.state() != SessionState::kFailed && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  return session.state() == SessionState::kFailed;
}

/// The same capabilities as before, but in other credentials of this thread: the kernel compares whose they are, not
/// what they allow.
void RenewCredentials() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  REQUIRE(syscall(SYS_capget, &header, data.data()) == 0);
  REQUIRE(syscall(SYS_capset, &header, data.data()) == 0);
}

/// Whether `work` succeeds in a process that is forked here.
template <typename Work>
bool SucceedsInFork(Work work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(100);
    bool succeeded = false;
    try {
      work();
      succeeded = true;
    } catch (...) {  // A REQUIRE has failed.
    }
    _exit(succeeded ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  UNSCOPED_INFO("the forked process ended with status " << status);
  return status == 0;
}

TEST_CASE("sessions of one process follow one another, whatever became of those before") {
  RequireUserfaultfd();
  MoveGuest(1);
  {
    GuestImage source(kOneRegion);
    GuestImage& destination = ImmortalImage(kOneRegion);
    SessionPair pair = MakePair(source, {}, destination, {}, ListenAddress());
    pair.source.reset();
    CHECK(FailsInTime(*pair.destination));
  }
  MoveGuest(2);
  {
    GuestImage source(kOneRegion);
    GuestImage& destination = ImmortalImage(kOneRegion);
    source.Fill(7);
    SourceOptions options;
    options.push.enabled = false;
    SessionPair pair = MakePair(source, std::move(options), destination, {}, ListenAddress());
    pair.SwitchOver();
    pair.destination.reset();
    CHECK(FailsInTime(*pair.source));
  }
  MoveGuest(3);
  MoveGuest(4);
}

TEST_CASE("a process that was forked from one with sessions has its own, and the others go on") {
  RequireUserfaultfd();
  MoveGuest(1);
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  source.Fill(2);
  const SessionPair pair = MakePair(source, {}, destination, {}, ListenAddress());
  CHECK(SucceedsInFork([] {
    MoveGuest(3);
    MoveGuest(4);
  }));
  Finish(pair, source, destination);
  CHECK(SucceedsInFork([] { MoveGuest(5); }));
  MoveGuest(6);
}

TEST_CASE("a thread whose credentials have changed makes sessions, and ends those from before") {
  RequireUserfaultfd();
  GuestImage source(kOneRegion);
  GuestImage& destination = ImmortalImage(kOneRegion);
  SessionPair pair = MakePair(source, {}, destination, {}, ListenAddress());
  RenewCredentials();
  MoveGuest(1);
  pair.source.reset();
  CHECK(FailsInTime(*pair.destination));
  pair.destination.reset();
  MoveGuest(2);
  RenewCredentials();
  MoveGuest(3);
}

TEST_CASE("a transport from before a fork or a change of credentials says why it cannot be used any more") {
  const auto transport = NewTransport(ListenAddress());
  const auto listener = transport->Listen(ListenAddress());
  REQUIRE(listener.ok());
  RenewCredentials();
  const auto refused = transport->Listen(ListenAddress());
  REQUIRE_FALSE(refused.ok());
  CHECK(Mentions(refused.status(), "start a session after the last fork, setuid or capset"));
}

}  // namespace
}  // namespace farfault
