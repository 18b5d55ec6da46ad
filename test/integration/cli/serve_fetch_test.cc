#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/integration/cli/command.h"
#include "test/integration/cli/served_file.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("fetch sees the same bytes by every pattern, pushed or not") {
  // Not a whole number of pages, one byte, exactly one page, several huge pages.
  const std::size_t bytes = GENERATE(1u, 4096u, (5u << 20) + 123u);
  const TemporaryFile file(bytes);
  for (const bool push : {false, true}) {
    std::vector<std::string> serve_arguments = {"serve", file.path(), "--listen", "tcp://127.0.0.1:0"};
    if (push) serve_arguments.emplace_back("--push");
    CommandProcess serve(Farfault(serve_arguments));
    const std::string address = AddressOf(serve);
    // One server, one destination after the other.
    for (const std::string pattern : {"random", "sequential", "strided"}) {
      INFO(bytes << " bytes, " << pattern << (push ? ", pushed" : ""));
      CommandProcess fetch(Farfault({"fetch", "--from", address, "--pattern", pattern, "--wait", "60s"}));
      const int status = fetch.Wait(kPatience);
      INFO(fetch.Err() << "\nserve: " << serve.Err());
      REQUIRE(status == 0);
      CHECK(fetch.Out() == file.sha256() + "  " + std::filesystem::path(file.path()).filename().string() + "\n");
    }
  }
}

TEST_CASE("serve says how much of a file are holes, as a diff snapshot's are") {
  const TemporaryFile file(1u << 20);
  {
    CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0"}));
    AddressOf(serve);
    CHECK(serve.Err().find("holes") == std::string::npos);
  }
  std::filesystem::resize_file(file.path(), 3u << 20);
  CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0"}));
  AddressOf(serve);
  INFO(serve.Err());
  CHECK(serve.Err().find("3.00 MiB (3145728 bytes), 2.00 MiB of it holes, which read as zeros (a diff snapshot has to "
                         "be merged with its base first)") != std::string::npos);
}

TEST_CASE("an image that has become shorter is not served as zeros") {
  const TemporaryFile file(4u << 20);
  const bool push = GENERATE(false, true);
  const std::uint64_t left = GENERATE(0u, 2u << 20);
  CAPTURE(push, left);
  std::vector<std::string> arguments = {"serve", file.path(), "--listen", "tcp://127.0.0.1:0"};
  if (push) arguments.emplace_back("--push");
  CommandProcess serve(Farfault(arguments));
  const std::string address = AddressOf(serve);
  std::filesystem::resize_file(file.path(), left);
  CommandProcess fetch(Farfault({"fetch", "--from", address}));
  const int fetched = fetch.Wait(kPatience);
  const int served = serve.Wait(kPatience);
  INFO(fetch.Err() << "\nserve: " << serve.Err());
  CHECK(fetched == 1);
  CHECK(fetch.Out().empty());
  CHECK(served == 1);
  CHECK_THAT(serve.Err(), ContainsSubstring("has become shorter"));
}

