#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "test/qemu/scene.h"
#include "test/qemu/slow_relay.h"
#include "test/support/qemu/qmp_proxy.h"

// The pager of a guest that runs at its destination is killed before it has all of its memory.
namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

void Kill(CommandProcess& process) {
  process.Signal(SIGKILL);
  REQUIRE(process.Wait(kPatience) == 128 + SIGKILL);
}

nlohmann::json RequireEnded(CommandProcess& pager) {
  const int status = pager.Wait(kPatience);
  INFO("pager: " << pager.Err());
  REQUIRE(status == 0);
  return nlohmann::json::parse(pager.Out());
}

TEST_CASE("a guest whose pager is killed goes on with the next, which brings what is missing") {
  Scene scene;
  const std::string state = scene.Path("pages");
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager({"--state", state});
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-bytes", "16MiB", "--no-push"});
  // It runs there, on what it has asked for and written since.
  CheckRunsWell(*destination, 0);
  Kill(*pager);
  REQUIRE(migration->WaitForErr("start the pager again with the same --state", kPatience));
  auto next = scene.StartNextPager({"--state", state, "--rest"});
  RequireMoved(*migration, *destination);
  const nlohmann::json paged = RequireEnded(*next);
  CHECK(paged.at("taken_over") == true);
  CHECK(paged.at("pages_by").at("fetch") > 0);
  source->process().Signal(SIGKILL);
  CheckRunsWell(*destination, 2);
}

TEST_CASE("a pager that is started again before the source has come serves the guest like the first") {
  Scene scene;
  const std::string state = scene.Path("pages");
  std::ofstream(state) << "of a guest before, whose pager was killed";
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager({"--state", state});
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  Kill(*pager);
  auto next = scene.StartNextPager({"--state", state, "--populate"});
  auto migration = scene.Migrate(*source, *destination);
  RequireMoved(*migration, *destination);
  const nlohmann::json paged = RequireEnded(*next);
  CHECK(paged.at("taken_over") == false);
  CHECK(next->Err().find("hint: no memory is populated") == std::string::npos);
  source->process().Signal(SIGKILL);
  CheckRunsWell(*destination, 1);
}

/// What the destination's QEMU makes of the command that runs the guest as the pager is killed.
enum class Start {
  kWhileItDies,  // It may be deaf then, for want of a page.
  kAfterTheNext  // It hears of it only once there is another pager.
};

void KillPagerDuringThePush(Start start) {
  Scene scene;
  const std::string state = scene.Path("pages");
  QemuMachine::Spec spec = scene.Spec("source");
  // So much that the push is not over by then.
  spec.ram_mib = 384;
  spec.touched_mib = 256;
  auto source = scene.StartGuest(spec);
  auto pager = scene.StartPager({"--state", state});
  spec.name = "destination";
  auto destination = scene.StartDestination(spec, *pager);
  const SlowRelay relay(scene.pager_address());
  QmpProxy at_destination(scene.Path("destination.proxy"), destination->qmp_socket());
  at_destination.Hold("cont");
  auto migration =
      scene.Migrate(*source, *destination,
                    {"--prepage-time", "0s", "--destination-qmp", at_destination.path(), "--pager", relay.address()});
  REQUIRE(at_destination.WaitUntilHeld(kPatience));
  if (start == Start::kWhileItDies) at_destination.Release();
  Kill(*pager);
  // Not only when it has waited for as long as --timeout says.
  REQUIRE(migration->WaitForErr("start the pager again with the same --state", absl::Minutes(4)));
  auto next = scene.StartNextPager({"--state", state});
  if (start == Start::kAfterTheNext) at_destination.Release();
  const nlohmann::json moved = RequireMoved(*migration, *destination);
  // Nobody who has stopped the guest meanwhile sees it run again.
  CHECK(at_destination.Count("cont") == 1);
  CHECK(moved.at("resumed_at_us").is_number());
  const nlohmann::json paged = RequireEnded(*next);
  CHECK(paged.at("pages_by").at("push") > 0);
  source->process().Signal(SIGKILL);
  CheckRunsWell(*destination, 2);
}

TEST_CASE("a guest whose pager is killed in the middle of the push has every word right") {
  KillPagerDuringThePush(Start::kWhileItDies);
}

TEST_CASE("a guest whose pager is killed while nobody answers whether it runs has every word right") {
  KillPagerDuringThePush(Start::kAfterTheNext);
}

}  // namespace
}  // namespace farfault
