#include <fmt/format.h>
#include <linux/userfaultfd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "lib/cli/pager/unix_socket.h"
#include "lib/cli/pager/working_set.h"
#include "test/integration/cli/command.h"
#include "test/integration/pager/micro_vm.h"
#include "test/integration/pager/pager_rig.h"
#include "test/support/guest_process.h"
#include "test/support/memory_machine.h"

// What one run of `farfault pager` leaves to the next: a guest that waits, and the order in which its memory is
// touched.
namespace farfault {
namespace {

TEST_CASE("a pager with a state file has one guest, and sends others away", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest first(MicroVm());
  ForkedGuest second(MicroVm());
  ServedImage image(2 * kPart);
  const std::vector<std::string> command = image.PagerCommand({"--state", image.path("state")});
  CommandProcess pager(command);
  WaitUntilListening(pager);
  first.HandOver(image.socket(), {{TextOf(first, Version::k1_12), 1}});
  CHECK(first.Sum(7) == image.Sum(7));
  second.HandOver(image.socket(), {{TextOf(second, Version::k1_12), 1}});
  REQUIRE(pager.WaitForErr(fmt::format("sent the guest of process {} away", second.pid()), kPatience));
  {
    CommandProcess another(command);
    CHECK(another.Wait(kPatience) == 1);
    CHECK(another.Err().find("does its pager still run?") != std::string::npos);
  }
  CHECK(first.Sum(8) == image.Sum(8));
  // Its keeper goes with it.
  first.Kill();
  REQUIRE(pager.WaitForErr("process that the guest lives in has exited", kPatience));
  second.HandOver(image.socket(), {{TextOf(second, Version::k1_12), 1}});
  CHECK(second.Sum(9) == image.Sum(9));
}

TEST_CASE("a pager that was killed is followed by another, which overwrites nothing", "[pager]") {
  RequireDirtyTracking();
  const bool shared = GENERATE(false, true);
  ForkedGuest::Spec spec = MicroVm();
  if (shared) {
    spec = {.parts = {kPart, kPart},
            .shared = true,
            .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM,
            .register_modes = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR};
  }
  ForkedGuest guest(spec);
  const bool push = GENERATE(false, true);
  ServedImage image(2 * kPart);
  const std::vector<std::string> command =
      image.PagerCommand({"--once", "--json", "--rest", "--state", image.path("state")});
  std::vector<std::uint64_t> expected;
  for (std::uint64_t page = 0; page < kPages; ++page) expected.push_back(image.Sum(page));
  {
    std::vector<std::string> slow = command;
    std::erase(slow, "--rest");
    CommandProcess pager(slow);
    WaitUntilListening(pager);
    guest.HandOver(image.socket(),
                   {{TextOf(guest, Version::k1_12, shared ? ",\"shared_file\":true" : ""), shared ? 2u : 1u}});
    for (std::uint64_t page = 0; page < kPages; page += 3) {
      guest.Write(page, page);
      expected[page] = guest.Sum(page);
    }
    pager.Signal(SIGKILL);
    REQUIRE(pager.Wait(kPatience) == 128 + SIGKILL);
  }
  std::optional<CommandProcess> pushing;
  if (push) {
    image.serve().Signal(SIGKILL);
    image.serve().Wait(kPatience);
    pushing.emplace(Farfault({"serve", image.path("image"), "--listen", image.address(), "--push"}));
  }
  guest.BeginSum(1);
  CommandProcess pager(command);
  REQUIRE(pager.WaitForErr("taking over the guest of process", kPatience));
  CHECK(guest.Finish() == expected[1]);
  const int status = pager.Wait(kPatience);
  INFO(pager.Err());
  REQUIRE(status == 0);
  const nlohmann::json report = ReportOf(pager);
  CHECK(report["taken_over"] == true);
  // What the guest had is neither read nor pushed again. Pushes that were overtaken by reads may not have been taken
  // in.
  const auto came = [&report](const char* how) { return report["pages_by"][how].get<std::uint64_t>(); };
  const std::uint64_t missing = kPages - (kPages + 2) / 3;
  CHECK(came("demand") + came("fetch") + came("push") - report["duplicates"].get<std::uint64_t>() <= missing);
  if (!push) CHECK(came("demand") + came("fetch") == missing);
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) wrong += guest.Sum(page) != expected[page] ? 1u : 0u;
  CHECK(wrong == 0);
  // Its keeper is gone with it.
  const absl::Time deadline = absl::Now() + kPatience;
  while (ConnectUnix(image.path("state.keeper")).ok() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(10));
  CHECK_FALSE(ConnectUnix(image.path("state.keeper")).ok());
}

TEST_CASE("a pager that takes a guest over and does not find its source leaves it to the next", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest guest(MicroVm());
  ServedImage image(2 * kPart);
  const std::vector<std::string> command = image.PagerCommand({"--once", "--state", image.path("state")});
  {
    CommandProcess pager(command);
    WaitUntilListening(pager);
    guest.HandOver(image.socket(), {{TextOf(guest, Version::k1_12), 1}});
    CHECK(guest.Sum(7) == image.Sum(7));
    pager.Signal(SIGKILL);
    REQUIRE(pager.Wait(kPatience) == 128 + SIGKILL);
  }
  image.serve().Signal(SIGKILL);
  image.serve().Wait(kPatience);
  {
    std::vector<std::string> impatient = command;
    impatient.insert(impatient.end(), {"--wait", "1s"});
    CommandProcess pager(impatient);
    CHECK(pager.Wait(kPatience) == 1);
    INFO(pager.Err());
    CHECK(pager.Err().find("taking over the guest of process") != std::string::npos);
  }
  CHECK(std::filesystem::exists(image.path("state")));
  CommandProcess serve(Farfault({"serve", image.path("image"), "--listen", image.address()}));
  CommandProcess pager(command);
  REQUIRE(pager.WaitForErr("taking over the guest of process", kPatience));
  CHECK(guest.Sum(8) == image.Sum(8));
}

TEST_CASE("serve takes a working set, of its own image only", "[pager]") {
  RequireUserfaultfd();
  ServedImage image(2 * kPart);
  const std::string path = image.path("ws");
  std::ofstream(path) << "farfault-working-set 1 " << kPages << " 4096\n700 10\n";
  CommandProcess serve(Farfault(
      {"serve", image.path("image"), "--listen", "tcp://127.0.0.1:0", "--push", "--once", "--working-set", path}));
  REQUIRE(serve.WaitForErr("waiting for a destination at ", kPatience));
  const std::string err = serve.Err();
  const std::size_t begin = err.find("tcp://");
  CommandProcess fetch(Farfault({"fetch", "--from", err.substr(begin, err.find(' ', begin) - begin), "--json"}));
  REQUIRE(fetch.Wait(kPatience) == 0);
  std::ofstream(path) << "farfault-working-set 1 " << kPages + 1 << " 4096\n";
  CommandProcess other(
      Farfault({"serve", image.path("image"), "--listen", "tcp://127.0.0.1:0", "--push", "--working-set", path}));
  CHECK(other.Wait(kPatience) == 1);
  CHECK(other.Err().find("record it again") != std::string::npos);
}

TEST_CASE("a working set that one run has recorded is there before the next run asks for it", "[pager]") {
  RequireUserfaultfd();
  ServedImage image(2 * kPart);
  const std::vector<std::uint64_t> touched = {40, 41, 42, 700, 3, 900, 901};
  const auto run = [&](const std::vector<std::string>& more, bool wait_for_all) {
    ForkedGuest guest(MicroVm());
    CommandProcess pager(image.PagerCommand(more));
    WaitUntilListening(pager);
    guest.HandOver(image.socket(), {{TextOf(guest, Version::k1_12), 1}});
    REQUIRE(pager.WaitForErr("the guest may run", kPatience));
    if (wait_for_all) absl::SleepFor(absl::Seconds(1));
    for (const std::uint64_t page : touched) CHECK(guest.Sum(page) == image.Sum(page));
    pager.Signal(SIGTERM);
    CHECK(pager.Wait(kPatience) == 0);
    return ReportOf(pager);
  };
  const nlohmann::json first = run({"--json", "--record", image.path("ws")}, false);
  CHECK(first["faults_network"] == touched.size());
  const auto recorded = ReadWorkingSet(image.path("ws"));
  REQUIRE(recorded.ok());
  CHECK(recorded->pages == kPages);
  CHECK(recorded->order == std::vector<PageRun>{{40, 3}, {700, 1}, {3, 1}, {900, 2}});
  const nlohmann::json second = run({"--json", "--working-set", image.path("ws")}, true);
  CHECK(second["faults_network"] == 0);
  CHECK(second["pages_by"]["fetch"] == touched.size());
}

}  // namespace
}  // namespace farfault
