#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "test/support/command_process.h"
#include "test/support/rdma.h"
#include "test/support/rdma_link.h"
#include "test/support/verbs_ends.h"

// The farfault command when the peer or the device fails.
namespace farfault {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(240);

std::vector<std::string> Farfault(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), FARFAULT_COMMAND);
  return arguments;
}

/// The address that `serve` says it waits at.
std::string AddressOf(CommandProcess& serve) {
  REQUIRE(serve.WaitForErr("(Ctrl-C to stop)", kPatience));
  const std::string err = serve.Err();
  const std::size_t begin = err.find("verbs://");
  return err.substr(begin, err.find(' ', begin) - begin);
}

TEST_CASE("doctor knows the device that sessions use, and misses nothing") {
  const std::string host = RequireRdmaAddress();
  CommandProcess doctor(Farfault({"doctor", "--need", "verbs", "--json"}));
  CHECK(doctor.Wait(kPatience) == 0);
  const nlohmann::json json = nlohmann::json::parse(doctor.Out());
  CHECK(json["verbs"] == true);
  std::string addresses;
  for (const nlohmann::json& device : json["devices"]) {
    CHECK(device["reads_served"].get<int>() > 0);
    for (const nlohmann::json& port : device["ports"]) {
      if (!port["active"].get<bool>()) continue;
      for (const nlohmann::json& gid : port["gids"]) addresses += gid["address"].get<std::string>() + " ";
    }
  }
  INFO(addresses);
  CHECK(addresses.find(host) != std::string::npos);
}

TEST_CASE("a source that is stopped still serves its pages, since the device does") {
  const std::string host = RequireRdmaAddress();
  const std::string image = std::filesystem::temp_directory_path() / ("farfault-stopped-" + std::to_string(getpid()));
  const absl::Cleanup remove = [&] { std::filesystem::remove(image); };
  {
    std::ofstream file(image, std::ios::binary);
    // So much that it is far from done when its first progress is told, after two seconds.
    std::array<std::uint32_t, 1024> page{};
    for (std::uint32_t i = 0; i < (std::uint32_t{128} << 20) / sizeof(page); ++i) {
      page.fill(i);
      file.write(reinterpret_cast<const char*>(page.data()), sizeof(page));
    }
  }
  CommandProcess serve(Farfault({"serve", image, "--listen", "verbs://" + host + ":0", "--once"}));
  CommandProcess fetch(Farfault({"fetch", "--from", AddressOf(serve), "--threads", "1", "--pattern", "random"}));
  REQUIRE(fetch.WaitForErr("over RDMA device ", kPatience));
  REQUIRE(fetch.WaitForErr("fetching", kPatience));
  serve.Signal(SIGSTOP);
  CHECK(fetch.Wait(kPatience) == 0);
  INFO(fetch.Err());
  CommandProcess sum({"/usr/bin/sha256sum", image});
  REQUIRE(sum.Wait(kPatience) == 0);
  CHECK(fetch.Out().substr(0, 64) == sum.Out().substr(0, 64));
  serve.Signal(SIGCONT);
  CHECK(serve.Wait(kPatience) == 0);
}

TEST_CASE("a demo whose device is removed says so and ends", "[serial]") {
  RdmaLink link;
  CommandProcess demo(
      Farfault({"demo", "--transport", "verbs", "--size", "64M", "--method", "demand", "--demand-only", "10m"}));
  REQUIRE(demo.WaitForErr("moving", kPatience));
  link.BeginRemoval();
  CHECK(demo.Wait(kPatience) == 1);
  CHECK(Mentions(demo.Err(), "was removed"));
  CHECK(Mentions(demo.Err(), "rdma link add " + link.device()));
}

}  // namespace
}  // namespace farfault
