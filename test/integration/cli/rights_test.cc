#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "test/integration/cli/command.h"
#include "test/integration/cli/served_file.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

// The command of a user who lacks a right.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

std::vector<std::string> AsNobody(const std::vector<std::string>& command) {
  std::vector<std::string> words = {"/usr/bin/setpriv", "--reuid", "65534", "--clear-groups"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

int StatusOf(const std::vector<std::string>& command) { return CommandProcess(command).Wait(kPatience); }

// A copy of the command where everybody may run it: the folder that it was built in may be closed to others.
class NobodysCommand {
 public:
  NobodysCommand() : path_(std::filesystem::temp_directory_path() / fmt::format("farfault-{}-command", getpid())) {
    std::filesystem::copy_file(FARFAULT_COMMAND, path_, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }
  NobodysCommand(const NobodysCommand&) = delete;
  NobodysCommand& operator=(const NobodysCommand&) = delete;
  ~NobodysCommand() {
    std::error_code gone_already;
    std::filesystem::remove(path_, gone_already);
  }

  std::vector<std::string> With(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {path_.string()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return AsNobody(command);
  }

  // Skips the test case where another user cannot run it.
  void RequireRuns() const {
    if (StatusOf(With({"--version"})) != 0) SkipFor("another user cannot run " + path_.string());
  }

  // Skips the test case where it would show nothing.
  void RequireNoRight() const {
    RequireUserfaultfd();
    if (geteuid() != 0) SkipFor("needs root, to give its rights away");
    RequireRuns();
    int unprivileged = 0;
    std::ifstream("/proc/sys/vm/unprivileged_userfaultfd") >> unprivileged;
    const bool device = StatusOf(AsNobody({"/usr/bin/test", "-w", "/dev/userfaultfd"})) == 0;
    if (unprivileged != 0 || device) SkipFor("this machine lets everybody use userfaultfd");
  }

 private:
  const std::filesystem::path path_;
};

void CheckLacksTheRight(CommandProcess& process) {
  CHECK(process.Wait(kPatience) == 1);
  CHECK_THAT(process.Err(), ContainsSubstring("farfault: ") && ContainsSubstring("cannot get a userfaultfd") &&
                                ContainsSubstring("CAP_SYS_PTRACE") &&
                                ContainsSubstring("vm.unprivileged_userfaultfd=1"));
  CHECK(process.Out().empty());
}

TEST_CASE("the demo of a user without the right to userfaultfd says how to get it") {
  const NobodysCommand command;
  command.RequireNoRight();
  CommandProcess demo(command.With({"demo", "--size", "24M"}));
  CheckLacksTheRight(demo);
}

TEST_CASE("fetch by a user without the right to userfaultfd says how to get it") {
  const NobodysCommand command;
  command.RequireNoRight();
  // Not after it has waited: nobody serves there.
  CommandProcess fetch(command.With({"fetch", "--from", "tcp://127.0.0.1:1"}));
  CheckLacksTheRight(fetch);
}

TEST_CASE("serve of a file that this user may not read says how to let it") {
  const TemporaryFile file(1, "secret");
  std::filesystem::permissions(file.path(), std::filesystem::perms::none);
  const std::vector<std::string> arguments = {"serve", file.path(), "--listen", "tcp://127.0.0.1:0"};
  const NobodysCommand nobodys;
  // Root may read everything.
  if (geteuid() == 0) nobodys.RequireRuns();
  CommandProcess serve(geteuid() == 0 ? nobodys.With(arguments) : Farfault(arguments));
  CHECK(serve.Wait(kPatience) == 1);
  CHECK_THAT(serve.Err(), ContainsSubstring("farfault: ") && ContainsSubstring(file.path()) &&
                              ContainsSubstring("let this user read it"));
  CHECK(serve.Out().empty());
}

}  // namespace
}  // namespace farfault
