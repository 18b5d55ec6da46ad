#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/group.h"
#include "bench/rdma/measurements.h"
#include "lib/util/rdma_address.h"

namespace farfault::bench {
namespace {

std::vector<RdmaMeasurement> Measurements() {
  return {FaultOverRdma(), PushOverRdma(), DemandTailOverRdma(), SourceAtRest()};
}

/// A comparison and its source.
struct Ready {
  RdmaMeasurement measurement;
  std::unique_ptr<SourceHost> source;
};

// All sources begin before this process has anything to do with RDMA: what is open of a device when a process forks
// serves the child badly.
absl::StatusOr<std::vector<Ready>> StartSources(const RunOptions& options) {
  std::vector<Ready> ready;
  for (RdmaMeasurement& measurement : Measurements()) {
    if (!options.Wants(measurement.name)) continue;
    auto source = SourceHost::Start(measurement.regions);
    if (!source.ok()) return source.status();
    ready.push_back({std::move(measurement), *std::move(source)});
  }
  return ready;
}

Report Run(const RunOptions& options, RoundProgress& progress) {
  Report report;
  const auto omit = [&report](const std::string& name, const absl::Status& status) {
    report.omissions.push_back(
        {name, std::string(status.message()), status.code() != absl::StatusCode::kResourceExhausted});
  };
  auto ready = StartSources(options);
  const auto address = OwnRdmaAddress();
  if (!ready.ok() || !address.ok()) {
    omit("rdma", ready.ok() ? address.status() : ready.status());
    return report;
  }
  for (Ready& next : *ready) {
    const absl::Status status = next.measurement.run({options, progress, *address, *next.source}, report);
    if (!status.ok()) omit(next.measurement.name, status);
    next.source.reset();
  }
  return report;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const RdmaMeasurement& measurement : Measurements()) names.push_back(measurement.name);
  return names;
}

const GroupRegistration registration({"rdma", "sessions over an RDMA device against perftest on the same device",
                                      Names(), Run});

}  // namespace
}  // namespace farfault::bench
