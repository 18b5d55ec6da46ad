#ifndef FARFAULT_BENCH_PLOT_H_
#define FARFAULT_BENCH_PLOT_H_

#include <string>

#include "absl/status/status.h"
#include "bench/core/report.h"

namespace farfault::bench {

/// Has plot_ratios.py draw the report's ratios against their limits. kFailedPrecondition when python3 or matplotlib is
/// missing, with how to install it (the script says so on standard error).
absl::Status PlotRatios(const Report& report, const std::string& png_path);

/// Whether PlotRatios has what it needs: to be asked before anything is measured for it.
absl::Status CheckPlotting();

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_PLOT_H_
