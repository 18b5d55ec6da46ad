#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lib/cli/qemu/qemu_monitor.h"
#include "lib/cli/qemu/qmp_client.h"
#include "test/qemu/scene.h"
#include "test/support/qemu/qmp_proxy.h"

// `farfault qemu-migrate` itself is killed when the guest has been handed over.
namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

struct Parked {
  Scene scene;
  std::string state = scene.Path("pages");
  std::string second_monitor = scene.Path("source.second");
  std::unique_ptr<QemuMachine> source = scene.StartGuest(SourceSpec());
  std::unique_ptr<CommandProcess> pager = scene.StartPager({"--state", state});
  std::unique_ptr<QemuMachine> destination = scene.StartDestination(scene.Spec("destination"), *pager);

  QemuMachine::Spec SourceSpec() const {
    QemuMachine::Spec spec = scene.Spec("source");
    spec.more_options = {"-qmp", "unix:" + second_monitor + ",server=on,wait=off"};
    return spec;
  }
  /// Beside whoever has the first monitor.
  void WaitUntilStateIsSent() const {
    auto monitor = QmpClient::Connect("source", second_monitor, kPatience);
    REQUIRE(monitor.ok());
    QemuMonitor qemu(*std::move(monitor));
    const absl::Status sent = qemu.WaitUntilSent(kPatience, [] { return absl::OkStatus(); });
    INFO(sent.ToString());
    REQUIRE(sent.ok());
  }
  void Kill(CommandProcess& migration) const {
    migration.Signal(SIGKILL);
    REQUIRE(migration.Wait(kPatience) == 128 + SIGKILL);
    REQUIRE(pager->Wait(kPatience) == 1);
  }
  /// To the end, by a new pager; returns what that one says.
  nlohmann::json Finish(CommandProcess& resumed) {
    auto next = scene.StartNextPager({"--state", state});
    const nlohmann::json report = RequireMoved(resumed, *destination);
    CHECK(report.at("pages_sent") > 0);
    const int status = next->Wait(kPatience);
    INFO("pager: " << next->Err());
    REQUIRE(status == 0);
    const nlohmann::json paged = nlohmann::json::parse(next->Out());
    CHECK(paged.at("taken_over") == true);
    CHECK(paged.at("pages_by").at("push") > 0);
    return report;
  }
};

TEST_CASE("a migration that was killed is resumed from the source's RAM, and the guest has every word right") {
  Parked guest;
  auto migration = guest.scene.Migrate(*guest.source, *guest.destination, {"--prepage-time", "0s", "--no-push"});
  CheckRunsWell(*guest.destination, 0);
  guest.Kill(*migration);
  std::unique_ptr<CommandProcess> resumed;
  SECTION("which its QEMU names") {
    resumed = guest.scene.Resume({"--source-qmp", guest.source->qmp_socket(), "--quit-source"});
    const nlohmann::json report = guest.Finish(*resumed);
    CHECK(report.at("started") == false);
    CHECK(guest.source->process().Wait(kPatience) == 0);
  }
  SECTION("whose QEMU has ended") {
    guest.source->process().Signal(SIGKILL);
    resumed = guest.scene.Resume({"--ram", guest.source->ram_path()});
    guest.Finish(*resumed);
  }
  SECTION("at the second attempt, after the first was killed as well") {
    resumed = guest.scene.Resume({"--source-qmp", guest.source->qmp_socket(), "--no-push"});
    auto next = guest.scene.StartNextPager({"--state", guest.state});
    CheckRunsWell(*guest.destination, 0);
    resumed->Signal(SIGKILL);
    REQUIRE(next->Wait(kPatience) == 1);
    resumed = guest.scene.Resume({"--source-qmp", guest.source->qmp_socket()});
    guest.Finish(*resumed);
  }
  CheckRunsWell(*guest.destination, 2);
}

TEST_CASE("a guest that was handed over but not started is started when the migration is resumed") {
  Parked guest;
  {
    QmpProxy at_destination(guest.scene.Path("destination.proxy"), guest.destination->qmp_socket());
    at_destination.Hold("cont");
    auto migration =
        guest.scene.Migrate(*guest.source, *guest.destination,
                            {"--prepage-time", "0s", "--no-push", "--destination-qmp", at_destination.path()});
    REQUIRE(at_destination.WaitUntilHeld(kPatience));
    guest.Kill(*migration);
  }
  auto resumed = guest.scene.Resume(
      {"--source-qmp", guest.source->qmp_socket(), "--destination-qmp", guest.destination->qmp_socket()});
  CHECK(guest.Finish(*resumed).at("started") == true);
  guest.source->process().Signal(SIGKILL);
  CheckRunsWell(*guest.destination, 2);
}

// The devices' state travels while the memory is handed over, and may be there before it.
TEST_CASE("a migration that was killed when only the devices were over is resumed, and nothing pre-paged is stale") {
  Parked guest;
  {
    QmpProxy at_source(guest.scene.Path("source.proxy"), guest.source->qmp_socket());
    at_source.Hold("migrate-continue");
    auto migration = guest.scene.Migrate(*guest.source, *guest.destination,
                                         {"--prepage-time", "500ms", "--no-push", "--source-qmp", at_source.path()});
    REQUIRE(at_source.WaitUntilHeld(kPatience));
    guest.pager->Signal(SIGSTOP);  // It does not take over.
    at_source.Release();
    guest.WaitUntilStateIsSent();
    migration->Signal(SIGKILL);
    guest.pager->Signal(SIGCONT);
    guest.Kill(*migration);
  }
  auto resumed = guest.scene.Resume(
      {"--source-qmp", guest.source->qmp_socket(), "--destination-qmp", guest.destination->qmp_socket()});
  CHECK(guest.Finish(*resumed).at("started") == true);
  guest.source->process().Signal(SIGKILL);
  CheckRunsWell(*guest.destination, 2);
}

TEST_CASE("a guest that has not left the source is not served to anybody") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto resumed = scene.Resume({"--source-qmp", source->qmp_socket()});
  CheckRefused(*resumed, {"'running'", "has not been handed over", "nothing to resume"});
  {
    auto monitor = QmpClient::Connect("source", source->qmp_socket(), kPatience);
    REQUIRE(monitor.ok());
    REQUIRE(monitor->Execute("stop").ok());
  }
  resumed = scene.Resume({"--source-qmp", source->qmp_socket()});
  CheckRefused(*resumed, {"'paused'", "has not been handed over", "cont"});
  resumed = scene.Resume({"--ram", "/nonexistent/vm.ram"});
  CheckRefused(*resumed, {"/nonexistent/vm.ram", "source's host"});
}

}  // namespace
}  // namespace farfault
