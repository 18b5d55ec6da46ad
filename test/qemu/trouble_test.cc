#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "lib/cli/qemu/qmp_client.h"
#include "lib/util/deadline.h"
#include "test/qemu/scene.h"
#include "test/support/qemu/qmp_proxy.h"

// QEMUs that answer late, refuse, or end in the middle, and pagers that do.
namespace farfault {
namespace {

constexpr absl::Duration kPatience = Scene::kPatience;

/// A guest that runs at the source, and a destination with its pager that waits for it.
struct ReadyToMove {
  Scene scene;
  std::unique_ptr<QemuMachine> source = scene.StartGuest(scene.Spec("source"));
  std::unique_ptr<CommandProcess> pager = scene.StartPager();
  std::unique_ptr<QemuMachine> destination = scene.StartDestination(scene.Spec("destination"), *pager);
};

enum class End { kSource, kDestination };
enum class Trouble { kRefused, kLate };

struct Case {
  End end;
  Trouble trouble;
  std::string command;
  std::vector<std::string> words;
};

TEST_CASE("a command that QEMU refuses or answers late leaves the guest at the source") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  const std::vector<Case> cases = {
      {End::kSource, Trouble::kRefused, "migrate-set-capabilities", {"x-ignore-shared", "QEMU 4.0", "runs on"}},
      {End::kDestination,
       Trouble::kRefused,
       "migrate-incoming",
       {"destination", "refuses migrate-incoming", "runs on"}},
      {End::kDestination, Trouble::kRefused, "stop", {"destination", "refuses stop", "runs on"}},
      {End::kSource, Trouble::kRefused, "migrate", {"source", "refuses migrate", "goes on"}},
      // It is carried out.
      {End::kSource, Trouble::kLate, "migrate", {"source's QEMU does not answer", "in answer to migrate", "goes on"}},
      {End::kSource, Trouble::kRefused, "migrate-continue", {"source", "refuses migrate-continue", "goes on"}},
      {End::kDestination, Trouble::kRefused, "cont", {"refuses cont", "not in the mood for it", "goes on"}},
  };
  for (const Case& wrong : cases) {
    const std::string name = (wrong.trouble == Trouble::kRefused ? "refused-" : "late-") + wrong.command;
    INFO(name);
    auto pager = scene.StartPager();
    auto destination = scene.StartDestination(scene.Spec("destination-" + name), *pager);
    const bool at_source = wrong.end == End::kSource;
    QmpProxy proxy(scene.Path("proxy-" + name), (at_source ? source : destination)->qmp_socket());
    wrong.trouble == Trouble::kRefused ? proxy.Refuse(wrong.command) : proxy.AnswerLate(wrong.command);
    auto migration = scene.Migrate(
        *source, *destination,
        {at_source ? "--source-qmp" : "--destination-qmp", proxy.path(), "--timeout", "5s", "--prepage-time", "100ms"});
    CheckRefused(*migration, wrong.words);
    CHECK(migration->Err().find("at the source") != std::string::npos);
    // One that has seen some of the guest must not keep its disks.
    const bool sent = wrong.command.starts_with("migrate") && at_source && wrong.command != "migrate-set-capabilities";
    if (sent || wrong.command == "cont") CHECK(destination->process().Wait(kPatience) == 0);
    CheckRunsWell(*source, 1);
  }
}

TEST_CASE("a guest that may have been started at the destination is served, whatever is answered") {
  ReadyToMove ready;
  auto& [scene, source, pager, destination] = ready;
  QmpProxy at_destination(scene.Path("destination.proxy"), destination->qmp_socket());
  at_destination.AnswerLate("cont");
  auto migration =
      scene.Migrate(*source, *destination, {"--destination-qmp", at_destination.path(), "--timeout", "5s"});
  // It is asked in the end.
  const nlohmann::json moved = RequireMoved(*migration, *destination);
  CHECK(moved.at("resumed_at_us").is_number());
  CHECK(at_destination.Count("cont") == 1);
  CHECK(pager->Wait(kPatience) == 0);
  source->process().Signal(SIGKILL);
  CheckRunsWell(*destination, 1);
}

TEST_CASE("a guest that has all of its memory at the destination but does not run there is no success") {
  ReadyToMove ready;
  auto& [scene, source, pager, destination] = ready;
  QmpProxy at_destination(scene.Path("destination.proxy"), destination->qmp_socket());
  at_destination.Swallow("cont");
  auto migration =
      scene.Migrate(*source, *destination, {"--destination-qmp", at_destination.path(), "--timeout", "5s"});
  CheckRefused(*migration, {"destination's QEMU does not answer", "in answer to cont", "has been handed over",
                            "it is 'paused' there, and cont runs it"});
  CHECK(pager->Wait(kPatience) == 0);
}

TEST_CASE("a QEMU or pager that ends during the switchover is named, and the guest goes on where it can") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  const std::map<std::string, std::string> names = {{"destination", "the destination's QEMU has gone"},
                                                    {"pager", "farfault: the pager at tcp://"}};
  for (const std::string who : {"destination", "pager", "source"}) {
    INFO("who ends: " << who);
    auto pager = scene.StartPager();
    auto destination = scene.StartDestination(scene.Spec("for-the-" + who), *pager);
    QmpProxy proxy(scene.Path("proxy-" + who), source->qmp_socket());
    // Neither the memory has been handed over then, nor the devices' state been sent.
    proxy.Hold("migrate-continue");
    auto migration = scene.Migrate(*source, *destination, {"--source-qmp", proxy.path(), "--prepage-time", "100ms"});
    REQUIRE(proxy.WaitUntilHeld(kPatience));
    CommandProcess& ending = who == "pager" ? *pager : (who == "source" ? source : destination)->process();
    ending.Signal(SIGKILL);
    REQUIRE(ending.Wait(kPatience) == 128 + SIGKILL);
    proxy.Release();
    if (who == "source") {
      CheckRefused(*migration, {"source", "does not go on at the source"});
    } else {
      CheckRefused(*migration, {names.at(who), "goes on at the source"});
      CheckRunsWell(*source, 1);
    }
  }
}

