#include <CLI/CLI.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>

#include "farfault/version.h"
#include "lib/cli/commands.h"
#include "lib/cli/doctor/host_facts.h"
#include "lib/cli/option_types.h"
#include "lib/transport/transport.h"
#include "lib/util/status_text.h"

// What somebody is told who asks a build without libibverbs for RDMA.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

void CheckLacksVerbs(const std::string& said) {
  CHECK_THAT(said, ContainsSubstring("no transport 'verbs'; it has: tcp, sim") && ContainsSubstring("libibverbs-dev") &&
                       ContainsSubstring("-DFARFAULT_WITH_VERBS=ON"));
}

std::string Refusal(CLI::App& app, const std::string& line) {
  try {
    app.parse(line);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a build without verbs says so, and how to get one with them") {
  CHECK(TransportNames() == "tcp sim");
  CHECK_FALSE(GatherHostFacts().built_with_verbs);
  for (const char* const address : {"verbs://192.0.2.7:7000", "verbs://192.0.2.7:7000?rail=192.0.2.8"}) {
    const absl::Status lacking = MakeTransport(address).status();
    INFO(lacking.ToString());
    CHECK(absl::IsInvalidArgument(lacking));
    CheckLacksVerbs(std::string(StatusText(lacking)));
  }
  const absl::Status unknown = MakeTransport("pigeon://192.0.2.7:7000").status();
  CHECK(absl::IsInvalidArgument(unknown));
  CHECK_THAT(std::string(StatusText(unknown)), ContainsSubstring("it has: tcp, sim") && !ContainsSubstring("RDMA"));
}

TEST_CASE("the command of a build without verbs says so before it starts anything") {
  CLI::App app;
  SECTION("as an address") {
    std::string address;
    AddAddress(app, "--from", address, "");
    CheckLacksVerbs(Refusal(app, "--from verbs://192.0.2.7:7000"));
    CHECK(Refusal(app, "--from tcp://192.0.2.7:7000").empty());
  }
  SECTION("as the demo's transport") {
    Action action;
    AddDemoCommand(app, action);
    CheckLacksVerbs(Refusal(app, "demo --transport verbs"));
    CHECK(Refusal(app, "demo --transport tcp").empty());
  }
}

}  // namespace
}  // namespace farfault
