#include <fmt/format.h>

#include <array>
#include <fstream>
#include <string>

#include "bench/engine/measurements.h"
#include "lib/cli/terminal/units.h"

namespace farfault::bench {
namespace {

const std::array<Measurement, 7>& Measurements() {
  static const std::array<Measurement, 7> measurements = {{
      {"fault to resume, spinning", MeasureFaultSpinning},
      {"fault to resume, sleeping", MeasureFaultSleeping},
      {"push over tcp", MeasurePushRate},
      {"demand tail during push", MeasureDemandTail},
      {"downtime", MeasureDowntime},
      {"page metadata", MeasureMetadata},
      {"duplicate pages", MeasureDuplicates},
  }};
  return measurements;
}

Report Run(const RunOptions& options, RoundProgress& progress) {
  Report report;
  for (const Measurement& measurement : Measurements()) {
    if (!options.Wants(measurement.name)) continue;
    const absl::Status status = measurement.run(options, progress, report);
    if (status.ok()) continue;
    report.omissions.push_back(
        {measurement.name, std::string(status.message()), status.code() != absl::StatusCode::kResourceExhausted});
  }
  return report;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Measurement& measurement : Measurements()) names.push_back(measurement.name);
  return names;
}

const GroupRegistration registration({"engine", "the engine against the least that the kernel and the wire cost",
                                      Names(), Run});

}  // namespace

absl::Status RequireMemory(std::uint64_t bytes) {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::uint64_t kibibytes = 0;
  std::string unit;
  while (meminfo >> key >> kibibytes && std::getline(meminfo, unit)) {
    if (key != "MemAvailable:") continue;
    if (kibibytes * 1024 >= bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        fmt::format("needs {} of memory, {} are available", FormatBytes(bytes), FormatBytes(kibibytes * 1024)));
  }
  return absl::InternalError("/proc/meminfo does not say how much memory is available");
}

}  // namespace farfault::bench
