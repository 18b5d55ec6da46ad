#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "test/integration/cli/command.h"
#include "test/integration/cli/served_file.h"
#include "test/integration/cli/stranger.h"

namespace farfault {
namespace {

struct Wrong {
  std::vector<std::string> arguments;
  int status = 0;
  std::vector<std::string> words;  ///< The error names the cause and the remedy.
};

void CheckRefused(const std::vector<std::string>& command, const Wrong& wrong) {
  std::string line;
  for (const std::string& argument : command) line += argument + " ";
  INFO(line);
  CommandProcess process(command);
  const int status = process.Wait(kPatience);
  const std::string err = process.Err();
  INFO("standard error: " << err);
  CHECK(status == wrong.status);
  CHECK(err.find("farfault: ") != std::string::npos);
  CHECK(process.Out().empty());
  for (const std::string& word : wrong.words) {
    INFO("should say: " << word);
    CHECK(err.find(word) != std::string::npos);
  }
}

void CheckRefused(const Wrong& wrong) { CheckRefused(Farfault(wrong.arguments), wrong); }

std::vector<std::string> Serve(const std::string& path) { return {"serve", path, "--listen", "tcp://127.0.0.1:0"}; }

TEST_CASE("bad usage is refused before anything starts") {
  for (const Wrong& wrong : std::vector<Wrong>{
           {{"teleport"}, 2, {"no command 'teleport'", "fetch", "--help"}},
           {{"fetsh", "--from", "tcp://127.0.0.1:1"}, 2, {"no command 'fetsh'", "did you mean fetch?"}},
           {{"serve", "/bin/sh", "--lisen", "tcp://127.0.0.1:0"}, 2, {"no option --lisen", "did you mean --listen?"}},
           {{"demo", "--sise=64M"}, 2, {"no option --sise", "did you mean --size?"}},
           {{"doctor", "--quickly"}, 2, {"no option --quickly"}},
           {{"demo", "--budget", "0"}, 2, {"--budget", "without pre-paging"}},
           {{"demo", "--timeout", "0s"}, 2, {"--timeout", "not more than zero"}},
           {{"demo", "--size"}, 2, {"--size"}},
           {{"demo", "--size", "much"}, 2, {"much", "1GiB"}},
           {{"demo", "--size", "12K"}, 2, {"12.0 KiB", "smallest"}},
           {{"demo", "--method", "magic"}, 2, {"magic", "demand, push, prepage"}},
           {{"demo", "--predictor", "oracle"}, 2, {"oracle", "bubbling"}},
           {{"demo", "--transport", "pigeon"}, 2, {"pigeon", "tcp", "sim"}},
           {{"demo", "--transport", "sim?latency=5"}, 2, {"--transport", "latency=5", "not understood"}},
           {{"demo", "--threads", "0"}, 2, {"--threads"}},
           {{"demo", "--seed", "x"}, 2, {"--seed"}},
           {{"demo", "--timeout", "10"}, 2, {"10s"}},
           {{"demo", "--anonymous", "--hugetlb"}, 2, {"--anonymous", "--hugetlb"}},
           {{"serve"}, 2, {"FILE"}},
           {{"serve", "/bin/sh"}, 2, {"--listen"}},
           {{"serve", "/bin/sh", "--listen", "7000"}, 2, {"7000", "tcp://"}},
           {{"serve", "/bin/sh", "--listen", "pigeon://1"}, 2, {"pigeon://1", "tcp"}},
           {{"serve", "/bin/sh", "--listen", "tcp://127.0.0.1:0", "--key-file", "/nonexistent"}, 2, {"/nonexistent"}},
           {{"serve", "/bin/sh", "--listen", "tcp://127.0.0.1:0", "--predictor", "none"}, 2, {"--predictor", "--push"}},
           {{"serve", "/bin/sh", "--listen", "tcp://127.0.0.1:0", "--working-set", "x"},
            2,
            {"--working-set", "--push"}},
           {{"serve", "/bin/sh", "--listen", "tcp://127.0.0.1:0", "--push", "--predictor", "none", "--working-set",
             "x"},
            2,
            {"--working-set", "--predictor"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--no-push", "--predictor", "none"},
            2,
            {"--no-push", "--predictor"}},
           {{"serve", "/bin/sh", "--listen", "tcp://127.0.0.1:99999"}, 2, {"--listen", "0 to 65535"}},
           {{"fetch", "--from", "tcp://127.0.0.1"}, 2, {"--from", "the port is missing", "tcp://HOST:PORT"}},
           {{"fetch", "--from", "tcp://:7000"}, 2, {"--from", "the host is missing"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1?rail="}, 2, {"--from", "without an address"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1?rail=127.0.0.2:x"}, 2, {"--from", "127.0.0.2:x", "0 to 65535"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--wait", "0s"}, 2, {"--wait", "leave it out to wait for ever"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--timeout", "0s"}, 2, {"--timeout", "not more than zero"}},
           {{"fetch"}, 2, {"--from"}},
           {{"qemu-migrate"}, 2, {"--pager"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--source-qmp", "/x"}, 2, {"--destination-qmp"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--resume"}, 2, {"--source-qmp", "--ram"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--ram", "/x"}, 2, {"--ram", "--resume"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--pattern", "zigzag"}, 2, {"zigzag", "random"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--stride", "4"}, 2, {"--stride", "--pattern strided"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--pattern", "strided", "--seed", "2"},
            2,
            {"--seed", "--pattern random"}},
           {{"demo", "--plot", "/nonexistent/x.svg"}, 2, {"--plot", "/nonexistent/x.svg", "make its folder first"}},
           {{"demo", "--plot", "/"}, 2, {"--plot", "name a file in that folder"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--output", "/nonexistent/x"}, 2, {"--output", "make its folder"}},
           {{"pager", "--record", "/nonexistent/x"}, 2, {"--record", "make its folder"}},
           {{"pager", "--state", "/nonexistent/x"}, 2, {"--state", "make its folder"}},
       }) {
    CheckRefused(wrong);
  }
}

TEST_CASE("results that cannot be written are no success") {
  // stdbuf preloads a library, before which a build with AddressSanitizer would want its own.
  const std::string unbuffered = "ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 stdbuf -o0 ";
  for (const std::string arguments : {"predictors", "--version", "--help", "doctor --json"}) {
    for (const std::string& buffer : {std::string(), unbuffered}) {
      const std::string command = fmt::format("{}{} {} > /dev/full", buffer, Farfault({})[0], arguments);
      CheckRefused({"/bin/sh", "-c", command}, {{}, 1, {"standard output", "lost"}});
    }
  }
}

TEST_CASE("sim://, where no other process comes, is refused with what to use") {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"serve", "/bin/sh", "--listen", "sim://x"},
           {"fetch", "--from", "sim://x"},
           {"pager", "--socket", "/nonexistent/s", "--from", "sim://x"},
           {"pager", "--socket", "/nonexistent/s", "--listen", "sim://x"},
           {"qemu-migrate", "--pager", "sim://x"},
           {"demo", "--role", "source", "--listen", "sim://x"},
       }) {
    CheckRefused({arguments, 2, {"sim://x", "one process", "tcp://127.0.0.1:7000"}});
  }
}

TEST_CASE("a demo's source says what only its destination takes") {
  const std::vector<std::string> source = {"demo", "--role", "source", "--listen", "tcp://127.0.0.1:0"};
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{"--size", "64M"},
                                                                                    {"--method", "push"},
                                                                                    {"--json"},
                                                                                    {"--timeout", "10s"},
                                                                                    {"--seed", "2"},
                                                                                    {"--corrupt", "1"}}) {
    std::vector<std::string> arguments = source;
    arguments.insert(arguments.end(), more.begin(), more.end());
    CheckRefused({arguments, 2, {"--role source takes no " + more[0], "destination"}});
  }
}

