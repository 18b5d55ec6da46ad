#include "lib/cli/qemu/qemu_monitor.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "test/unit/cli/qemu/fake_qmp.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;
using nlohmann::json;
using Lines = std::vector<std::string>;

constexpr absl::Duration kLong = absl::Seconds(60);

// The value for each command; one that is not here is answered with an empty object.
FakeQmp::Answers Returning(std::map<std::string, json> values) {
  return [values = std::move(values)](const json& command) {
    const auto found = values.find(command.at("execute"));
    return Lines{FakeQmp::Answer(command, found == values.end() ? json::object() : found->second)};
  };
}

QemuMonitor Monitor(const FakeQmp& qemu) {
  auto client = QmpClient::Connect("destination", qemu.path(), kLong);
  INFO(client.status().ToString());
  REQUIRE(client.ok());
  return QemuMonitor(*std::move(client));
}

absl::Status GoOn() { return absl::OkStatus(); }

json Backend() {
  return {{"id", "ram"}, {"size", 1048576}, {"share", true}, {"prealloc", false}, {"policy", "default"}};
}

TEST_CASE("RAM that is not one shared file is refused with the options that make it one", "[cli][qemu]") {
  const auto refusal = [](const json& backends, const json& got) {
    FakeQmp qemu(FakeQmp::Greeting(), Returning({{"query-memdev", backends}, {"qom-get", got}}));
    const auto machine = Monitor(qemu).Describe();
    CHECK(absl::IsFailedPrecondition(machine.status()));
    CHECK_THAT(machine.status().ToString(), ContainsSubstring("memory-backend-file") && ContainsSubstring("share=on"));
    return machine.status().ToString();
  };
  json private_backend = Backend();
  private_backend["share"] = false;
  CHECK_THAT(refusal(json::array(), "/dev/shm/ram"), ContainsSubstring("has 0 memory backends"));
  CHECK_THAT(refusal({Backend(), Backend()}, "/dev/shm/ram"), ContainsSubstring("has 2 memory backends"));
  CHECK_THAT(refusal(json::array({private_backend}), "/dev/shm/ram"), ContainsSubstring("is private"));
  CHECK_THAT(refusal(json::array({Backend()}), 3), ContainsSubstring("no mem-path"));
  refusal(json::array({5}), "/dev/shm/ram");
  refusal(7, "/dev/shm/ram");

  FakeQmp qemu(FakeQmp::Greeting(),
               Returning({{"query-memdev", json::array({Backend()})}, {"qom-get", "/dev/shm/ram"}}));
  const auto machine = Monitor(qemu).Describe();
  REQUIRE(machine.ok());
  CHECK(machine->ram_path == "/dev/shm/ram");
  CHECK(machine->bytes == 1048576);
}

TEST_CASE("a guest that may not go on is not said to", "[cli][qemu]") {
  std::atomic<int> refusals = 3;
  FakeQmp qemu(FakeQmp::Greeting(), [&refusals](const json& command) {
    if (command.at("execute") != "cont" || --refusals < 0) return Lines{FakeQmp::Answer(command)};
    return Lines{FakeQmp::Refusal(command, "is migrating")};
  });
  QemuMonitor monitor = Monitor(qemu);
  CHECK(absl::IsFailedPrecondition(monitor.Continue(kLong)));
  CHECK(monitor.ContinueSoon(kLong).ok());
  CHECK(refusals == -1);
}

TEST_CASE("a QEMU that hears nothing while it loads is waited for", "[cli][qemu]") {
  std::atomic<int> asked = 0;
  json owed;
  FakeQmp qemu(FakeQmp::Greeting(), [&](const json& command) {
    if (command.at("execute") != "query-status") return Lines{FakeQmp::Answer(command)};
    if (asked++ == 0) {
      owed = command;
      return Lines{};
    }
    return Lines{FakeQmp::Answer(owed, {{"status", "inmigrate"}}), FakeQmp::Answer(command, {{"status", "paused"}})};
  });
  CHECK(Monitor(qemu).WaitForState(kLong, GoOn).ok());
  CHECK(asked == 2);
}

TEST_CASE("waiting for the state of the devices ends when there is nothing to wait for", "[cli][qemu]") {
  const auto lost = [] { return absl::UnavailableError("the pager is lost"); };
  SECTION("the session is lost while it is loaded") {
    FakeQmp qemu(FakeQmp::Greeting(), Returning({{"query-status", {{"status", "inmigrate"}}}}));
    CHECK_THAT(Monitor(qemu).WaitForState(kLong, lost).ToString(), ContainsSubstring("the pager is lost"));
  }
  SECTION("the session is lost while it is sent") {
    FakeQmp qemu(FakeQmp::Greeting(), Returning({{"query-migrate", {{"status", "active"}}}}));
    CHECK_THAT(Monitor(qemu).WaitUntilSent(kLong, lost).ToString(), ContainsSubstring("the pager is lost"));
  }
  SECTION("it could not be sent") {
    FakeQmp qemu(FakeQmp::Greeting(),
                 Returning({{"query-migrate", {{"status", "failed"}, {"error-desc", "no route to host"}}}}));
    QemuMonitor monitor = Monitor(qemu);
    const absl::Status sent = monitor.WaitUntilSent(kLong, GoOn);
    CHECK(absl::IsAborted(sent));
    CHECK_THAT(sent.ToString(), ContainsSubstring("could not send") && ContainsSubstring("no route to host"));
    CHECK(absl::IsAborted(monitor.WaitUntilStopped(kLong).status()));
  }
  SECTION("it could not be loaded") {
    FakeQmp qemu(FakeQmp::Greeting(), Returning({{"query-status", {{"status", "internal-error"}}}}));
    const absl::Status loaded = Monitor(qemu).WaitForState(kLong, GoOn);
    CHECK(absl::IsFailedPrecondition(loaded));
    CHECK_THAT(loaded.ToString(), ContainsSubstring("'internal-error'"));
  }
  SECTION("it takes too long") {
    FakeQmp qemu(FakeQmp::Greeting(), Returning({{"query-status", {{"status", "inmigrate"}}}}));
    CHECK(absl::IsDeadlineExceeded(Monitor(qemu).WaitForState(absl::Milliseconds(50), GoOn)));
  }
}

