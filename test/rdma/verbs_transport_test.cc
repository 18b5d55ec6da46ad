#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "test/support/rdma.h"
#include "test/support/verbs_ends.h"

// What only the verbs transport does, and needs a device for; what all transports do is in test/conformance.
namespace farfault {
namespace {

std::array<std::byte, 8192>& Page() {
  alignas(4096) static std::array<std::byte, 8192> page;
  return page;
}

// Whether a WRITE of inline data and a READ of it come through.
void CheckTraffic(Transport& connecting, Transport& accepting, const VerbsEnds& ends) {
  auto here = connecting.Register(std::span(Page()).first(4096), RemoteAccess::kNone);
  auto there = accepting.Register(std::span(Page()).subspan(4096), RemoteAccess::kReadWrite);
  REQUIRE(here.ok());
  REQUIRE(there.ok());
  std::uint64_t value = 0x0123456789abcdef;
  const std::array<WorkRequest, 2> chain = {WorkRequest{.opcode = Opcode::kWrite,
                                                        .inline_data = true,
                                                        .local = reinterpret_cast<std::byte*>(&value),
                                                        .length = 8,
                                                        .remote_address = (*there)->remote_address(),
                                                        .remote_key = (*there)->remote_key()},
                                            WorkRequest{.opcode = Opcode::kRead,
                                                        .signaled = true,
                                                        .local = Page().data(),
                                                        .length = 8,
                                                        .local_key = (*here)->local_key(),
                                                        .remote_address = (*there)->remote_address(),
                                                        .remote_key = (*there)->remote_key()}};
  REQUIRE(ends.connecting->Post(chain) == PostResult::kOk);
  CHECK(NextCompletion(*ends.connecting).status == CompletionStatus::kOk);
  CHECK(*reinterpret_cast<std::uint64_t*>(Page().data()) == value);
}

std::string DeviceName() {
  const auto transport = NewTransport("verbs://" + RequireRdmaAddress() + ":0");
  const auto listener = transport->Listen("verbs://" + RequireRdmaAddress() + ":0?device=no-such-device");
  // "this host has no RDMA device no-such-device; it has: rxe0, rxe1"
  CHECK(absl::IsInvalidArgument(listener.status()));
  const std::string text(listener.status().message());
  const std::size_t begin = text.rfind(": ");
  REQUIRE(begin != std::string::npos);
  return text.substr(begin + 2, text.find(',', begin) - begin - 2);
}

TEST_CASE("devices, ports and traffic classes can be forced") {
  const std::string host = RequireRdmaAddress();
  const std::string device = DeviceName();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://" + host + ":0");
  const VerbsEnds ends = Meet(*connecting, *accepting, "verbs://0.0.0.0:0?tclass=106&device=" + device,
                              "?port=1&tclass=106&device=" + device);
  CheckTraffic(*connecting, *accepting, ends);
  // As the queue pairs tell, after both ends have set it.
  const std::string path = ends.connecting->path();
  CHECK(path.ends_with(", traffic class 106"));
  CHECK(ends.accepting->path() == path);

  const std::string gid = path.substr(path.find("GID ") + 4, path.rfind(',') - path.find("GID ") - 4);
  const std::string forced = "?device=" + device + "&port=1&gid=" + gid;
  const VerbsEnds by_gid = Meet(*connecting, *accepting, "verbs://0.0.0.0:0" + forced, forced);
  CHECK(by_gid.connecting->path().starts_with("RDMA device " + device + ", port 1, GID " + gid));
  CheckTraffic(*connecting, *accepting, by_gid);
  // The first of a port is made of its link-local address, by which no other address is reached.
  if (gid != "0") {
    const auto other =
        connecting->Connect("verbs://" + host + ":1?gid=0&device=" + device, {}, {}, Deadline::After(kVerbsPatience));
    CHECK(absl::IsInvalidArgument(other.status()));
    CHECK(Mentions(other.status(), "GID 0"));
  }
  const auto none =
      connecting->Connect("verbs://" + host + ":1?gid=60000&device=" + device, {}, {}, Deadline::After(kVerbsPatience));
  CHECK(absl::IsInvalidArgument(none.status()));
  CHECK(Mentions(none.status(), "GID 60000"));
}

TEST_CASE("a listener on all interfaces learns its device from who comes, or from what is registered") {
  const std::string host = RequireRdmaAddress();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://0.0.0.0:0");
  CheckTraffic(*connecting, *accepting, Meet(*connecting, *accepting, "verbs://0.0.0.0:0"));
}

TEST_CASE("limits are what device and address agree on") {
  const std::string host = RequireRdmaAddress();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://" + host + ":0");
  const VerbsEnds all = Meet(*connecting, *accepting, "verbs://" + host + ":0");
  CHECK(all.connecting->limits().max_outstanding_reads >= 1);
  CHECK(all.connecting->limits().inline_bytes >= 64);
  CHECK(all.connecting->limits().mtu >= 256);
  CHECK(all.connecting->limits().mtu == all.accepting->limits().mtu);
  CHECK(all.connecting->path().starts_with("RDMA device " + DeviceName() + ", port 1, GID "));
  const VerbsEnds few = Meet(*connecting, *accepting, "verbs://" + host + ":0", "?reads=1&inline=0");
  CHECK(few.connecting->limits().max_outstanding_reads == 1);
  CHECK(few.connecting->limits().inline_bytes == 64);
  CheckTraffic(*connecting, *accepting, few);
}

TEST_CASE("addresses without an RDMA device are refused with the remedy") {
  const auto transport = NewTransport("verbs://" + RequireRdmaAddress() + ":0");
  const auto loopback = transport->Listen("verbs://127.0.0.1:0");
  CHECK(absl::IsInvalidArgument(loopback.status()));
  CHECK(Mentions(loopback.status(), "rdma link add"));
  // An address for documentation (RFC 5737).
  const auto foreign = transport->Listen("verbs://192.0.2.1:0");
  CHECK(absl::IsInvalidArgument(foreign.status()));
  const auto nowhere = transport->Connect("verbs://192.0.2.1:7000", {}, {}, Deadline::After(absl::Seconds(2)));
  CHECK((absl::IsUnavailable(nowhere.status()) || absl::IsDeadlineExceeded(nowhere.status())));
  CHECK(Mentions(nowhere.status(), "192.0.2.1"));
}

TEST_CASE("queues that no device has are refused") {
  const std::string host = RequireRdmaAddress();
  const auto accepting = NewTransport("verbs://" + host + ":0");
  const auto connecting = NewTransport("verbs://" + host + ":1");
  auto listener = accepting->Listen("verbs://" + host + ":0");
  REQUIRE(listener.ok());
  const auto channel = connecting->Connect(
      (*listener)->address(), {}, {.send_slots = 1u << 20, .receive_slots = 1u << 20}, Deadline::After(kVerbsPatience));
  REQUIRE(!channel.ok());
  CHECK(!absl::IsUnavailable(channel.status()));
  CHECK(Mentions(channel.status(), "RDMA device"));
}

TEST_CASE("a refused request says so at this end") {
  const std::string host = RequireRdmaAddress();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://" + host + ":0");
  const VerbsEnds ends = Meet(*connecting, *accepting, "verbs://" + host + ":0");
  auto here = connecting->Register(std::span(Page()).first(4096), RemoteAccess::kNone);
  REQUIRE(here.ok());
  const WorkRequest request{.opcode = Opcode::kRead,
                            .signaled = true,
                            .local = Page().data(),
                            .length = 8,
                            .local_key = (*here)->local_key(),
                            .remote_address = (*here)->remote_address(),
                            .remote_key = 0x12345};
  REQUIRE(ends.connecting->Post(request) == PostResult::kOk);
  CHECK(NextCompletion(*ends.connecting).status == CompletionStatus::kError);
  CHECK(absl::IsPermissionDenied(ends.connecting->failure()));
  CHECK(Mentions(ends.connecting->failure(), "READ"));
}

TEST_CASE("a key that was revoked is refused, and both ends say so") {
  const std::string host = RequireRdmaAddress();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://" + host + ":0");
  const VerbsEnds ends = Meet(*connecting, *accepting, "verbs://" + host + ":0");
  auto here = connecting->Register(std::span(Page()).first(4096), RemoteAccess::kNone);
  auto there = accepting->Register(std::span(Page()).subspan(4096), RemoteAccess::kReadWrite);
  REQUIRE(here.ok());
  REQUIRE(there.ok());
  const WorkRequest request{.opcode = Opcode::kWrite,
                            .signaled = true,
                            .local = Page().data(),
                            .length = 8,
                            .local_key = (*here)->local_key(),
                            .remote_address = (*there)->remote_address(),
                            .remote_key = (*there)->remote_key()};
  REQUIRE(ends.connecting->Post(request) == PostResult::kOk);
  CHECK(NextCompletion(*ends.connecting).status == CompletionStatus::kOk);
  there->reset();
  Page()[4096] = std::byte{77};
  REQUIRE(ends.connecting->Post(request) == PostResult::kOk);
  CHECK(NextCompletion(*ends.connecting).status == CompletionStatus::kError);
  CHECK(Page()[4096] == std::byte{77});
  CHECK(absl::IsPermissionDenied(ends.connecting->failure()));
  CHECK(Mentions(ends.connecting->failure(), "revoked"));
  SleepOn(*ends.accepting, kVerbsPatience);
  CHECK(!ends.accepting->failure().ok());
}

TEST_CASE("a connection that is rejected says so, with what to check") {
  const std::string host = RequireRdmaAddress();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://" + host + ":0");
  auto listener = accepting->Listen("verbs://" + host + ":0");
  REQUIRE(listener.ok());
  std::thread reject([&] { static_cast<void>((*listener)->Accept(Deadline::After(kVerbsPatience))); });
  const auto channel = connecting->Connect((*listener)->address(), {}, {}, Deadline::After(kVerbsPatience));
  reject.join();
  CHECK(absl::IsPermissionDenied(channel.status()));
  CHECK(Mentions(channel.status(), (*listener)->address()));
  CHECK(Mentions(channel.status(), "check the port"));
}

TEST_CASE("a peer that speaks TCP only is one where nobody listens over RDMA") {
  const std::string host = RequireRdmaAddress();
  const auto tcp = NewTransport("tcp://" + host + ":0");
  auto listener = tcp->Listen("tcp://" + host + ":0");
  REQUIRE(listener.ok());
  const std::string address = (*listener)->address();
  const auto verbs = NewTransport("verbs://" + host + ":1");
  const auto channel =
      verbs->Connect("verbs" + address.substr(address.find(':')), {}, {}, Deadline::After(kVerbsPatience));
  CHECK(absl::IsUnavailable(channel.status()));
  CHECK(Mentions(channel.status(), "nobody listens"));
  CHECK(Mentions(channel.status(), "with verbs:// on its side"));
}

TEST_CASE("a peer that is only silent is asked whether it is there, which nobody notices") {
  const std::string host = RequireRdmaAddress();
  const auto connecting = NewTransport("verbs://" + host + ":1");
  const auto accepting = NewTransport("verbs://" + host + ":0");
  const VerbsEnds ends = Meet(*connecting, *accepting, "verbs://" + host + ":0");
  SleepOn(*ends.connecting, absl::Seconds(12));  // Two questions.
  CHECK(ends.connecting->failure().ok());
  CHECK(ends.accepting->failure().ok());
  CheckTraffic(*connecting, *accepting, ends);
}

TEST_CASE("memory that can only be read can be offered for reading") {
  const auto transport = NewTransport("verbs://" + RequireRdmaAddress() + ":0");
  void* const memory = mmap(nullptr, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const absl::Cleanup unmap = [memory] { munmap(memory, 65536); };
  const std::span bytes(static_cast<std::byte*>(memory), 65536);
  CHECK(transport->Register(bytes, RemoteAccess::kRead).ok());
  CHECK(absl::IsInvalidArgument(transport->Register(bytes, RemoteAccess::kWrite).status()));
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

TEST_CASE("memory beyond the limit of locked memory is refused with size, limit and remedy") {
  const auto transport = NewTransport("verbs://" + RequireRdmaAddress() + ":0");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
  const rlimit low{65536, before.rlim_max};
  constexpr std::size_t kBytes = 8u << 20;
  void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &low) == 0);
  const absl::Cleanup restore = [&] {
    setrlimit(RLIMIT_MEMLOCK, &before);
    DropLockCapability(false);
    munmap(memory, kBytes);
  };
  REQUIRE(DropLockCapability(true));
  const auto registered = transport->Register({static_cast<std::byte*>(memory), kBytes}, RemoteAccess::kWrite);
  CHECK(absl::IsResourceExhausted(registered.status()));
  CHECK(Mentions(registered.status(), "8388608"));
  CHECK(Mentions(registered.status(), "65536"));
  CHECK(Mentions(registered.status(), "ulimit -l unlimited"));
}

}  // namespace
}  // namespace farfault
