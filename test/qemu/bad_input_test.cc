#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "test/qemu/scene.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

void CheckRefused(CommandProcess& command, const std::vector<std::string>& words) {
  const int status = command.Wait(kPatience);
  const std::string err = command.Err();
  INFO("standard error: " << err);
  CHECK(status == 1);
  for (const std::string& word : words) {
    INFO("should say: " << word);
    CHECK(err.find(word) != std::string::npos);
  }
}

void CheckRunsOn(const QemuMachine& machine) {
  const auto report = machine.WaitForReport(kPatience, [](const GuestReport&) { return true; });
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->wrong == 0);
}

TEST_CASE("ends that do not fit are refused and the guest runs on at the source") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager();

  SECTION("another size of RAM") {
    QemuMachine::Spec spec = scene.Spec("destination");
    spec.ram_mib = 192;
    auto destination = scene.StartDestination(spec, *pager);
    CheckRefused(*scene.Migrate(*source, *destination), {"RAM", "167772160", "201326592", "runs on at the source"});
  }
  SECTION("another machine type") {
    QemuMachine::Spec spec = scene.Spec("destination");
    spec.machine = "pc";
    auto destination = scene.StartDestination(spec, *pager);
    CheckRefused(*scene.Migrate(*source, *destination), {"machine type", "q35", "i440fx", "runs on at the source"});
  }
  SECTION("a destination that does not wait for a guest") {
    QemuMachine::Spec spec = scene.Spec("destination");
    spec.interposer = false;
    auto machine = QemuMachine::Start(spec);
    REQUIRE(machine.ok());
    REQUIRE((*machine)->WaitForMonitor(kPatience).ok());
    CheckRefused(*scene.Migrate(*source, **machine), {"does not wait", "-incoming defer", "runs on at the source"});
  }
  SECTION("RAM without a file") {
    QemuMachine::Spec spec = scene.Spec("destination");
    spec.shared_file = false;
    spec.interposer = false;
    spec.incoming = true;
    auto machine = QemuMachine::Start(spec);
    REQUIRE(machine.ok());
    REQUIRE((*machine)->WaitForMonitor(kPatience).ok());
    CheckRefused(*scene.Migrate(*source, **machine), {"destination", "memory-backend-file", "share=on"});
  }
  CheckRunsOn(*source);
}

TEST_CASE("what does not speak QMP, and what is not there, is named") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  const auto migrate = [&](const std::string& option, const std::string& value) {
    return scene.Migrate(*source, *destination, {option, value});
  };
  SECTION("no monitor") { CheckRefused(*migrate("--source-qmp", "/nonexistent"), {"/nonexistent", "-qmp unix:"}); }
  SECTION("another socket") {
    CheckRefused(*migrate("--source-qmp", source->agent_socket()), {"QMP", source->agent_socket()});
  }
  SECTION("no agent") {
    CheckRefused(*migrate("--agent", "/nonexistent"), {"/nonexistent", "FARFAULT_AGENT", "runs on at the source"});
  }
  SECTION("no pager") {
    CheckRefused(*scene.Migrate(*source, *destination, {"--pager", "tcp://127.0.0.1:1", "--timeout", "3s"}),
                 {"tcp://127.0.0.1:1", "runs on at the source"});
  }
  CheckRunsOn(*source);
}

TEST_CASE("a QEMU without its pager does not start") {
  Scene scene;
  QemuMachine::Spec spec = scene.Spec("destination");
  spec.incoming = true;
  spec.pager_socket = "/nonexistent/pager";
  auto machine = QemuMachine::Start(spec);
  if (absl::IsUnavailable(machine.status())) SkipFor(std::string(machine.status().message()));
  REQUIRE(machine.ok());
  CheckRefused((*machine)->process(), {"no pager answers at /nonexistent/pager", "farfault pager --socket"});
}

TEST_CASE("a destination that ends before the guest runs there leaves it at the source") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "3s"});
  SECTION("the QEMU, while pages are sent ahead") {
    REQUIRE(migration->WaitForErr("pre-paging", kPatience));
    destination->process().Signal(SIGKILL);
    CheckRefused(*migration, {"at the source"});
  }
  SECTION("the pager, while pages are sent ahead") {
    REQUIRE(migration->WaitForErr("pre-paging", kPatience));
    pager->Signal(SIGKILL);
    CheckRefused(*migration, {"at the source"});
  }
  CheckRunsOn(*source);
}

}  // namespace
}  // namespace farfault
