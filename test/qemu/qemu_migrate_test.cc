#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "test/qemu/scene.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

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
  const nlohmann::json report = RequireMoved(*migration, *destination);
  CHECK(report.at("pages_prepaged") > 0);
  CHECK(report.at("downtime_us") > 0);
  // One host, one clock: what the command saw surrounds what the QEMUs report.
  const std::int64_t stood_still =
      report.at("resumed_at_us").get<std::int64_t>() - report.at("stopped_at_us").get<std::int64_t>();
  CHECK(stood_still > 0);
  CHECK(report.at("downtime_us") >= stood_still);
  source->process().Signal(SIGKILL);
  CHECK(pager->Wait(kPatience) == 0);
  INFO("pager: " << pager->Err());
  CheckRunsWell(*destination, 3);
}

TEST_CASE("a guest that is moved by demand paging alone has every word right") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager({"--rest", "--populate"});
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  struct stat ram{};
  REQUIRE(stat(destination->ram_path().c_str(), &ram) == 0);
  CHECK(ram.st_blocks * 512 >= ram.st_size);  // Before a source has come.
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "0s", "--no-push"});
  CheckRunsWell(*destination, 1);
  RequireMoved(*migration, *destination);
  CHECK(pager->Wait(kPatience) == 0);
  const nlohmann::json paged = nlohmann::json::parse(pager->Out());
  CHECK(paged.at("faults_network") > 0);
  CheckRunsWell(*destination, 1);
}

TEST_CASE(
    "a guest with a balloon moves with a word of warning, and is not pre-paged past a drive that hides its reads") {
  Scene scene;
  const std::vector<std::string> devices = {"-device", "virtio-balloon-pci,id=balloon", "-drive",
                                            "if=none,id=hidden,driver=null-co,cache=none"};
  QemuMachine::Spec source_spec = scene.Spec("source");
  source_spec.more_options.insert(source_spec.more_options.end(), devices.begin(), devices.end());
  QemuMachine::Spec destination_spec = scene.Spec("destination");
  destination_spec.more_options.insert(destination_spec.more_options.end(), devices.begin(), devices.end());
  auto source = scene.StartGuest(source_spec);
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(destination_spec, *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "500ms"});
  const nlohmann::json report = RequireMoved(*migration, *destination);
  INFO(migration->Err());
  CHECK(report.at("pages_prepaged") == 0);
  CHECK(migration->Err().find("balloon (virtio-balloon-pci) may give memory back") != std::string::npos);
  CHECK(migration->Err().find("nothing is pre-paged: ") != std::string::npos);
  CheckRunsWell(*destination, 1);
}

TEST_CASE("a guest whose RAM is on hugetlbfs moves in huge pages", "[serial]") {
  constexpr std::uint64_t kMachinePages = 64;
  const auto pool = HugePagePool::Provide(2 * kMachinePages);
  if (!pool.ok()) SkipFor(std::string(pool.status().message()));
  const auto huge = TmpfsMount::Create("pagesize=2M", "hugetlbfs");
  if (!huge.ok()) SkipFor(std::string(huge.status().message()));
  Scene scene;
  QemuMachine::Spec spec = scene.Spec("source");
  spec.ram_folder = huge->path();
  spec.ram_mib = kMachinePages * 2;
  const std::string agent = GENERATE("with", "without");
  auto source = scene.StartGuest(spec);
  auto pager = scene.StartPager();
  spec.name = "destination";
  auto destination = scene.StartDestination(spec, *pager);
  std::vector<std::string> more = {"--prepage-time", "300ms"};
  if (agent == "without") more.insert(more.end(), {"--agent", ""});
  auto migration = scene.Migrate(*source, *destination, more);
  const nlohmann::json report = RequireMoved(*migration, *destination);
  CHECK((report.at("pages_prepaged") > 0) == (agent == "with"));
  CHECK(report.at("pages_sent") <= kMachinePages * (1 + report.at("prepage_rounds").get<std::uint64_t>()));
  source->process().Signal(SIGKILL);
  CHECK(pager->Wait(kPatience) == 0);
  CHECK(nlohmann::json::parse(pager->Out()).at("pages") == kMachinePages);
  CheckRunsWell(*destination, 2);
}

TEST_CASE("a guest that moves again and again never reads a wrong word") {
  Scene scene;
  auto guest = scene.StartGuest(scene.Spec("machine0"));
  for (int move = 1; move <= Moves(); ++move) {
    INFO("move " << move);
    auto pager = scene.StartPager();
    auto next = scene.StartDestination(scene.Spec("machine" + std::to_string(move)), *pager);
    auto migration = scene.Migrate(*guest, *next, {"--prepage-time", "200ms", "--quit-source"});
    RequireMoved(*migration, *next);
    CHECK(guest->process().Wait(kPatience) == 0);
    CHECK(pager->Wait(kPatience) == 0);
    guest = std::move(next);
    CheckRunsWell(*guest, 1);
  }
}

}  // namespace
}  // namespace farfault
