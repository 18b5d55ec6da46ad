#include <dlfcn.h>
#include <rdma/rdma_cma.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "test/support/rdma.h"
#include "test/support/verbs_ends.h"

namespace {

// How long rdma_listen takes to return, once the kernel listens.
std::atomic<int> linger_seconds{0};

}  // namespace

// In the place of librdmacm's, for all of this program.
extern "C" int rdma_listen(rdma_cm_id* id, int backlog) {
  static const auto real = reinterpret_cast<int (*)(rdma_cm_id*, int)>(dlsym(RTLD_NEXT, "rdma_listen"));
  const int result = real(id, backlog);
  absl::SleepFor(absl::Seconds(linger_seconds.load()));
  return result;
}

namespace farfault {
namespace {

TEST_CASE("who connects while the peer is about to listen is let in") {
  const std::string host = RequireRdmaAddress();
  const auto accepting = NewTransport("verbs://" + host + ":0");
  auto listener = accepting->Listen("verbs://" + host + ":0");
  REQUIRE(listener.ok());
  const std::string address = (*listener)->address();
  listener->reset();
  linger_seconds = 2;
  std::atomic<bool> over{false};
  absl::Status connected = absl::UnavailableError("not tried");
  std::thread connect([&] {
    const auto connecting = MakeTransport("verbs://" + host + ":1");
    if (!connecting.ok()) connected = connecting.status();
    while (connecting.ok() && !connected.ok() && !over) {
      absl::SleepFor(absl::Milliseconds(10));
      connected = (*connecting)->Connect(address, {}, {}, Deadline::After(absl::Seconds(20))).status();
    }
  });
  listener = accepting->Listen(address);
  linger_seconds = 0;
  absl::Status accepted = listener.status();
  if (accepted.ok()) {
    auto incoming = (*listener)->Accept(Deadline::After(absl::Seconds(20)));
    accepted = incoming.ok() ? (*incoming)->Accept({}).status() : incoming.status();
  }
  over = true;
  connect.join();
  INFO(accepted.ToString() << ", " << connected.ToString());
  CHECK(accepted.ok());
  CHECK(connected.ok());
}

}  // namespace
}  // namespace farfault
