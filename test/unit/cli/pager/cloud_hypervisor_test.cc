#include "lib/cli/pager/cloud_hypervisor.h"

#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

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

constexpr std::string_view kMappings =
    R"("memory_manager_data":{"guest_ram_mappings":[{"slot":0,"gpa":0,"size":4096,"file_offset":0}]})";

absl::StatusOr<Migration> OfGuest(const std::string& vm_config) {
  return ParseMigration(fmt::format(R"({{"vm_config":{{{}}},{}}})", vm_config, kMappings), "");
}

TEST_CASE("a guest that has what does not wait for its pages is refused with the reason and the remedy",
          "[cli][pager]") {
  const auto refused = [](const std::string& vm_config, const std::string& text) {
    const auto migration = OfGuest(vm_config);
    INFO(vm_config);
    REQUIRE(absl::IsUnimplemented(migration.status()));
    CHECK(std::string(migration.status().message()) == text);
  };
  refused(R"("memory":{"size":4096,"hugepages":true})",
          "the guest has its memory on hugetlbfs (--memory hugepages=on), which is not supported: farfault hands Cloud "
          "Hypervisor a file of pages of 4096 bytes; start it with hugepages=off");
  refused(R"("memory":{"size":0,"zones":[{"id":"mem0","size":4096,"hugepages":true}]})",
          "the guest has its memory on hugetlbfs (--memory hugepages=on), which is not supported: farfault hands Cloud "
          "Hypervisor a file of pages of 4096 bytes; start it with hugepages=off");
  refused(R"("memory":{"size":4096,"prefault":true})",
          "the guest has --memory prefault=on, which is not supported: Cloud Hypervisor would map every page before it "
          "has come; start it with prefault=off");
  refused(R"("balloon":{"size":0,"free_page_reporting":true})",
          "the guest has --balloon free_page_reporting=on, which is not supported: pages that it gives back are taken "
          "out of the memory file; start it with free_page_reporting=off");
  refused(R"("devices":[{"path":"/sys/bus/pci/devices/0000:01:00.0/"}])",
          "the guest has a device passed through (--device), which is not supported: a device pins all memory and does "
          "not wait for a page that is missing; remove it before the guest is saved");
  refused(
      R"("vdpa":[{"path":"/dev/vhost-vdpa-0"}])",
      "the guest has a vDPA device (--vdpa), which is not supported: a device pins all memory and does not wait for "
      "a page that is missing; remove it before the guest is saved");
  const auto refused_backend = [&](const std::string& vm_config, const std::string& option) {
    refused(vm_config, "the guest has a device in another process (" + option +
                           "), which is not supported: that process maps the memory file itself and would not wait "
                           "for a page that is missing; remove it before the guest is saved");
  };
  refused_backend(R"("fs":[{"tag":"share","socket":"/run/fs"}])", "--fs");
  refused_backend(R"("user_devices":[{"socket":"/run/nvme"}])", "--user-device");
  refused_backend(R"("generic_vhost_user":[{"socket":"/run/any"}])", "--generic-vhost-user");
  refused_backend(R"("disks":[{"path":"root.raw","vhost_user":false},{"vhost_user":true,"vhost_socket":"/run/blk"}])",
                  "--disk vhost_user=on");
  refused_backend(R"("net":[{"vhost_user":true,"vhost_socket":"/run/net"}])", "--net vhost_user=on");
}

TEST_CASE("memory that can be unplugged, and a guest nobody knows anything of, are paged with a warning",
          "[cli][pager]") {
  const auto pluggable = OfGuest(R"("memory":{"size":12288,"hotplug_method":"VirtioMem"})");
  REQUIRE(pluggable.ok());
  CHECK(pluggable->warning.find("hotplug_method=virtio-mem") != std::string::npos);
  const auto acpi = OfGuest(R"("memory":{"size":12288,"hotplug_method":"Acpi"})");
  REQUIRE(acpi.ok());
  CHECK(acpi->warning.empty());
  const auto unknown = ParseMigration(fmt::format("{{{}}}", kMappings), "");
  REQUIRE(unknown.ok());
  CHECK(unknown->warning.find("no \"vm_config\"") != std::string::npos);
}

TEST_CASE("a guest with a balloon is paged, with a warning", "[cli][pager]") {
  const auto plain =
      OfGuest(R"("memory":{"size":4096,"hugepages":false,"prefault":false,"zones":null},"devices":null,"fs":[],)"
              R"("disks":[{"path":"root.raw","vhost_user":false}],"net":null,"balloon":null)");
  INFO(plain.status().ToString());
  REQUIRE(plain.ok());
  CHECK(plain->warning.empty());
  const auto with_balloon = OfGuest(R"("balloon":{"size":1048576,"free_page_reporting":false})");
  REQUIRE(with_balloon.ok());
  CHECK(
      with_balloon->warning ==
      "the guest has a balloon (--balloon): leave its size alone until the pager has ended, since a page that is taken "
      "out of the memory file may end the paging");
}

}  // namespace
}  // namespace farfault::cloud_hypervisor
