#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "bench/qemu/guest_move.h"
#include "lib/cli/qemu/qmp_client.h"
#include "lib/util/stopwatch.h"

namespace farfault::bench {
namespace {

using nlohmann::json;

constexpr absl::Duration kPatience = absl::Seconds(120);
constexpr absl::Duration kPoll = absl::Milliseconds(1);

absl::Status SetCapability(QmpClient& qemu, const char* name) {
  const json on = {{"capabilities", {{{"capability", name}, {"state", true}}}}};
  return qemu.Execute("migrate-set-capabilities", on).status();
}

// Wall-clock microseconds of an event: both QEMUs are on one host.
absl::StatusOr<double> TimeOf(QmpClient& qemu, const char* event) {
  auto when = qemu.WaitForTime(event, kPatience);
  if (!when.ok()) return when.status();
  return static_cast<double>(absl::ToUnixMicros(*when));
}

absl::StatusOr<std::string> State(QmpClient& qemu) {
  auto said = qemu.Execute("query-migrate");
  if (!said.ok()) return said.status();
  const auto status = said->find("status");
  return status != said->end() && status->is_string() ? status->get<std::string>() : std::string();
}

absl::Status WaitUntilCompleted(QmpClient& qemu) {
  const absl::Time deadline = absl::Now() + kPatience;
  for (;;) {
    const auto state = State(qemu);
    if (!state.ok()) return state.status();
    if (*state == "completed") return absl::OkStatus();
    if (*state == "failed" || absl::Now() > deadline) {
      return absl::AbortedError(fmt::format("QEMU's own migration is '{}'", *state));
    }
    absl::SleepFor(kPoll);
  }
}

absl::Status Prepare(QmpClient& source, QmpClient& destination, bool preempt, const std::string& uri) {
  for (QmpClient* end : {&source, &destination}) {
    if (absl::Status status = SetCapability(*end, "postcopy-ram"); !status.ok()) return status;
    if (!preempt) continue;
    if (absl::Status status = SetCapability(*end, "postcopy-preempt"); !status.ok()) return status;
  }
  if (absl::Status status = SetCapability(destination, "postcopy-blocktime"); !status.ok()) return status;
  // Its default of 128 MiB/s is meant for shared networks.
  const json unlimited = {{"max-bandwidth", std::uint64_t{1} << 40}};
  if (absl::Status status = source.Execute("migrate-set-parameters", unlimited).status(); !status.ok()) return status;
  return destination.Execute("migrate-incoming", {{"uri", uri}}).status();
}

}  // namespace

absl::Status GuestMove::ByPostcopy(bool preempt, MoveCost& cost) {
  const Stopwatch ready;
  QemuMachine::Spec spec = Spec("destination", Mover::kPostcopy);
  spec.incoming = true;
  auto machine = QemuMachine::Start(spec);
  if (!machine.ok()) return machine.status();
  destination_ = *std::move(machine);
  if (absl::Status monitor = destination_->WaitForMonitor(kPatience); !monitor.ok()) return monitor;
  auto source = QmpClient::Connect("source", source_->qmp_socket(), kPatience);
  if (!source.ok()) return source.status();
  auto destination = QmpClient::Connect("destination", destination_->qmp_socket(), kPatience);
  if (!destination.ok()) return destination.status();
  const std::string uri = fmt::format("unix:{}", (folder_ / "postcopy").string());
  if (absl::Status status = Prepare(*source, *destination, preempt, uri); !status.ok()) return status;

  cost.ready_ms = absl::ToDoubleMilliseconds(ready.Elapsed());
  if (absl::Status begun = BeginMove(); !begun.ok()) return begun;

  const absl::Time start = absl::Now();
  if (absl::Status status = source->Execute("migrate", {{"uri", uri}}).status(); !status.ok()) return status;
  auto state = State(*source);
  while (state.ok() && *state != "completed" && *state != "failed" && absl::Now() - start < kHeadStart) {
    absl::SleepFor(kPoll);
    state = State(*source);
  }
  if (!state.ok()) return state.status();
  if (*state != "completed") {
    if (absl::Status status = source->Execute("migrate-start-postcopy").status(); !status.ok()) return status;
  }
  if (absl::Status status = WaitUntilCompleted(*source); !status.ok()) return status;
  if (absl::Status status = WaitUntilCompleted(*destination); !status.ok()) return status;
  cost.total_ms = absl::ToDoubleMilliseconds(absl::Now() - start);
  const auto stopped = TimeOf(*source, "STOP");
  if (!stopped.ok()) return stopped.status();
  const auto resumed = TimeOf(*destination, "RESUME");
  if (!resumed.ok()) return resumed.status();
  cost.downtime_us = *resumed - *stopped;
  const auto sent = source->Execute("query-migrate");
  if (!sent.ok()) return sent.status();
  cost.network_faults = sent->value("/ram/postcopy-requests"_json_pointer, 0.0);
  const auto blocked = destination->Execute("query-migrate");
  if (!blocked.ok()) return blocked.status();
  cost.reported_blocked_ms = blocked->value("/postcopy-blocktime"_json_pointer, 0.0);
  return absl::OkStatus();
}

}  // namespace farfault::bench
