#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "lib/util/mapping.h"
#include "test/support/rdma.h"
#include "test/support/session_pair.h"

// What becomes of registered memory on a device: access that is taken away, limits, and on-demand paging.
namespace farfault {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr std::size_t kBytes = 65536;

bool Mentions(const absl::Status& status, std::string_view what) {
  INFO(status.ToString());
  return status.ToString().find(what) != std::string::npos;
}

/// Two ends in this process, each with a transport of its own.
struct Ends {
  Ends() {
    const std::string address = "verbs://" + RequireRdmaAddress() + ":0";
    for (auto* transport : {&here, &there}) {
      auto made = MakeTransport(address);
      INFO(made.status().ToString());
      REQUIRE(made.ok());
      *transport = *std::move(made);
    }
    auto listener = there->Listen(address);
    REQUIRE(listener.ok());
    std::thread accept([&] {
      auto incoming = (*listener)->Accept(Deadline::After(kPatience));
      auto channel = incoming.ok() ? (*incoming)->Accept({}) : incoming.status();
      if (channel.ok()) accepting = *std::move(channel);
    });
    auto connected = here->Connect((*listener)->address(), {}, {}, Deadline::After(kPatience));
    if (!connected.ok()) (*listener)->Close();
    accept.join();
    REQUIRE((connected.ok() && accepting != nullptr));
    connecting = *std::move(connected);
  }

  CompletionStatus Do(Opcode opcode, const RegisteredMemory& own, std::uint64_t address, std::uint32_t key) const {
    const WorkRequest request{.opcode = opcode,
                              .signaled = true,
                              .local = own.bytes().data(),
                              .length = 4096,
                              .local_key = own.local_key(),
                              .remote_address = address,
                              .remote_key = key};
    REQUIRE(connecting->Post(request) == PostResult::kOk);
    std::array<Completion, 1> completion;
    const absl::Time deadline = absl::Now() + kPatience;
    while (connecting->Poll(completion) == 0) {
      REQUIRE(absl::Now() < deadline);
      std::this_thread::yield();
    }
    return completion[0].status;
  }

  std::unique_ptr<Transport> here;
  std::unique_ptr<Transport> there;
  std::unique_ptr<Channel> accepting;
  std::unique_ptr<Channel> connecting;
};

Mapping Memory(std::size_t bytes) {
  auto memory = Mapping::Anonymous(bytes);
  REQUIRE(memory.ok());
  return *std::move(memory);
}

std::vector<GuestImage::Spec> OneRegion(std::uint64_t length) { return {{.length = length}}; }

TEST_CASE("frames and source memory are closed to late requests once they are revoked") {
  const bool frames = GENERATE(true, false);
  const Mapping own = Memory(kBytes);
  const Mapping theirs = Memory(kBytes);
  const Ends ends;
  auto buffer = ends.here->Register(own.bytes(), RemoteAccess::kNone);
  auto target = ends.there->Register(theirs.bytes(), frames ? RemoteAccess::kWrite : RemoteAccess::kRead);
  REQUIRE((buffer.ok() && target.ok()));
  const Opcode allowed = frames ? Opcode::kWrite : Opcode::kRead;
  const std::uint64_t address = (*target)->remote_address();
  const std::uint32_t key = (*target)->remote_key();
  std::memset(own.bytes().data(), 1, kBytes);
  CHECK(ends.Do(allowed, **buffer, address, key) == CompletionStatus::kOk);
  const std::byte before = theirs.bytes()[0];
  target->reset();
  std::memset(own.bytes().data(), 2, kBytes);
  CHECK(ends.Do(allowed, **buffer, address, key) == CompletionStatus::kError);
  CHECK(absl::IsPermissionDenied(ends.connecting->failure()));
  CHECK(theirs.bytes()[0] == before);
}

TEST_CASE("frames cannot be READ, and source memory cannot be WRITTEN") {
  const bool frames = GENERATE(true, false);
  const Mapping own = Memory(kBytes);
  const Mapping theirs = Memory(kBytes);
  const Ends ends;
  auto buffer = ends.here->Register(own.bytes(), RemoteAccess::kNone);
  auto target = ends.there->Register(theirs.bytes(), frames ? RemoteAccess::kWrite : RemoteAccess::kRead);
  REQUIRE((buffer.ok() && target.ok()));
  std::memset(own.bytes().data(), 2, kBytes);
  CHECK(ends.Do(frames ? Opcode::kRead : Opcode::kWrite, **buffer, (*target)->remote_address(),
                (*target)->remote_key()) == CompletionStatus::kError);
  CHECK(theirs.bytes()[0] == std::byte{0});
  CHECK(own.bytes()[0] == std::byte{2});
}

// Without CAP_IPC_LOCK, which root has, the limit of locked memory holds. False: that cannot be arranged.
bool DropLockCapability(bool drop) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return false;
  const std::uint32_t bit = 1u << CAP_IPC_LOCK;
  if ((data[0].permitted & bit) == 0) return drop;
  data[0].effective = drop ? data[0].effective & ~bit : data[0].effective | bit;
  return syscall(SYS_capset, &header, data.data()) == 0;
}

