#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>

#include "test/qemu/scene.h"
#include "test/support/rdma.h"

namespace farfault {
namespace {

// The smallest that boots: an emulated guest in an emulated machine takes minutes.
QemuMachine::Spec SmallSpec(const Scene& scene, const std::string& name) {
  QemuMachine::Spec spec = scene.Spec(name);
  spec.ram_mib = 96;
  spec.touched_mib = 16;
  return spec;
}

TEST_CASE("a guest of QEMU moves over verbs, and runs on without the source") {
  Scene scene("verbs://" + RequireRdmaAddress() + ":0");
  auto source = scene.StartGuest(SmallSpec(scene, "source"));
  auto pager = scene.StartPager();
  auto destination = scene.StartDestination(SmallSpec(scene, "destination"), *pager);
  auto migration = scene.Migrate(*source, *destination, {"--prepage-time", "2s"});
  const nlohmann::json report = RequireMoved(*migration, *destination);
  CHECK(report.at("pages_prepaged") > 0);
  source->process().Signal(SIGKILL);
  CHECK(pager->Wait(Scene::kPatience) == 0);
  INFO("pager: " << pager->Err());
  CheckRunsWell(*destination, 3);
}

}  // namespace
}  // namespace farfault
