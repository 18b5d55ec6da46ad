#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lib/cli/commands.h"
#include "lib/cli/doctor/diagnosis.h"
#include "lib/cli/doctor/host_facts.h"
#include "lib/cli/terminal/table.h"

namespace farfault {
namespace {

constexpr std::string_view kFooter =
    R"(Exit status: 0 when this machine can be a destination over tcp (and, with --need verbs, over verbs),
1 otherwise.)";

nlohmann::json ToJson(const Diagnosis& diagnosis, const HostFacts& facts) {
  nlohmann::json json = {{"kernel", facts.kernel},
                         {"tcp", diagnosis.can_receive},
                         {"verbs", diagnosis.can_receive && diagnosis.can_verbs},
                         {"findings", nlohmann::json::array()},
                         {"devices", nlohmann::json::array()}};
  for (const Finding& finding : diagnosis.findings) {
    json["findings"].push_back({{"what", finding.what},
                                {"verdict", VerdictName(finding.verdict)},
                                {"text", finding.text},
                                {"remedy", finding.remedy}});
  }
  for (const RdmaDeviceFacts& device : facts.rdma_devices) {
    nlohmann::json ports = nlohmann::json::array();
    for (const RdmaPortFacts& port : device.ports) {
      nlohmann::json gids = nlohmann::json::array();
      for (const GidFacts& gid : port.gids) {
        gids.push_back(
            {{"index", gid.index}, {"address", gid.address}, {"kind", gid.kind}, {"interface", gid.interface}});
      }
      ports.push_back({{"port", port.number},
                       {"active", port.active},
                       {"state", port.state},
                       {"link_layer", port.link_layer},
                       {"mtu", port.mtu},
                       {"gids", gids}});
    }
    json["devices"].push_back({{"name", device.name},
                               {"reads_asked", device.reads_asked},
                               {"reads_served", device.reads_served},
                               {"longest_memory", device.longest_memory},
                               {"on_demand_paging", device.on_demand_paging},
                               {"ports", ports}});
  }
  return json;
}

void Print(const Diagnosis& diagnosis, const HostFacts& facts) {
  std::size_t width = 0;
  for (const Finding& finding : diagnosis.findings) width = std::max(width, DisplayWidth(finding.what));
  for (const Finding& finding : diagnosis.findings) {
    fmt::print("{:<7}  {:<{}}  {}\n", VerdictName(finding.verdict), finding.what, width, finding.text);
    if (!finding.remedy.empty()) fmt::print("{:<7}  {:<{}}  → {}\n", "", "", width, finding.remedy);
  }
  fmt::print("\nOn this machine (Linux {}) memory can be moved over tcp: {}; over verbs: {}.\n", facts.kernel,
             diagnosis.can_receive ? "yes" : "only away from here",
             !diagnosis.can_verbs    ? "no"
             : diagnosis.can_receive ? "yes"
                                     : "only away from here");
}

int Run(bool json, const std::string& need) {
  const HostFacts facts = GatherHostFacts();
  const Diagnosis diagnosis = Diagnose(facts);
  if (json) {
    fmt::print("{}\n", ToJson(diagnosis, facts).dump(2));
  } else {
    Print(diagnosis, facts);
  }
  const bool enough = diagnosis.can_receive && (need != "verbs" || diagnosis.can_verbs);
  return enough ? kExitGood : kExitFailed;
}

}  // namespace

void AddDoctorCommand(CLI::App& app, Action& action) {
  struct Options {
    bool json = false;
    std::string need = "tcp";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("doctor", "Say what this machine can do, and for what is missing, what mends it");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--need", options->need, "What has to work for exit status 0: tcp (default) or verbs")
      ->check(CLI::IsMember({"tcp", "verbs"}))
      ->type_name("NAME");
  command->footer(std::string(kFooter));
  command->callback([options, &action] { action = [options] { return Run(options->json, options->need); }; });
}

}  // namespace farfault