TEST_CASE("a pager that ends just before the destination is told to run leaves the guest at the source") {
  ReadyToMove ready;
  auto& [scene, source, pager, destination] = ready;
  QmpProxy at_destination(scene.Path("destination.proxy"), destination->qmp_socket());
  // It says so once it has loaded its devices, and cont comes next. Before that it is 'inmigrate'.
  at_destination.HoldAnswer("\"paused\"");
  auto migration =
      scene.Migrate(*source, *destination, {"--destination-qmp", at_destination.path(), "--prepage-time", "100ms"});
  REQUIRE(at_destination.WaitUntilHeld(kPatience));
  pager->Signal(SIGKILL);
  REQUIRE(pager->Wait(kPatience) == 128 + SIGKILL);
  // Until the session has seen it. An answer that is awaited for more than a second is asked for again.
  absl::SleepFor(absl::Milliseconds(500));
  at_destination.Release();
  CheckRefused(*migration, {"farfault: the pager at tcp://", "goes on at the source"});
  CHECK(at_destination.Count("cont") == 0);
  CheckRunsWell(*source, 1);
}

/// A command of the set-up, which is held at one end while somebody ends.
struct SetUpStep {
  End held_at;
  std::string command;
};

enum class Who { kSource, kDestination, kPager };

/// Begins a move, and kills `who` at that step. The command is over when this returns, and what it said is in Err.
std::unique_ptr<CommandProcess> KillDuring(const SetUpStep& step, Who who, Scene& scene, QemuMachine& source) {
  static int moves = 0;
  const std::string name = std::to_string(++moves);
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(scene.Spec("destination-" + name), *pager);
  const bool at_source = step.held_at == End::kSource;
  QmpProxy proxy(scene.Path("proxy-" + name), (at_source ? source : *destination).qmp_socket());
  proxy.Hold(step.command);
  // Where nobody can listen any more it waits for all of that.
  const bool waits = who == Who::kPager && step.command != "migrate";
  auto migration = scene.Migrate(source, *destination,
                                 {at_source ? "--source-qmp" : "--destination-qmp", proxy.path(), "--timeout",
                                  waits ? "5s" : "60s", "--prepage-time", "100ms"});
  REQUIRE(proxy.WaitUntilHeld(kPatience));
  CommandProcess& ending = who == Who::kPager ? *pager : (who == Who::kSource ? source : *destination).process();
  ending.Signal(SIGKILL);
  REQUIRE(ending.Wait(kPatience) == 128 + SIGKILL);
  proxy.Release();
  static_cast<void>(migration->Wait(kPatience));
  return migration;
}

std::string Describe(const SetUpStep& step) {
  return step.command + (step.held_at == End::kSource ? " at the source" : " at the destination");
}

TEST_CASE("a destination that ends while a move is set up is named, and the guest runs on at the source") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  for (const SetUpStep& step : std::vector<SetUpStep>{{End::kDestination, "qmp_capabilities"},
                                                      {End::kSource, "query-memdev"},
                                                      {End::kDestination, "query-memdev"},
                                                      {End::kSource, "migrate-set-capabilities"},
                                                      {End::kDestination, "migrate-set-capabilities"},
                                                      {End::kDestination, "migrate-incoming"},
                                                      {End::kDestination, "stop"},
                                                      {End::kSource, "migrate"}}) {
    INFO(Describe(step));
    auto migration = KillDuring(step, Who::kDestination, scene, *source);
    CheckRefused(*migration, {"the destination's QEMU has gone", "at the source"});
    CheckRunsWell(*source, 1);
  }
}