TEST_CASE("a guest that is larger than may be locked is refused half way, and nothing stays locked") {
  static_cast<void>(RequireRdmaAddress());
  constexpr std::uint64_t kGuest = 160u << 20;  // Three extents, of which the limit allows one.
  constexpr std::uint64_t kLimit = 90u << 20;
  GuestImage source(OneRegion(kGuest));
  GuestImage destination(OneRegion(kGuest));
  std::memset(source.bytes().data(), 5, kGuest);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
  const rlimit low{kLimit, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &low) == 0);
  const absl::Cleanup restore = [&] {
    setrlimit(RLIMIT_MEMLOCK, &before);
    DropLockCapability(false);
  };
  // The threads to come inherit it.
  REQUIRE(DropLockCapability(true));
  const PairOutcome outcome = TryMakePair(source, {}, destination, {}, "verbs://" + RequireRdmaAddress() + ":0");
  INFO("source: " << outcome.source.ToString() << ", destination: " << outcome.destination.ToString());
  CHECK(absl::IsResourceExhausted(outcome.source));
  CHECK(Mentions(outcome.source, std::to_string(kGuest)));
  CHECK(Mentions(outcome.source, std::to_string(kLimit)));
  CHECK(Mentions(outcome.source, "ulimit -l unlimited"));
  CHECK(absl::IsResourceExhausted(outcome.destination));
  CHECK(source.bytes()[kGuest - 1] == std::byte{5});
  source.bytes()[0] = std::byte{6};
  destination.bytes()[0] = std::byte{6};  // Nothing is armed.

  const auto transport = MakeTransport("verbs://" + RequireRdmaAddress() + ":0");
  REQUIRE(transport.ok());
  const auto afterwards = (*transport)->Register(source.bytes().first(80u << 20), RemoteAccess::kRead);
  INFO(afterwards.status().ToString());
  CHECK(afterwards.ok());
}

/// Memory of this process that is pinned for devices (proc_pid_status(5)).
std::uint64_t PinnedBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmPin:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  }
  FAIL("/proc/self/status has no VmPin");
  return 0;
}

TEST_CASE("guest memory is closed to the device as soon as all of it has moved, though the sessions go on") {
  constexpr std::uint64_t kGuest = 32u << 20;
  GuestImage source(OneRegion(kGuest));
  GuestImage destination(OneRegion(kGuest));
  source.Fill(17);
  const std::uint64_t before = PinnedBytes();
  SourceOptions options;
  options.push.enabled = false;
  const SessionPair pair =
      MakePair(source, std::move(options), destination, {}, "verbs://" + RequireRdmaAddress() + ":0");
  pair.SwitchOver();
  // Until then the source serves its memory, and frames are filled.
  CHECK(PinnedBytes() >= before + 2 * kGuest);
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(kPatience).ok());
  REQUIRE(pair.source->WaitUntilDrained(kPatience).ok());
  const absl::Time deadline = absl::Now() + kPatience;
  while (PinnedBytes() >= before + kGuest / 2 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(10));
  CHECK(PinnedBytes() < before + kGuest / 2);
  CHECK(source.FirstDifference(destination).empty());
}

TEST_CASE("on-demand paging is used where the device has it, and refused where it has not") {
  const std::string address = "verbs://" + RequireRdmaAddress() + ":0?odp=1";
  const Mapping memory = Memory(kBytes);
  const auto transport = MakeTransport(address);
  REQUIRE(transport.ok());
  CHECK_FALSE((*transport)->pins_memory());
  const auto registered = (*transport)->Register(memory.bytes(), RemoteAccess::kRead);
  if (!registered.ok()) {
    CHECK(absl::IsFailedPrecondition(registered.status()));
    CHECK(Mentions(registered.status(), "has no on-demand paging"));
    CHECK(Mentions(registered.status(), "odp=1"));
    return;
  }
  GuestImage source(OneRegion(8u << 20));
  GuestImage destination(OneRegion(8u << 20));
  source.Fill(1);
  const SessionPair pair = MakePair(source, {}, destination, {}, address);
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(kPatience).ok());
  CHECK(destination.FirstDifference(source).empty());
}

}  // namespace
}  // namespace farfault
