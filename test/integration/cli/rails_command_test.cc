#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/integration/cli/command.h"
#include "test/integration/cli/served_file.h"
#include "test/support/memory_machine.h"
#include "test/support/two_rails.h"

// The command over several rails, over tcp anywhere and over two RDMA devices in a machine of ./dev vm.
namespace farfault {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

// Beside a push a single page may be left to READ, over one rail.
void CheckBothCarry(const nlohmann::json& connection, bool pushes) {
  INFO(connection.dump(2));
  REQUIRE(connection["rails"].size() == 2);
  for (const nlohmann::json& rail : connection["rails"]) {
    const auto read = rail["bytes_read"].get<std::uint64_t>();
    const auto pushed = rail["bytes_pushed"].get<std::uint64_t>();
    CHECK((pushes ? pushed : read) > 0);
    CHECK(read + pushed >= kPageBytes);
  }
}

TEST_CASE("demo moves a running program over two rails, by each method", "[fabrics][serial]") {
  RequireDirtyTracking();
  const TwoRails rails;
  CommandProcess demo(
      Farfault({"demo", "--json", "--size", "24M", "--demand-only", "300ms", "--transport", rails.demo_transport()}));
  const int status = demo.Wait(kPatience);
  INFO(demo.Err());
  REQUIRE(status == 0);
  const nlohmann::json methods = nlohmann::json::parse(demo.Out());
  REQUIRE(methods.size() == 4);
  for (const nlohmann::json& method : methods) {
    INFO(method["method"]);
    CHECK(method["verified_pages"] == (24u << 20) / kPageBytes);
    CHECK(method["wrong_pages"] == 0);
    CHECK(method["wrong_answers"] == 0);
    CheckBothCarry(method["connection"], method["method"] == "push" || method["method"] == "all");
  }
}

TEST_CASE("serve and fetch over two rails, pushed or not", "[fabrics][serial]") {
  const TwoRails rails;
  const TemporaryFile file(6u << 20);
  for (const bool push : {false, true}) {
    INFO((push ? "pushed" : "not pushed"));
    std::vector<std::string> serve_arguments = {"serve", file.path(), "--listen", rails.listen(), "--once"};
    if (push) serve_arguments.emplace_back("--push");
    CommandProcess serve(Farfault(serve_arguments));
    CommandProcess fetch(Farfault({"fetch", "--from", AddressOf(serve), "--wait", "60s"}));
    const int status = fetch.Wait(kPatience);
    INFO(fetch.Err() << "\nserve: " << serve.Err());
    REQUIRE(status == 0);
    CHECK(fetch.Out().starts_with(file.sha256()));
    CHECK(fetch.Err().find("; rail 2, " + rails.second_path()) != std::string::npos);
    CHECK(serve.Wait(kPatience) == 0);
    if (push) CHECK(serve.Err().find("pushed over rail 1, ") != std::string::npos);
  }
}

}  // namespace
}  // namespace farfault
