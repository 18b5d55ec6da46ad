#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "bench/qemu/guest_move.h"
#include "lib/util/stopwatch.h"
#include "test/support/command_process.h"

namespace farfault::bench {
namespace {

using nlohmann::json;

constexpr absl::Duration kPatience = absl::Seconds(120);

absl::StatusOr<json> Finished(CommandProcess& process, std::string_view what) {
  const int status = process.Wait(kPatience);
  if (status == 0) {
    json said = json::parse(process.Out(), nullptr, false);
    if (said.is_object()) return said;
  }
  return absl::AbortedError(fmt::format("{} ended with status {}: {}", what, status, process.Err()));
}

}  // namespace

absl::Status GuestMove::ByFarfault(MoveCost& cost) {
  const Stopwatch ready;
  const std::string socket = folder_ / "pager";
  CommandProcess pager({FARFAULT_COMMAND, "pager", "--socket", socket, "--listen", "tcp://127.0.0.1:0", "--populate",
                        "--once", "--json"});
  if (!pager.WaitForErr("waiting for a hypervisor", kPatience)) {
    return absl::AbortedError("the pager does not wait for QEMU: " + pager.Err());
  }

  QemuMachine::Spec spec = Spec("destination", Mover::kFarfault);
  spec.incoming = true;
  spec.pager_socket = socket;
  auto destination = QemuMachine::Start(spec);
  if (!destination.ok()) return destination.status();
  destination_ = *std::move(destination);
  if (absl::Status monitor = destination_->WaitForMonitor(kPatience); !monitor.ok()) return monitor;
  if (!pager.WaitForErr("tcp://", kPatience)) return absl::AbortedError("the pager does not listen: " + pager.Err());
  const std::string said = pager.Err();
  const std::size_t begin = said.find("tcp://");
  const std::string address = said.substr(begin, said.find_first_of(" \n,", begin) - begin);

  cost.ready_ms = absl::ToDoubleMilliseconds(ready.Elapsed());
  if (absl::Status begun = BeginMove(); !begun.ok()) return begun;

  CommandProcess migration({FARFAULT_COMMAND, "qemu-migrate", "--source-qmp", source_->qmp_socket(),
                            "--destination-qmp", destination_->qmp_socket(), "--agent", source_->agent_socket(),
                            "--pager", address, "--state", fmt::format("unix:{}", (folder_ / "state").string()),
                            "--prepage-time", absl::FormatDuration(kHeadStart), "--json"});
  auto moved = Finished(migration, "farfault qemu-migrate");
  if (!moved.ok()) return moved.status();
  auto paged = Finished(pager, "farfault pager");
  if (!paged.ok()) return paged.status();
  if (!moved->at("stopped_at_us").is_number() || !moved->at("resumed_at_us").is_number()) {
    return absl::AbortedError("the QEMUs did not report when the guest was stopped and resumed");
  }
  // Measured as QEMU's own is; both QEMUs are on one host. What the command itself saw is a figure of its own.
  cost.downtime_us = moved->at("resumed_at_us").get<double>() - moved->at("stopped_at_us").get<double>();
  cost.command_downtime_us = moved->at("downtime_us");
  cost.switchover_us = moved->at("switchover_us");
  cost.total_ms = moved->at("total_ms");
  cost.reported_blocked_ms = paged->at("stall_us").at("sum").get<double>() / 1e3;
  cost.network_faults = paged->at("faults_network");
  return absl::OkStatus();
}

}  // namespace farfault::bench
