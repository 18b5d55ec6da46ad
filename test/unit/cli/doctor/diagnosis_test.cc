#include "lib/cli/doctor/diagnosis.h"

#include <linux/userfaultfd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <string>
#include <string_view>

namespace farfault {
namespace {

// A machine on which everything works.
HostFacts Healthy() {
  HostFacts facts;
  facts.kernel = facts.soft_roce.kernel = "6.12.0-amd64";
  facts.memory = 8ull << 30;
  facts.userfaultfd_features = ~std::uint64_t{0};
  facts.transparent_huge_pages = true;
  facts.built_with_verbs = true;
  facts.soft_roce.has_module = true;
  facts.soft_roce.network_interface = "eth0";
  RdmaDeviceFacts device{.name = "rxe0", .reads_asked = 128, .reads_served = 128, .ports = {}};
  RdmaPortFacts port{
      .number = 1, .active = true, .state = "PORT_ACTIVE", .link_layer = "Ethernet", .mtu = 4096, .gids = {}};
  port.gids = {{.index = 0, .address = "fe80::1", .kind = "RoCE v2", .interface = "eth0", .link_local = true},
               {.index = 1, .address = "10.9.0.1", .kind = "RoCE v2", .interface = "eth0", .link_local = false}};
  device.ports = {port};
  facts.rdma_devices = {device};
  return facts;
}

const Finding& Find(const Diagnosis& diagnosis, std::string_view what) {
  const auto found =
      std::ranges::find_if(diagnosis.findings, [&](const Finding& finding) { return finding.what == what; });
  INFO(what);
  REQUIRE(found != diagnosis.findings.end());
  return *found;
}

void CheckMended(const HostFacts& facts, std::string_view what, std::string_view remedy) {
  const Diagnosis diagnosis = Diagnose(facts);
  const Finding& finding = Find(diagnosis, what);
  INFO(finding.text << " -> " << finding.remedy);
  CHECK(finding.verdict == Verdict::kMissing);
  CHECK(finding.remedy.find(remedy) != std::string::npos);
  CHECK_FALSE(diagnosis.can_verbs);
}

TEST_CASE("a machine that has everything can do everything, and nothing is to be mended", "[doctor]") {
  const Diagnosis diagnosis = Diagnose(Healthy());
  CHECK(diagnosis.can_receive);
  CHECK(diagnosis.can_verbs);
  for (const Finding& finding : diagnosis.findings) {
    INFO(finding.what << ": " << finding.text);
    CHECK(finding.verdict == Verdict::kGood);
    CHECK(finding.remedy.empty());
    CHECK_FALSE(finding.text.empty());
  }
  CHECK(Find(diagnosis, "rxe0 port 1").text.find("10.9.0.1 (GID 1, RoCE v2)") != std::string::npos);
}

TEST_CASE("whatever keeps verbs from working is named with the command that mends it", "[doctor]") {
  HostFacts facts = Healthy();
  RdmaPortFacts& port = facts.rdma_devices[0].ports[0];
  SECTION("no device, but the module for one") {
    facts.rdma_devices.clear();
    CheckMended(facts, "RDMA device", "rdma link add rxe0 type rxe netdev eth0");
  }
  SECTION("neither") {
    facts.rdma_devices.clear();
    facts.soft_roce.has_module = false;
    CheckMended(facts, "RDMA device", "linux-image-amd64");
  }
  SECTION("a build without verbs") {
    facts.built_with_verbs = false;
    facts.rdma_devices.clear();
    CheckMended(facts, "RDMA", "FARFAULT_WITH_VERBS=ON");
  }
  SECTION("the port is down") {
    port.active = false;
    port.state = "PORT_DOWN";
    CheckMended(facts, "rxe0 port 1", "ip link set eth0 up");
  }
  SECTION("an InfiniBand port without a subnet manager") {
    port.active = false;
    port.link_layer = "InfiniBand";
    CheckMended(facts, "rxe0 port 1", "opensm");
  }
  SECTION("no address that a route could lead to") {
    port.gids.resize(1);
    CheckMended(facts, "rxe0 port 1", "ip address add");
  }
  SECTION("the device may not be opened") {
    facts.rdma_devices[0].open_error = EACCES;
    facts.rdma_devices[0].ports.clear();
    CheckMended(facts, "RDMA device rxe0", "/dev/infiniband/uverbs");
  }
  SECTION("no connection manager") {
    facts.connection_manager_error = ENOENT;
    CheckMended(facts, "RDMA connections", "modprobe rdma_ucm");
  }
  SECTION("little memory may be locked") {
    facts.locked_memory_limit = 8u << 20;
    CheckMended(facts, "locked memory", "ulimit -l unlimited");
    CHECK(Find(Diagnose(facts), "locked memory").text.find("8.00 MiB") != std::string::npos);
  }
}

TEST_CASE("one usable port of several is enough", "[doctor]") {
  HostFacts facts = Healthy();
  facts.rdma_devices.push_back(facts.rdma_devices[0]);
  facts.rdma_devices[1].name = "mlx5_0";
  facts.rdma_devices[1].ports[0].active = false;
  CHECK(Diagnose(facts).can_verbs);
}

TEST_CASE("several usable ports are shown as rails of one address", "[doctor]") {
  HostFacts facts = Healthy();
  const auto has_rails = [](const Diagnosis& diagnosis) {
    return std::ranges::any_of(diagnosis.findings, [](const Finding& finding) { return finding.what == "RDMA rails"; });
  };
  CHECK_FALSE(has_rails(Diagnose(facts)));
  facts.rdma_devices.push_back(facts.rdma_devices[0]);
  RdmaPortFacts& second = facts.rdma_devices[1].ports[0];
  second.gids = {{.index = 1, .address = "2001:db8::7", .kind = "RoCE v2", .interface = "eth1", .link_local = false}};
  const Diagnosis diagnosis = Diagnose(facts);
  CHECK(Find(diagnosis, "RDMA rails").text.find("verbs://10.9.0.1:7000?rail=[2001:db8::7]") != std::string::npos);
  CHECK(diagnosis.can_verbs);
  SECTION("not over a port that is down") { second.active = false; }
  SECTION("not over InfiniBand, whose GIDs are no addresses") { second.link_layer = "InfiniBand"; }
  SECTION("not without an address") { second.gids[0].link_local = true; }
  CHECK_FALSE(has_rails(Diagnose(facts)));
}

TEST_CASE("what only slows things down is a note", "[doctor]") {
  HostFacts facts = Healthy();
  std::string what;
  SECTION("one READ at a time") {
    facts.rdma_devices[0].reads_served = 1;
    what = "RDMA device rxe0";
  }
  SECTION("small packets") {
    facts.rdma_devices[0].ports[0].mtu = 1024;
    what = "rxe0 port 1";
  }
  SECTION("no PAGEMAP_SCAN") {
    facts.pagemap_scan = absl::UnimplementedError("too old");
    what = "dirty tracking";
  }
  SECTION("no transparent huge pages") {
    facts.transparent_huge_pages = false;
    what = "huge pages";
  }
  const Diagnosis diagnosis = Diagnose(facts);
  CHECK(Find(diagnosis, what).verdict == Verdict::kNote);
  CHECK_FALSE(Find(diagnosis, what).remedy.empty());
  CHECK(diagnosis.can_receive);
  CHECK(diagnosis.can_verbs);
}

TEST_CASE("without userfaultfd nothing arrives here, and the library's own remedy is told", "[doctor]") {
  HostFacts facts = Healthy();
  facts.userfaultfd = absl::PermissionDeniedError("may not be opened; remedy: run as root");
  facts.userfaultfd_features = 0;
  const Diagnosis diagnosis = Diagnose(facts);
  CHECK_FALSE(diagnosis.can_receive);
  const Finding& finding = Find(diagnosis, "userfaultfd");
  CHECK(finding.verdict == Verdict::kMissing);
  CHECK(finding.text == "may not be opened");
  CHECK(finding.remedy == "run as root");
}

}  // namespace
}  // namespace farfault
