#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "test/integration/cli/command.h"
#include "test/support/memory_machine.h"

namespace farfault {
namespace {

TEST_CASE("doctor says in its exit status, its JSON and its lines the same of this machine") {
  RequireUserfaultfd();
  CommandProcess as_json(Farfault({"doctor", "--json"}));
  CHECK(as_json.Wait(kPatience) == 0);
  const nlohmann::json json = nlohmann::json::parse(as_json.Out());
  CHECK(json["tcp"] == true);
  REQUIRE_FALSE(json["findings"].empty());

  CommandProcess as_text(Farfault({"doctor"}));
  CHECK(as_text.Wait(kPatience) == 0);
  const std::string text = as_text.Out();
  CHECK(text.find("can be moved over tcp: yes") != std::string::npos);
  for (const nlohmann::json& finding : json["findings"]) {
    INFO(finding.dump());
    CHECK(text.find(finding["what"].get<std::string>()) != std::string::npos);
    // What is not good comes with what mends it.
    if (finding["verdict"] != "good") CHECK_FALSE(finding["text"].get<std::string>().empty());
  }

  const bool verbs = json["verbs"].get<bool>();
  if (verbs) CHECK_FALSE(json["devices"].empty());
  CommandProcess needs_verbs(Farfault({"doctor", "--need", "verbs"}));
  CHECK(needs_verbs.Wait(kPatience) == (verbs ? 0 : 1));
}

}  // namespace
}  // namespace farfault
