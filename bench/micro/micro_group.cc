#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/group.h"

namespace farfault::bench {
namespace {

/// Keeps every repetition's time, so that micro-benchmarks are reported as figures like any other measurement.
class FigureReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.iterations == 0) continue;
      Series& series = SeriesOf(run.benchmark_name());
      const auto items = run.counters.find("items_per_second");
      // Nanoseconds per item where the benchmark counts items, else per iteration.
      series.samples.push_back(items != run.counters.end()
                                   ? 1e9 / items->second.value
                                   : run.real_accumulated_time / static_cast<double>(run.iterations) * 1e9);
    }
  }

  std::vector<Figure> figures() const {
    std::vector<Figure> figures;
    for (const Series& series : series_) figures.push_back({series.name, SpreadOf(series.samples), "ns"});
    std::sort(figures.begin(), figures.end(), [](const Figure& a, const Figure& b) { return a.name < b.name; });
    return figures;
  }

 private:
  struct Series {
    std::string name;
    std::vector<double> samples;
  };

  Series& SeriesOf(std::string name) {
    // Repetitions carry their number or not, by version of the library.
    if (const std::size_t suffix = name.find("/repeats:"); suffix != std::string::npos) name.resize(suffix);
    for (Series& series : series_) {
      if (series.name == name) return series;
    }
    series_.push_back({std::move(name), {}});
    return series_.back();
  }

  std::vector<Series> series_;
};

Report Run(const RunOptions& options, RoundProgress& progress) {
  const int repetitions = options.RoundsOr(7, 4);
  std::vector<std::string> flags = {
      "farfault_bench", fmt::format("--benchmark_repetitions={}", repetitions),
      fmt::format("--benchmark_min_time={}", options.quick ? 0.02 : 0.1), "--benchmark_enable_random_interleaving=true",
      fmt::format("--benchmark_filter={}", options.filter.empty() ? "." : options.filter)};
  std::vector<char*> arguments;
  for (std::string& flag : flags) arguments.push_back(flag.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  FigureReporter reporter;
  // All repetitions are taken in random order and reported at the end.
  progress.Begin("micro-benchmarks", repetitions);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  progress.End();
  benchmark::Shutdown();
  return {.figures = reporter.figures()};
}

const GroupRegistration registration({"micro",
                                      "the parts of the engines one by one, by Google Benchmark (figures only)",
                                      {"page_table…, bitmap…, claim…, push_order…, histogram…, control…"},
                                      Run});

}  // namespace
}  // namespace farfault::bench
