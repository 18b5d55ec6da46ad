#include <benchmark/benchmark.h>

#include <span>
#include <vector>

#include "farfault/stats.h"
#include "lib/session/control_link.h"

namespace farfault {
namespace {

void HistogramRecord(benchmark::State& state) {
  LatencyHistogram histogram;
  std::int64_t nanoseconds = 5'000;
  for (auto _ : state) {
    histogram.Record(nanoseconds);
    nanoseconds = nanoseconds * 48271 % 2'147'483'647;
  }
  benchmark::DoNotOptimize(histogram.count());
}
BENCHMARK(HistogramRecord)->Name("histogram/record");

void HistogramQuantile(benchmark::State& state) {
  LatencyHistogram histogram;
  for (std::int64_t i = 1; i < 10'000; ++i) histogram.Record(i * 997);
  for (auto _ : state) benchmark::DoNotOptimize(histogram.Quantile(0.99));
}
BENCHMARK(HistogramQuantile)->Name("histogram/quantile");

// A full message of dirty runs, as the switchover sends them; per run.
void ControlDecodeRuns(benchmark::State& state) {
  std::vector<WireRun> runs(kMaxRunsPerMessage);
  for (std::size_t i = 0; i < runs.size(); ++i) runs[i] = {i * 16, 3};
  const std::span<const std::byte> payload = std::as_bytes(std::span(runs));
  for (auto _ : state) benchmark::DoNotOptimize(DecodeRuns(payload));
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::uint64_t>(state.iterations()) * runs.size()));
}
BENCHMARK(ControlDecodeRuns)->Name("control/decode_runs_per_run");

}  // namespace
}  // namespace farfault