TEST_CASE("fetch may start first, and waits with a message") {
  const TemporaryFile file(300'000);
  std::string address;
  {
    // A port that was free a moment ago.
    CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0"}));
    address = AddressOf(serve);
  }
  CommandProcess fetch(Farfault({"fetch", "--from", address}));
  REQUIRE(fetch.WaitForErr("waiting for a source at " + address, kPatience));
  CommandProcess serve(Farfault({"serve", file.path(), "--listen", address, "--once"}));
  const int status = fetch.Wait(kPatience);
  INFO(fetch.Err() << "\nserve: " << serve.Err());
  REQUIRE(status == 0);
  CHECK(fetch.Out().starts_with(file.sha256()));
  CHECK(serve.Wait(kPatience) == 0);
}

TEST_CASE("fetch --json, --rest and --output") {
  const TemporaryFile file(2'000'001);
  const std::string copy = file.path() + "-copy";
  CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0", "--once"}));
  CommandProcess fetch(Farfault({"fetch", "--from", AddressOf(serve), "--json", "--rest", "--output", copy}));
  REQUIRE(fetch.Wait(kPatience) == 0);
  CHECK(fetch.Err().empty());
  const nlohmann::json json = nlohmann::json::parse(fetch.Out());
  CHECK(json["sha256"] == file.sha256());
  CHECK(json["bytes"] == file.contents().size());
  CHECK(json["pages"] == 489);
  std::ifstream written(copy, std::ios::binary);
  CHECK(std::string(std::istreambuf_iterator<char>(written), {}) == file.contents());
  std::filesystem::remove(copy);
  CHECK(serve.Wait(kPatience) == 0);
}

TEST_CASE("serve goes on after a destination that gave up, and both ends need the same key") {
  const TemporaryFile file(100'000);
  const TemporaryFile key(32, "key");
  const TemporaryFile other_key(33, "other-key");
  CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0", "--key-file", key.path()}));
  const std::string address = AddressOf(serve);
  for (const bool with_other_key : {false, true}) {
    std::vector<std::string> arguments = {"fetch", "--from", address, "--wait", "5s"};
    if (with_other_key) arguments.insert(arguments.end(), {"--key-file", other_key.path()});
    CommandProcess stranger(Farfault(arguments));
    REQUIRE(stranger.Wait(kPatience) == 1);
    INFO(stranger.Err());
    CHECK(stranger.Err().find("key") != std::string::npos);
    CHECK(stranger.Out().empty());
  }
  CommandProcess fetch(Farfault({"fetch", "--from", address, "--wait", "60s", "--key-file", key.path()}));
  const int status = fetch.Wait(kPatience);
  INFO(fetch.Err() << "\nserve: " << serve.Err());
  REQUIRE(status == 0);
  CHECK(fetch.Out().starts_with(file.sha256()));
}

TEST_CASE("fetch refuses an image for which this machine has too little memory, with what to do") {
  const TemporaryFile file(16u << 20);
  const TemporaryFile meminfo(0, "meminfo");
  std::ofstream(meminfo.path()) << "MemTotal:  65536 kB\nMemAvailable:  8192 kB\nSwapFree:  0 kB\n";
  // In a name space of its own the machine says what this file does.
  std::vector<std::string> command = {
      "/usr/bin/unshare", "--mount", "/bin/sh", "-c", R"(mount --bind "$0" /proc/meminfo && exec "$@")",
      meminfo.path()};
  std::vector<std::string> nothing = command;
  nothing.emplace_back("/bin/true");
  CommandProcess allowed(nothing);
  if (const int status = allowed.Wait(kPatience); status != 0) {
    SkipFor("this user may not mount in a name space of its own: " + allowed.Err());
  }
  CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0"}));
  const std::vector<std::string> arguments = Farfault({"fetch", "--from", AddressOf(serve), "--wait", "60s"});
  command.insert(command.end(), arguments.begin(), arguments.end());
  CommandProcess fetch(command);
  const int status = fetch.Wait(kPatience);
  INFO(fetch.Err() << "\nserve: " << serve.Err());
  CHECK(status == 1);
  CHECK(fetch.Out().empty());
  CHECK(fetch.Err().find("the guest needs 16 MiB of memory, but only ") != std::string::npos);
  CHECK(fetch.Err().find("free some, raise the limit, or give the guest less memory") != std::string::npos);
}

TEST_CASE("fetch says so when the source dies in the middle") {
  const TemporaryFile file(64u << 20);
  CommandProcess serve(Farfault({"serve", file.path(), "--listen", "tcp://127.0.0.1:0"}));
  // Its thread waits for a page that never comes, so it ends without joining anybody, which ThreadSanitizer would call
  // a leak.
  const char* const given = std::getenv("TSAN_OPTIONS");
  std::vector<std::string> command = {
      "/usr/bin/env", std::string("TSAN_OPTIONS=") + (given == nullptr ? "" : given) + ":report_thread_leaks=0"};
  const std::vector<std::string> arguments =
      Farfault({"fetch", "--from", AddressOf(serve), "--pattern", "random", "--threads", "1"});
  command.insert(command.end(), arguments.begin(), arguments.end());
  CommandProcess fetch(command);
  REQUIRE(serve.WaitForErr("a destination has come", kPatience));
  serve.Signal(SIGKILL);
  const int status = fetch.Wait(kPatience);
  INFO(fetch.Err());
  // It may just have been quick enough.
  REQUIRE((status == 1 || (status == 0 && fetch.Out().starts_with(file.sha256()))));
  if (status == 0) return;
  const std::string err = fetch.Err();
  CHECK_THAT(err, ContainsSubstring("farfault: "));
  CHECK_THAT(err, ContainsSubstring("the peer closed the connection") ||
                      ContainsSubstring("the connection to the peer is lost"));
  // It may not have come as far as its first page.
  CHECK_THAT(err, ContainsSubstring("see at the source why it ended, then run this again") ||
                      ContainsSubstring("see there why, then begin again"));
}

}  // namespace
}  // namespace farfault
