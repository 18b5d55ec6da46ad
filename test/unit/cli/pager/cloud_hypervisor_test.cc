#include "lib/cli/pager/cloud_hypervisor.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace farfault::cloud_hypervisor {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a migration's configuration tells the memory slots", "[cli][pager]") {
  const auto migration = ParseMigration(
      R"({"vm_config":{"memory":{"size":12288}},"memory_mode":"Precopy","memory_manager_data":{"guest_ram_mappings":[
          {"slot":1,"gpa":4294967296,"size":4096,"file_offset":8192,"zone_id":"mem0","virtio_mem":false},
          {"slot":0,"gpa":0,"size":8192,"file_offset":0}]}})",
      "state");
  INFO(migration.status().ToString());
  REQUIRE(migration.ok());
  REQUIRE(migration->slots.size() == 2);
  CHECK(migration->slots[0].slot == 0);
  CHECK(migration->slots[1].gpa == 4294967296);
  CHECK(migration->total_bytes() == 12288);
  CHECK(migration->state == "state");
  CHECK(nlohmann::json::parse(migration->config)["memory_mode"] == "Postcopy");
}

TEST_CASE("configurations that cannot be served are refused with the reason", "[cli][pager]") {
  const auto refused = [](const std::string& mappings, const std::string& why) {
    const auto migration = ParseMigration("{\"guest_ram_mappings\":" + mappings + "}", "");
    INFO(mappings);
    REQUIRE_FALSE(migration.ok());
    CHECK_THAT(migration.status().ToString(), ContainsSubstring(why));
  };
  CHECK_FALSE(ParseMigration("{", "").ok());
  CHECK_FALSE(ParseMigration("{}", "").ok());
  refused("[]", "guest_ram_mappings");
  refused("[1]", "makes no sense");
  refused(R"([{"slot":0,"gpa":0,"size":0,"file_offset":0}])", "makes no sense");
  refused(R"([{"slot":-1,"gpa":0,"size":4096,"file_offset":0}])", "makes no sense");
  refused(R"([{"slot":0,"gpa":0,"size":100,"file_offset":0}])", "not supported");
  refused(R"([{"slot":0,"gpa":0,"size":4096,"file_offset":0},{"slot":1,"gpa":4096,"size":4096,"file_offset":0}])",
          "memory zones");
}

}  // namespace
}  // namespace farfault::cloud_hypervisor
