#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/guest_memory.h"
#include "lib/cli/demo/method.h"
#include "test/integration/cli/command.h"
#include "test/support/memory_machine.h"
#include "test/support/rdma.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

constexpr std::uint64_t kBytes = 24u << 20;

struct Outcome {
  int status = 0;
  nlohmann::json methods;
  std::string err;
};

Outcome RunDemo(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"demo", "--json", "--size", "24M", "--demand-only", "300ms"});
  CommandProcess demo(Farfault(arguments));
  const int status = demo.Wait(kPatience);
  const std::string out = demo.Out();
  INFO("standard error: " << demo.Err());
  INFO("standard output: " << out);
  REQUIRE(status >= 0);
  return {status, out.empty() ? nlohmann::json() : nlohmann::json::parse(out, nullptr, false), demo.Err()};
}

void CheckGood(const nlohmann::json& method, std::uint64_t page_size = kSmallPage) {
  if (method.contains("left_out")) RequireDirtyTracking();
  INFO(method.dump(2));
  CHECK(method["verified_pages"] == kBytes / page_size);
  CHECK(method["wrong_pages"] == 0);
  CHECK(method["wrong_answers"] == 0);
  CHECK(method["downtime_us"] > 0);
  CHECK(method["total_ms"] > 0);
  CHECK(method["answers"] > 0);
  const std::uint64_t pages = method["pages"].get<std::uint64_t>();
  CHECK(pages > kBytes / page_size / 2);
  CHECK(method["bytes"] >= pages * page_size);
  const nlohmann::json& stalls = method["stall_us"];
  CHECK(stalls["p50"] <= stalls["p99"]);
  CHECK(stalls["p99"] <= stalls["max"]);
  CHECK(stalls["max"] <= stalls["sum"]);
}

std::vector<std::string> DemoTransports() {
  if (!OverVerbs()) return {"tcp", "sim"};
  RequireRdmaAddress();
  return {"verbs"};
}

TEST_CASE("demo moves a running program by each method, over each transport", "[fabrics]") {
  const std::string transport = GENERATE(from_range(DemoTransports()));
  const Method method = GENERATE(from_range(KnownMethods()));
  INFO(transport << " " << method.name);
  if (method.prepage) RequireDirtyTracking();
  const Outcome outcome = RunDemo({"--method", method.name, "--transport", transport});
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  REQUIRE(outcome.methods.size() == 1);
  const nlohmann::json& result = outcome.methods[0];
  CHECK(result["method"] == method.name);
  CheckGood(result);
  const nlohmann::json& by = result["pages_by"];
  CHECK((by["push"] > 0) == method.push);
  CHECK((by["prepage"] > 0) == method.prepage);
  if (method.fetch_rest()) CHECK(by["fetch"] > 0);
  if (!method.prepage && !method.push) CHECK(result["faults_network"] > 0);
  CHECK(outcome.err.empty());
}

TEST_CASE("demo moves anonymous memory, and a program of several threads") {
  const Outcome outcome = RunDemo({"--anonymous", "--threads", "3", "--method", "every", "--seed", "9"});
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  REQUIRE(outcome.methods.size() == KnownMethods().size());
  for (const nlohmann::json& method : outcome.methods) CheckGood(method);
}

TEST_CASE("demo moves memory on huge pages of hugetlbfs", "[serial]") {
  // At the source and at the destination.
  const auto pool = HugePagePool::Provide(2 * kBytes / kHugePage);
  if (!pool.ok()) SkipFor(std::string(pool.status().message()));
  const Outcome outcome = RunDemo({"--hugetlb", "--threads", "2", "--method", "every"});
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  REQUIRE(outcome.methods.size() == KnownMethods().size());
  for (const nlohmann::json& method : outcome.methods) CheckGood(method, kHugePage);
}

TEST_CASE("demo takes every predictor") {
  const std::string predictor = GENERATE("none", "sequential", "bubbling:pivots=1", "bubbling:direction=forward");
  const Outcome outcome = RunDemo({"--method", "push", "--predictor", predictor});
  INFO(predictor << ": " << outcome.err);
  REQUIRE(outcome.status == 0);
  CheckGood(outcome.methods[0]);
}

TEST_CASE("demo notices bytes that are wrong") {
  const Outcome outcome = RunDemo({"--method", "push", "--corrupt", "5"});
  CHECK(outcome.status == 1);
  CHECK(outcome.methods[0]["wrong_pages"] == 5);
  CHECK(outcome.methods[0]["wrong_answers"] > 0);
  CHECK(outcome.err.find("not what it must be") != std::string::npos);
}

TEST_CASE("demo prints a table, its progress, and draws a picture") {
  const std::string plot = std::filesystem::temp_directory_path() / ("farfault-" + std::to_string(getpid()) + ".svg");
  CommandProcess demo(
      Farfault({"demo", "--size", "24M", "--method", "push,demand", "--demand-only", "0.2s", "--plot", plot}));
  REQUIRE(demo.Wait(kPatience) == 0);
  INFO(demo.Out() << demo.Err());
  CHECK(demo.Out().find("\nactive push ") != std::string::npos);
  CHECK(demo.Out().find("\ndemand paging ") != std::string::npos);
  CHECK(demo.Err().find("source: reading files\n") != std::string::npos);
  CHECK(demo.Err().find('\r') == std::string::npos);
  std::ifstream file(plot);
  std::string first;
  CHECK(std::getline(file, first));
  CHECK(first.starts_with("<svg"));
  std::filesystem::remove(plot);
}

/// Processes of `parent`, oldest first.
std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

std::vector<pid_t> WaitForChildren(pid_t parent, std::size_t count) {
  const absl::Time deadline = absl::Now() + kPatience;
  std::vector<pid_t> children;
  while ((children = ChildrenOf(parent)).size() < count && absl::Now() < deadline)
    absl::SleepFor(absl::Milliseconds(5));
  return children;
}

TEST_CASE("demo reports that one of its processes has died") {
  CommandProcess demo(Farfault({"demo", "--size", "64M", "--method", "demand", "--demand-only", "1m"}));
  const std::vector<pid_t> children = WaitForChildren(demo.pid(), 2);
  REQUIRE(children.size() == 2);
  const std::size_t victim = GENERATE(0u, 1u);
  // At once: the source is found dead when it is told to move its guest. Later: while it does.
  absl::SleepFor(absl::Milliseconds(GENERATE(0, 500)));
  REQUIRE(kill(children[victim], SIGKILL) == 0);
  REQUIRE(demo.Wait(kPatience) == 1);
  INFO(demo.Err());
  const std::string role = victim == 0 ? "source" : "destination";
  CHECK(demo.Err().find("the " + role + " process was killed by signal 9") != std::string::npos);
}

TEST_CASE("demo leaves no process behind when it is killed") {
  CommandProcess demo(Farfault({"demo", "--size", "64M", "--method", "demand", "--demand-only", "1m"}));
  const std::vector<pid_t> children = WaitForChildren(demo.pid(), 2);
  REQUIRE(children.size() == 2);
  demo.Signal(SIGKILL);
  CHECK(demo.Wait(kPatience) == 128 + SIGKILL);
  const absl::Time deadline = absl::Now() + kPatience;
  // They are gone, or only wait to be reaped by whoever inherited them.
  const auto runs = [](pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    return !text.empty() && text.find(") Z ") == std::string::npos;
  };
  while ((runs(children[0]) || runs(children[1])) && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(10));
  CHECK_FALSE(runs(children[0]));
  CHECK_FALSE(runs(children[1]));
}

}  // namespace
}  // namespace farfault