TEST_CASE("a pager or source that ends while a move is set up is named, and the guest runs on where it can") {
  Scene scene;
  auto source = scene.StartGuest(scene.Spec("source"));
  for (const SetUpStep& step : std::vector<SetUpStep>{{End::kSource, "query-memdev"},
                                                      {End::kDestination, "migrate-incoming"},
                                                      {End::kDestination, "stop"},
                                                      {End::kSource, "migrate"}}) {
    INFO(Describe(step));
    auto migration = KillDuring(step, Who::kPager, scene, *source);
    CheckRefused(*migration, {"farfault: the pager at tcp://", "at the source"});
    CheckRunsWell(*source, 1);
  }
  auto migration = KillDuring({End::kDestination, "migrate-incoming"}, Who::kSource, scene, *source);
  CheckRefused(*migration, {"the source's QEMU has ended, and its guest with it"});
}

// Devices enough that their state does not fit the socket between two QEMUs: the one writes, holding QEMU's big lock,
// until the other reads.
QemuMachine::Spec WithManyDevices(const Scene& scene, const std::string& name) {
  QemuMachine::Spec spec = scene.Spec(name);
  for (int i = 0; i < 26; ++i) spec.more_options.insert(spec.more_options.end(), {"-device", "virtio-rng-pci"});
  return spec;
}

TEST_CASE("a source that is deaf when the memory cannot be handed over lets its guest go on") {
  Scene scene;
  QemuMachine::Spec spec = WithManyDevices(scene, "source");
  const std::string second_monitor = scene.Path("source.second");
  spec.more_options.insert(spec.more_options.end(), {"-qmp", "unix:" + second_monitor + ",server=on,wait=off"});
  auto source = scene.StartGuest(spec);
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(WithManyDevices(scene, "destination"), *pager);
  QmpProxy at_source(scene.Path("source.proxy"), source->qmp_socket());
  at_source.Hold("migrate-continue");
  auto migration = scene.Migrate(*source, *destination, {"--source-qmp", at_source.path(), "--prepage-time", "100ms"});
  REQUIRE(at_source.WaitUntilHeld(kPatience));
  auto monitor = QmpClient::Connect("source", second_monitor, kPatience);
  REQUIRE(monitor.ok());
  destination->process().Signal(SIGSTOP);  // As one that waits for a page.
  pager->Signal(SIGSTOP);
  at_source.Release();
  // Once it has begun to write it answers nobody.
  absl::Status answer;
  for (const auto until = Deadline::After(kPatience); answer.ok() && !until.Passed();) {
    answer = monitor->Execute("query-status", nlohmann::json::object(), absl::Seconds(2)).status();
    absl::SleepFor(absl::Milliseconds(20));
  }
  INFO(answer.ToString());
  REQUIRE((absl::IsDeadlineExceeded(answer) || absl::IsUnavailable(answer)));
  pager->Signal(SIGKILL);
  CheckRefused(*migration, {"goes on at the source", "kill it (SIGKILL)"});
  CheckRunsWell(*source, 1);
}

TEST_CASE("a source that ends while pages are sent ahead is not said to run on") {
  ReadyToMove ready;
  auto& [scene, source, pager, destination] = ready;
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "30s", "--prepage-bytes", "1TiB"});
  REQUIRE(migration->WaitForErr("pre-paging", kPatience));
  source->process().Signal(SIGKILL);
  CheckRefused(*migration, {"the source's QEMU has ended, and its guest with it"});
}

TEST_CASE("a destination that ends as it is told to run the guest leaves the way back to the user") {
  ReadyToMove ready;
  auto& [scene, source, pager, destination] = ready;
  QmpProxy at_destination(scene.Path("destination.proxy"), destination->qmp_socket());
  at_destination.Hold("cont");
  auto migration = scene.Migrate(
      *source, *destination,
      {"--destination-qmp", at_destination.path(), "--prepage-time", "0s", "--no-push", "--reconnect-timeout", "2s"});
  REQUIRE(at_destination.WaitUntilHeld(kPatience));
  destination->process().Signal(SIGKILL);
  REQUIRE(destination->process().Wait(kPatience) == 128 + SIGKILL);
  at_destination.Release();
  // It may have run the guest for a moment, for all that anybody knows.
  CheckRefused(*migration, {"--reconnect-timeout", source->ram_path(), "--resume", "cont at the source"});
  auto monitor = QmpClient::Connect("source", source->qmp_socket(), kPatience);
  REQUIRE(monitor.ok());
  REQUIRE(monitor->Execute("cont").ok());
  CheckRunsWell(*source, 1);
}

}  // namespace
}  // namespace farfault
