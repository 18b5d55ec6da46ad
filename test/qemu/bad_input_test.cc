#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "lib/cli/qemu/qmp_client.h"
#include "test/qemu/scene.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

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
  CheckRunsWell(*source, 0);
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
  CheckRunsWell(*source, 0);
}

// QEMU says it, and ends.
void CheckDoesNotStart(const QemuMachine::Spec& spec, const std::vector<std::string>& words) {
  auto machine = QemuMachine::Start(spec);
  if (absl::IsUnavailable(machine.status())) SkipFor(std::string(machine.status().message()));
  REQUIRE(machine.ok());
  CheckRefused((*machine)->process(), words);
}

TEST_CASE("a QEMU whose RAM could not be paged does not start") {
  Scene scene;
  QemuMachine::Spec spec = scene.Spec("machine");
  SECTION("without its pager") {
    spec.incoming = true;
    spec.pager_socket = "/nonexistent/pager";
    CheckDoesNotStart(spec, {"no pager answers at /nonexistent/pager", "farfault pager --socket"});
  }
  SECTION("mapped privately") {
    spec.share = false;
    CheckDoesNotStart(spec, {spec.name, "privately", "share=on"});
  }
  SECTION("on a disk's file system") {
    // Here, that is where the tests run.
    spec.ram_folder = ".";
    struct statfs about{};
    REQUIRE(statfs(".", &about) == 0);
    if (about.f_type == TMPFS_MAGIC) SKIP("the tests run on a tmpfs");
    CheckDoesNotStart(spec, {"neither on tmpfs nor on hugetlbfs", "/dev/shm"});
  }
  SECTION("which two backends have") {
    auto machine = scene.StartGuest(spec);
    const std::string second =
        fmt::format("memory-backend-file,id=second,size={}M,mem-path={},share=on", spec.ram_mib, machine->ram_path());
    machine.reset();
    spec.more_options = {"-object", second};
    CheckDoesNotStart(spec, {"a second time", "a file of its own", "busy"});
  }
}

TEST_CASE("a running QEMU is refused a second mapping of its RAM, and its guest can still be moved") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  {
    auto monitor = QmpClient::Connect("source", source->qmp_socket(), kPatience);
    REQUIRE(monitor.ok());
    const auto added = monitor->Execute("object-add", {{"qom-type", "memory-backend-file"},
                                                       {"id", "second"},
                                                       {"size", 160u << 20},
                                                       {"mem-path", source->ram_path()},
                                                       {"share", true}});
    CHECK(absl::IsFailedPrecondition(added.status()));
  }
  CHECK(source->process().WaitForErr("a second time, which is refused", kPatience));
  CheckRunsWell(*source, 0);
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "100ms"});
  RequireMoved(*migration, *destination);
  CheckRunsWell(*destination, 1);
}

TEST_CASE("a QEMU without the interposer that maps its RAM twice is not moved") {
  Scene scene;
  QemuMachine::Spec spec = scene.Spec("source");
  spec.interposer = false;
  auto source = scene.StartGuest(spec);
  {
    auto monitor = QmpClient::Connect("source", source->qmp_socket(), kPatience);
    REQUIRE(monitor.ok());
    REQUIRE(monitor
                ->Execute("object-add", {{"qom-type", "memory-backend-file"},
                                         {"id", "second"},
                                         {"size", 160u << 20},
                                         {"mem-path", source->ram_path()},
                                         {"share", true}})
                .ok());
  }
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  CheckRefused(*scene.Migrate(*source, *destination, {"--agent", ""}),
               {"source", "2 memory backends", "memory-backend-file", "runs on at the source"});
  CheckRunsWell(*source, 0);
}

TEST_CASE("the agent of another guest is not taken for the source's") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  auto other = scene.StartGuest(scene.Spec("other"));
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination"), *pager);
  CheckRefused(*scene.Migrate(*source, *destination, {"--agent", other->agent_socket()}),
               {other->agent_socket(), source->ram_path(), "another guest's", "runs on at the source"});
  CheckRunsWell(*source, 0);
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
  CheckRunsWell(*source, 0);
}

}  // namespace
}  // namespace farfault