TEST_CASE("sizes that no machine has are refused, with the largest that fits") {
  CheckRefused({{"demo", "--size", "900TiB"}, 1, {"900 TiB", "--size ", "M"}});
  CheckRefused({{"demo", "--hugetlb", "--size", "900TiB"}, 1, {"900 TiB", "twice", "vm.nr_hugepages=943718400"}});
}

TEST_CASE("files that cannot be served are refused") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("farfault-bad-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string empty = folder / "empty";
  REQUIRE(std::ofstream(empty).good());
  CheckRefused({Serve(empty), 1, {empty, "is empty", "name a file that holds the memory's bytes"}});
  CheckRefused({Serve(folder / "missing"), 1, {"missing", "check its name"}});
  for (const std::string& no_file : {folder.string(), std::string("/dev/null")}) {
    CheckRefused({Serve(no_file), 1, {no_file, "is not a regular file", "name one that holds the memory's bytes"}});
  }
  std::filesystem::remove_all(folder);
}

TEST_CASE("huge pages of a file that is no whole number of them are refused with what to do") {
  const TemporaryFile file((2u << 20) + 5);
  std::vector<std::string> arguments = Serve(file.path());
  arguments.insert(arguments.end(), {"--page-size", "2M"});
  CheckRefused({arguments,
                1,
                {file.path() + " has 2097157 bytes", "--page-size 2097152", "--page-size 4K", "truncate -s 4194304"}});
  arguments.back() = "64K";
  CheckRefused({arguments, 2, {"--page-size", "\"64K\"", "4K and 2M are possible"}});
}

TEST_CASE("an address in use is refused") {
  const Stranger stranger;
  CheckRefused(
      {{"serve", "/bin/sh", "--listen", stranger.address()},
       1,
       {stranger.address(), "is in use by another program", "listen at another port; port 0 picks a free one"}});
}

TEST_CASE("an address where nobody is, is given up after --wait") {
  const std::string address = Stranger().address();
  CheckRefused({{"fetch", "--from", address, "--wait", "500ms"},
                1,
                {"nobody listens at " + address, "start the other end, or wait longer with --wait"}});
  CheckRefused(
      {{"fetch", "--from", "tcp://no-such-host.invalid:7000", "--wait", "500ms"},
       1,
       {"the host of tcp://no-such-host.invalid:7000 cannot be looked up", "check the name, or write its IP"}});
  CheckRefused({{"fetch", "--from", "tcp://127.0.0.1:notaport"},
                2,
                {"notaport", "the port is not a number from 0 to 65535", "write tcp://HOST:PORT"}});
}

TEST_CASE("help and lists are on standard output") {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{},
                                                                                         {"--help"},
                                                                                         {"demo", "--help"},
                                                                                         {"serve", "--help"},
                                                                                         {"fetch", "--help"},
                                                                                         {"--version"},
                                                                                         {"predictors"}}) {
    CommandProcess process(Farfault(arguments));
    CHECK(process.Wait(kPatience) == 0);
    CHECK(process.Err().empty());
    CHECK_FALSE(process.Out().empty());
    CHECK(process.Out().find("demo-role") == std::string::npos);
  }
  CommandProcess help(Farfault({}));
  CHECK(help.Wait(kPatience) == 0);
  CHECK(help.Out().find("First steps") != std::string::npos);
  CommandProcess predictors(Farfault({"predictors"}));
  CHECK(predictors.Wait(kPatience) == 0);
  CHECK(predictors.Out().find("bubbling") != std::string::npos);
}

}  // namespace
}  // namespace farfault
