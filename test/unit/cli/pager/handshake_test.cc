#include "lib/cli/pager/handshake.h"

#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <string_view>

#include "lib/cli/pager/guest_plan.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

Handshake Parsed(std::string_view text) {
  auto handshake = ParseHandshake(text);
  INFO(handshake.status().ToString());
  REQUIRE(handshake.ok());
  REQUIRE(handshake->has_value());
  return **std::move(handshake);
}

void CheckRefused(std::string_view text, const std::string& why) {
  const auto handshake = ParseHandshake(text);
  INFO(text.substr(0, 200));
  REQUIRE_FALSE(handshake.ok());
  CHECK(absl::IsInvalidArgument(handshake.status()));
  CHECK_THAT(handshake.status().ToString(), ContainsSubstring(why));
}

TEST_CASE("Firecracker's handshake of each version", "[cli][pager]") {
  for (
      const std::string_view text : {
          R"([{"base_host_virt_addr":140737488355328,"size":268435456,"offset":0}])",
          R"([{"base_host_virt_addr":140737488355328,"size":268435456,"offset":0,"page_size_kib":4096}])",
          R"([{"base_host_virt_addr":140737488355328,"size":268435456,"offset":0,"page_size":4096,"page_size_kib":4096)"
          "}]",
      }) {
    const Handshake handshake = Parsed(text);
    REQUIRE(handshake.regions.size() == 1);
    CHECK(handshake.regions[0].address == 140737488355328);
    CHECK(handshake.total_bytes() == 268435456);
    CHECK(handshake.page_size() == 4096);
    CHECK_FALSE(handshake.shared_file);
    CHECK(handshake.registered);
    CHECK(handshake.running);
    CHECK_FALSE(handshake.taken_over);
    CHECK(handshake.features == UFFD_FEATURE_EVENT_REMOVE);
    CHECK(handshake.pid == 0);
    CHECK(handshake.text == text);
  }
  const Handshake huge = Parsed(
      R"([{"base_host_virt_addr":2097152,"size":4194304,"offset":0,"page_size":2097152,"page_size_kib":2097152}])");
  CHECK(huge.page_size() == 2097152);
}

TEST_CASE("every beginning of a handshake may become one", "[cli][pager]") {
  const std::string text = R"([{"base_host_virt_addr":4096,"size":4096,"offset":0,"name":"r\u00e4m"}])";
  for (std::size_t length = 0; length < text.size(); ++length) {
    INFO(length);
    const auto handshake = ParseHandshake(text.substr(0, length));
    REQUIRE(handshake.ok());
    CHECK_FALSE(handshake->has_value());
  }
  CHECK(Parsed(text).name == "r\u00e4m");
}

TEST_CASE("farfault's own keys", "[cli][pager]") {
  const Handshake handshake = Parsed(
      R"([{"base_host_virt_addr":8192,"size":4096,"offset":4096,"file_offset":12288,"other":{}},
          {"base_host_virt_addr":4096,"size":4096,"offset":0,"file_offset":8192}])");
  // By offset, whichever comes first; the first one said nothing.
  CHECK(handshake.regions[0].address == 4096);
  CHECK(handshake.regions[1].file_offset == 12288);
  const Handshake all = Parsed(
      R"([{"base_host_virt_addr":4096,"size":4096,"offset":0,"shared_file":true,"registered":false,"taken_over":true,
           "uffd_features":512,"pid":77,"name":"ram"}])");
  CHECK(all.shared_file);
  CHECK_FALSE(all.registered);
  CHECK(all.taken_over);
  CHECK(all.features == 512);
  CHECK(all.pid == 77);
  CHECK(all.name == "ram");
  const Handshake shared = Parsed(R"([{"base_host_virt_addr":4096,"size":4096,"offset":0,"shared_file":true}])");
  CHECK(shared.features == 0);
  CHECK_FALSE(shared.running);
}

TEST_CASE("handshakes that make no sense are refused with the reason", "[cli][pager]") {
  CheckRefused("x", "not JSON from byte 1");
  CheckRefused("[{\"a\":1},,]", "not JSON");
  CheckRefused("[\"\xff\"]", "not JSON");
  CheckRefused("[] []", "not JSON");
  CheckRefused("{}", "list of regions");
  CheckRefused("[]", "list of regions");
  CheckRefused("null", "list of regions");
  CheckRefused("[1e999]", "makes no sense");
  const auto region = [](const std::string& more, std::string_view address = "4096") {
    return "[{\"base_host_virt_addr\":" + std::string(address) + ",\"size\":4096,\"offset\":0" + more + "}]";
  };
  CHECK(ParseHandshake(region("")).ok());
  CheckRefused(region("", "0"), "is 0");
  CheckRefused(region("", "\"4096\""), "whole number");
  CheckRefused(region("", "18446744073709547520"), "too far");
  CheckRefused(region("", "18446744073709551616"), "whole number");
  CheckRefused(region(",\"page_size\":0"), "power of two");
  CheckRefused(region(",\"page_size\":1073741824"), "not supported");
  CheckRefused(region(",\"page_size\":2097152"), "not a multiple of its page size");
  CheckRefused(region(",\"shared_file\":1"), "neither true nor false");
  CheckRefused(region(",\"name\":1"), "not a text");
  CheckRefused(region(",\"pid\":4294967296"), "no process");
  CheckRefused(
      R"([{"base_host_virt_addr":4096,"size":4096,"offset":0},{"base_host_virt_addr":8192,"size":4096,"offset":0}])",
      "do not make up an image");
  CheckRefused(std::string(kMaxHandshakeBytes, '['), "longer than");
}

TEST_CASE("guest mappings are matched with the source's regions wherever the two are cut", "[cli][pager]") {
  Handshake handshake = Parsed(R"([{"base_host_virt_addr":1048576,"size":12288,"offset":0},)"
                               R"({"base_host_virt_addr":4194304,"size":8192,"offset":12288}])");
  const std::vector<RemoteRegion> two = {{"a", 8192, 4096}, {"b", 12288, 4096}};
  auto plan = PlanGuest(handshake, two);
  REQUIRE(plan.ok());
  REQUIRE(plan->size() == 2);
  REQUIRE((*plan)[0].mappings.size() == 1);
  CHECK((*plan)[0].mappings[0].address == 1048576);
  CHECK((*plan)[0].mappings[0].length == 8192);
  REQUIRE((*plan)[1].mappings.size() == 2);
  CHECK((*plan)[1].mappings[0].address == 1048576 + 8192);
  CHECK((*plan)[1].mappings[1].address == 4194304);
  CHECK((*plan)[1].fd == -1);

  handshake.shared_file = true;
  handshake.file = UniqueFd(dup(0));
  plan = PlanGuest(handshake, two);
  REQUIRE(plan.ok());
  handshake.regions[1].file_offset += 4096;
  CHECK_THAT(PlanGuest(handshake, two).status().ToString(), ContainsSubstring("do not follow each other"));

  const std::vector<RemoteRegion> shorter = {{"a", 8192, 4096}};
  CHECK_THAT(PlanGuest(handshake, shorter).status().ToString(), ContainsSubstring("the source's image 8192"));
  const std::vector<RemoteRegion> huge = {{"a", 2097152, 2097152}};
  CHECK_THAT(PlanGuest(handshake, huge).status().ToString(), ContainsSubstring("--page-size"));
}

}  // namespace
}  // namespace farfault