TEST_CASE("a guest is stopped by its QEMU, or by us when that does not come to it", "[cli][qemu]") {
  std::atomic<int> stops = 0;
  std::atomic<int> asked = 0;
  std::atomic<bool> busy = false;
  std::atomic<bool> stopped_early = false;
  const absl::Time connected = absl::Now() + absl::Milliseconds(1500);
  FakeQmp qemu(FakeQmp::Greeting(), [&](const json& command) {
    stops += command.at("execute") == "stop" ? 1 : 0;
    if (command.at("execute") != "query-migrate") return Lines{FakeQmp::Answer(command)};
    // Connecting takes longer than settling may.
    if (busy && absl::Now() < connected) {
      stopped_early = stopped_early || stops > 0;
      return Lines{FakeQmp::Answer(command, {{"status", "setup"}})};
    }
    const bool active = busy ? stops == 0 : ++asked < 3;
    return Lines{FakeQmp::Answer(command, {{"status", active ? "active" : "pre-switchover"}})};
  });
  QemuMonitor monitor = Monitor(qemu);
  SECTION("by QEMU") {
    CHECK(monitor.WaitUntilStopped(kLong).ok());
    CHECK(stops == 0);
  }
  SECTION("by us") {
    busy = true;
    CHECK(monitor.WaitUntilStopped(kLong).ok());
    CHECK(stops == 1);
    CHECK_FALSE(stopped_early);
  }
}

TEST_CASE("the connection of a migration is cut past whatever QEMU is busy with", "[cli][qemu]") {
  json cut;
  bool there = true;
  FakeQmp qemu(FakeQmp::Greeting(), [&](const json& command) {
    if (!command.contains("exec-oob")) return Lines{FakeQmp::Answer(command)};
    cut = command;
    return Lines{there ? FakeQmp::Answer(command) : FakeQmp::Refusal(command, "Instance not found")};
  });
  QemuMonitor monitor = Monitor(qemu);
  CHECK(monitor.BreakOff().ok());
  CHECK(cut.at("exec-oob") == "yank");
  CHECK(cut.at("arguments").at("instances").at(0).at("type") == "migration");
  there = false;
  CHECK(monitor.BreakOff().ok());
}

TEST_CASE("devices that a move has to do with are found in whatever QEMU says of them", "[cli][qemu]") {
  const json devices = {{{"name", "disk"}, {"type", "child<virtio-blk-pci>"}},
                        {{"name", "gpu"}, {"type", "child<vfio-pci>"}},
                        {{"name", "type"}, {"type", "string"}},
                        {{"name", "files"}, {"type", "child<vhost-user-fs-pci>"}},
                        {{"name", "odd"}},
                        5};
  const json others = {{{"name", "device[1]"}, {"type", "child<virtio-balloon-pci>"}},
                       {{"name", "device[2]"}, {"type", "child<virtio-mem-pci>"}}};
  FakeQmp qemu(FakeQmp::Greeting(), [&](const json& command) {
    const json path = command.value("arguments", json::object()).value("path", json());
    if (path == "/machine/peripheral") return Lines{FakeQmp::Answer(command, devices)};
    if (path == "/machine/peripheral-anon") return Lines{FakeQmp::Answer(command, others)};
    return Lines{FakeQmp::Answer(command)};
  });
  const auto found = Monitor(qemu).Devices();
  REQUIRE(found.ok());
  CHECK(found->passed_through == "gpu (vfio-pci)");
  CHECK(found->unseen_writers == "files (vhost-user-fs-pci)");
  CHECK(found->shrinking == "device[1] (virtio-balloon-pci), device[2] (virtio-mem-pci)");
}

TEST_CASE("drives that read past the page cache are found in whatever QEMU says of them", "[cli][qemu]") {
  const json drives = {{{"device", "a"}, {"inserted", {{"node-name", "a0"}, {"cache", {{"direct", true}}}}}},
                       {{"device", "b"}, {"inserted", {{"node-name", "b0"}, {"cache", {{"direct", false}}}}}},
                       {{"device", "empty"}},
                       {{"device", "odd"}, {"inserted", 5}},
                       7};
  FakeQmp qemu(FakeQmp::Greeting(), Returning({{"query-block", drives}}));
  const auto direct = Monitor(qemu).DirectDrives();
  REQUIRE(direct.ok());
  CHECK(*direct == "a0");
}

}  // namespace
}  // namespace farfault
