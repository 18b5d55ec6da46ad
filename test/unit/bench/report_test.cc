#include "bench/core/report.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <set>

namespace farfault::bench {
namespace {

std::set<std::string> KeysOf(const nlohmann::ordered_json& object) {
  std::set<std::string> keys;
  for (const auto& item : object.items()) keys.insert(item.key());
  return keys;
}

TEST_CASE("limits bound from above or from below, and hold at the limit itself") {
  CHECK(Limit::AtMost(1.3).Holds(1.3));
  CHECK_FALSE(Limit::AtMost(1.3).Holds(1.31));
  CHECK(Limit::AtLeast(0.85).Holds(0.85));
  CHECK_FALSE(Limit::AtLeast(0.85).Holds(0.84));
}

TEST_CASE("what could not be measured holds no limit") {
  CHECK_FALSE(Limit::AtMost(1).Holds(std::nan("")));
  CHECK_FALSE(Limit::AtLeast(1).Holds(std::nan("")));
}

TEST_CASE("a report holds when each of its ratios does") {
  Report report{.group = "engine", .ratios = {{"good", {1.0, 0.9, 1.1, 5}, Limit::AtMost(1.3)}}};
  CHECK(report.all_hold());
  report.ratios.push_back({"bad", {0.5, 0.4, 0.6, 5}, Limit::AtLeast(0.85)});
  CHECK_FALSE(report.all_hold());
}

TEST_CASE("the JSON has the same form for every group") {
  const Report report{.group = "engine",
                      .ratios = {{"push", {0.9, 0.8, 1.0, 5}, Limit::AtLeast(0.85)}},
                      .figures = {{"rate", {2e9, 1e9, 3e9, 5}, "bytes/s"}},
                      .omissions = {{"downtime", "needs 9 GiB, 3 GiB are free", false}}};
  const nlohmann::ordered_json json = ToJson(report);
  CHECK(KeysOf(json) == std::set<std::string>{"figures", "group", "ratios"});
  CHECK(json["group"] == "engine");
  REQUIRE(json["ratios"].size() == 1);
  CHECK(KeysOf(json["ratios"][0]) == std::set<std::string>{"high", "holds", "limit", "low", "name", "value"});
  CHECK(json["ratios"][0]["value"] == 0.9);
  CHECK(json["ratios"][0]["limit"] == 0.85);
  CHECK(json["ratios"][0]["holds"] == true);
  REQUIRE(json["figures"].size() == 2);
  CHECK(json["figures"][0]["unit"] == "bytes/s");
  CHECK(json["figures"][1]["value"].is_null());
  CHECK(json["figures"][1]["reason"] == "needs 9 GiB, 3 GiB are free");
}

TEST_CASE("an empty report still has its lists, and numbers that are none become null") {
  const nlohmann::ordered_json empty = ToJson({.group = "micro"});
  CHECK(empty["ratios"].is_array());
  CHECK(empty["figures"].is_array());
  const nlohmann::ordered_json json = ToJson({.group = "g", .ratios = {{"r", SpreadOf({}), Limit::AtMost(1)}}});
  CHECK(json["ratios"][0]["value"].is_null());
  CHECK(json["ratios"][0]["holds"] == false);
}

}  // namespace
}  // namespace farfault::bench
