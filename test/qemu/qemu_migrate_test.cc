#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "test/qemu/scene.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

nlohmann::json RequireMoved(CommandProcess& migration) {
  const int status = migration.Wait(kPatience);
  INFO("standard error: " << migration.Err());
  REQUIRE(status == 0);
  return nlohmann::json::parse(migration.Out());
}

void CheckRunsWell(const QemuMachine& machine, std::uint64_t more_rounds) {
  const auto first = machine.WaitForRounds(0, kPatience);
  INFO(first.status().ToString());
  REQUIRE(first.ok());
  const auto later = machine.WaitForRounds(first->rounds + more_rounds, kPatience);
  INFO(later.status().ToString());
  REQUIRE(later.ok());
  CHECK(later->wrong == 0);
}

int Moves() {
  const char* const moves = std::getenv("FARFAULT_QEMU_MOVES");
  return moves == nullptr ? 3 : std::atoi(moves);
}

TEST_CASE("a Linux guest moves between unmodified QEMUs and runs on without the source") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "500ms"});
  const nlohmann::json report = RequireMoved(*migration);
  CHECK(report.at("pages_prepaged") > 0);
  CHECK(report.at("downtime_us") > 0);
  source->process().Signal(SIGKILL);
  CHECK(pager->Wait(kPatience) == 0);
  INFO("pager: " << pager->Err());
  CheckRunsWell(*destination, 3);
}

TEST_CASE("a guest that is moved by demand paging alone has every word right") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager({"--rest"});
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "0s", "--no-push"});
  CheckRunsWell(*destination, 1);
  RequireMoved(*migration);
  CHECK(pager->Wait(kPatience) == 0);
  const nlohmann::json paged = nlohmann::json::parse(pager->Out());
  CHECK(paged.at("faults_network") > 0);
  CheckRunsWell(*destination, 1);
}

TEST_CASE("a guest that moves again and again never reads a wrong word") {
  Scene scene;
  auto guest = scene.StartGuest(scene.Spec("machine0"));
  for (int move = 1; move <= Moves(); ++move) {
    INFO("move " << move);
    auto pager = scene.StartPager();
    auto next = scene.StartDestination(scene.Spec("machine" + std::to_string(move)), *pager);
    auto migration = scene.Migrate(*guest, *next, {"--prepage-time", "200ms", "--quit-source"});
    RequireMoved(*migration);
    CHECK(guest->process().Wait(kPatience) == 0);
    CHECK(pager->Wait(kPatience) == 0);
    guest = std::move(next);
    CheckRunsWell(*guest, 1);
  }
}

}  // namespace
}  // namespace farfault
