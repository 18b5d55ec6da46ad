#include "lib/cli/demo/host_link.h"

#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "lib/cli/demo/remote_copy.h"
#include "lib/cli/workload/timeline.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

struct Line {
  std::unique_ptr<RoleLink> source;
  std::unique_ptr<RoleLink> coordinator;
};

Line Connect() {
  Line line;
  absl::StatusOr<std::unique_ptr<RoleLink>> coordinator;
  std::thread connecting;
  auto source = AwaitCoordinator("tcp://127.0.0.1:0", [&](const std::string& address) {
    connecting =
        std::thread([&, address] { coordinator = ConnectToSource(address, Deadline::After(absl::Seconds(30))); });
  });
  connecting.join();
  REQUIRE(source.ok());
  REQUIRE(coordinator.ok());
  return {*std::move(source), *std::move(coordinator)};
}

TEST_CASE("two hosts of the demo meet over TCP") {
  const Line line = Connect();
  REQUIRE(line.coordinator->Send("plan", {{"n", 7}}).ok());
  const auto plan = line.source->Receive(Deadline::After(absl::Seconds(30)));
  REQUIRE(plan.ok());
  CHECK((*plan)["n"] == 7);
  CHECK(OwnHost(*line.coordinator).value() == "127.0.0.1");
}

TEST_CASE("nobody who waits for orders is told with what to start there") {
  const auto nobody = ConnectToSource("tcp://127.0.0.1:1", Deadline::Now());
  CHECK(absl::IsUnavailable(nobody.status()));
  CHECK(nobody.status().ToString().find("farfault demo --role source") != std::string::npos);
}

TEST_CASE("clocks are compared to within half a round trip") {
  Line line = Connect();
  constexpr std::int64_t kAhead = 3'600'000'000'000;
  std::thread source([&] {
    while (line.source->Receive(Deadline::Never()).ok()) {
      line.source->Send("clock", {{"now", MonotonicNanos() + kAhead}}).IgnoreError();
    }
  });
  const auto clock = CompareClocks(*line.coordinator, Deadline::After(absl::Seconds(30)));
  REQUIRE(clock.ok());
  CHECK(clock->error_ns > 0);
  CHECK(clock->ahead_ns >= kAhead - clock->error_ns);
  CHECK(clock->ahead_ns <= kAhead + clock->error_ns);
  line.coordinator.reset();
  source.join();
}

TEST_CASE("a remote copy follows what changes, and tells only that") {
  const Line line = Connect();
  RemoteCopy copy(*line.source, "ledger");
  std::vector<std::byte> memory(10'000);
  std::vector<std::byte> there(memory.size());
  const auto follow = [&] {
    REQUIRE(copy.Update(memory).ok());
    REQUIRE(line.source->Send("end").ok());
    int lines = 0;
    for (;;) {
      const auto received = line.coordinator->Receive(Deadline::After(absl::Seconds(30)));
      REQUIRE(received.ok());
      if ((*received)["kind"] == "end") return lines;
      REQUIRE(RemoteCopy::Apply(*received, there).ok());
      ++lines;
    }
  };
  CHECK(follow() == 0);
  memory[0] = std::byte{1};
  memory[9'999] = std::byte{2};
  CHECK(follow() == 2);
  CHECK(there == memory);
  memory[9'998] = std::byte{3};
  CHECK(follow() == 1);
  CHECK(there == memory);
  const nlohmann::json outside = {{"at", 9'999}, {"bytes", "AAAA"}};
  CHECK(absl::IsDataLoss(RemoteCopy::Apply(outside, there)));
}

}  // namespace
}  // namespace farfault
