#include "lib/cli/qemu/qmp_client.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

#include "test/unit/cli/qemu/fake_qmp.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;
using nlohmann::json;
using Lines = std::vector<std::string>;

constexpr absl::Duration kLong = absl::Seconds(60);
constexpr absl::Duration kShort = absl::Milliseconds(100);

QmpClient Connected(const FakeQmp& qemu) {
  auto client = QmpClient::Connect("source", qemu.path(), kLong);
  INFO(client.status().ToString());
  REQUIRE(client.ok());
  return *std::move(client);
}

Lines Agree(const json& command) { return {FakeQmp::Answer(command)}; }

TEST_CASE("a monitor greets, or is none", "[cli][qemu]") {
  SECTION("QEMU's") {
    FakeQmp qemu(FakeQmp::Greeting(), Agree);
    CHECK(Connected(qemu).version() == "7.2.22");
  }
  SECTION("another protocol, or something like it") {
    for (const char* greeting : {"SSH-2.0-OpenSSH_9.2", "[]", R"({"QMP":[]})", R"({"QMP":{"version":3}})",
                                 R"({"QMP":{"version":{"qemu":{"major":"seven"}}}})"}) {
      INFO(greeting);
      FakeQmp qemu(greeting, Agree);
      const auto client = QmpClient::Connect("source", qemu.path(), kLong);
      CHECK(absl::IsInvalidArgument(client.status()));
      CHECK_THAT(client.status().ToString(), ContainsSubstring("QMP") && ContainsSubstring(qemu.path()));
    }
  }
  SECTION("silence, as of one that has another client") {
    FakeQmp qemu("", Agree);
    const auto client = QmpClient::Connect("source", qemu.path(), kShort);
    CHECK(absl::IsUnavailable(client.status()));
    CHECK_THAT(client.status().ToString(), ContainsSubstring("one client at a time"));
  }
  SECTION("the capabilities are refused") {
    FakeQmp qemu(FakeQmp::Greeting(), [](const json& command) { return Lines{FakeQmp::Refusal(command, "no")}; });
    CHECK(absl::IsFailedPrecondition(QmpClient::Connect("source", qemu.path(), kLong).status()));
  }
}

TEST_CASE("an answer that comes late is not taken for the next command's", "[cli][qemu]") {
  json owed;
  FakeQmp qemu(FakeQmp::Greeting(), [&owed](const json& command) {
    if (command.at("execute") == "stop") {
      owed = command;
      return Lines{};
    }
    if (owed.is_null()) return Lines{FakeQmp::Answer(command)};
    return Lines{FakeQmp::Answer(owed, {{"late", true}}), FakeQmp::Answer(command, {{"late", false}})};
  });
  QmpClient client = Connected(qemu);
  const auto stopped = client.Execute("stop", json::object(), kShort);
  CHECK(absl::IsDeadlineExceeded(stopped.status()));
  CHECK_THAT(stopped.status().ToString(), ContainsSubstring("source") && ContainsSubstring("in answer to stop"));
  const auto state = client.Execute("query-status");
  REQUIRE(state.ok());
  CHECK(state->at("late") == false);
}

TEST_CASE("QEMU's refusals come with its words, and what it cannot do is told apart", "[cli][qemu]") {
  FakeQmp qemu(FakeQmp::Greeting(), [](const json& command) {
    if (command.at("execute") == "cont")
      return Lines{FakeQmp::Refusal(command, "Resetting the Virtual Machine is required")};
    if (command.at("execute") == "new")
      return Lines{FakeQmp::Refusal(command, "has not been found", "CommandNotFound")};
    if (command.at("execute") == "odd") return Lines{json{{"id", command.at("id")}, {"error", 7}}.dump()};
    return Agree(command);
  });
  QmpClient client = Connected(qemu);
  const auto cont = client.Execute("cont");
  CHECK(absl::IsFailedPrecondition(cont.status()));
  CHECK_THAT(cont.status().ToString(), ContainsSubstring("source's QEMU 7.2.22 refuses cont") &&
                                           ContainsSubstring("Resetting the Virtual Machine is required"));
  CHECK(absl::IsUnimplemented(client.Execute("new").status()));
  CHECK(absl::IsFailedPrecondition(client.Execute("odd").status()));
  CHECK(client.Execute("stop").ok());
}

TEST_CASE("a command goes past one that QEMU is busy with, where QEMU can do that", "[cli][qemu]") {
  const bool can = GENERATE(true, false);
  json agreed;
  FakeQmp qemu(can ? FakeQmp::Greeting() : R"({"QMP":{"version":{"qemu":{"major":2}},"capabilities":[]}})",
               [&agreed](const json& command) {
                 if (command.value("execute", "") == "qmp_capabilities") agreed = command;
                 return Lines{FakeQmp::Answer(command, {{"past", command.contains("exec-oob")}})};
               });
  QmpClient client = Connected(qemu);
  const auto past = client.ExecuteOutOfBand("yank", json::object(), kLong);
  if (can) {
    REQUIRE(past.ok());
    CHECK(past->at("past") == true);
    CHECK(agreed.at("arguments").at("enable") == json{"oob"});
  } else {
    CHECK(absl::IsUnimplemented(past.status()));
    CHECK_FALSE(agreed.contains("arguments"));
  }
  CHECK(client.Execute("stop")->at("past") == false);
}

TEST_CASE("events that come with an answer are kept until somebody waits for them", "[cli][qemu]") {
  FakeQmp qemu(FakeQmp::Greeting(), [](const json& command) {
    if (command.at("execute") != "stop") return Agree(command);
    return Lines{R"({"event":"STOP","timestamp":{"seconds":17,"microseconds":250000}})",
                 R"({"event":"MIGRATION","data":{"status":"setup"}})", R"({"event":5})", FakeQmp::Answer(command)};
  });
  QmpClient client = Connected(qemu);
  REQUIRE(client.Execute("stop").ok());
  const auto stopped = client.WaitForTime("STOP", kLong);
  REQUIRE(stopped.ok());
  CHECK(*stopped == absl::FromUnixMillis(17250));
  const auto migration = client.WaitFor("MIGRATION", kLong);
  REQUIRE(migration.ok());
  CHECK(migration->at("status") == "setup");
  client.ForgetEvents();
  CHECK(absl::IsDeadlineExceeded(client.WaitFor("STOP", kShort).status()));
}

TEST_CASE("a monitor that breaks off or talks nonsense is named, with the command", "[cli][qemu]") {
  const auto instead_of_answer = [](const std::string& line) {
    return [line](const json& command) {
      return command.at("execute") == "stop" ? Lines{line} : Lines{FakeQmp::Answer(command)};
    };
  };
  SECTION("hangs up") {
    FakeQmp qemu(FakeQmp::Greeting(), instead_of_answer(FakeQmp::kHangUp));
    QmpClient client = Connected(qemu);
    const auto stopped = client.Execute("stop");
    CHECK(absl::IsUnavailable(stopped.status()));
    CHECK_THAT(stopped.status().ToString(), ContainsSubstring("in answer to stop"));
    CHECK(client.WaitUntilGone(kLong).ok());
  }
  SECTION("no JSON") {
    FakeQmp qemu(FakeQmp::Greeting(), instead_of_answer("Segmentation fault"));
    QmpClient client = Connected(qemu);
    const auto stopped = client.Execute("stop");
    CHECK(absl::IsInvalidArgument(stopped.status()));
    CHECK_THAT(stopped.status().ToString(), ContainsSubstring("Segmentation fault"));
  }
  SECTION("a line without end") {
    FakeQmp qemu(FakeQmp::Greeting(), instead_of_answer(std::string(std::size_t{5} << 20, ' ')));
    QmpClient client = Connected(qemu);
    CHECK(absl::IsInvalidArgument(client.Execute("stop").status()));
  }
}

}  // namespace
}  // namespace farfault
