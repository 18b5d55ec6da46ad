#ifndef FARFAULT_BENCH_PRINT_REPORT_H_
#define FARFAULT_BENCH_PRINT_REPORT_H_

#include <string>

#include "bench/core/report.h"

namespace farfault::bench {

/// The report as people read it: ratios against their limits, then figures, then what is missing and why.
std::string RenderReport(const Report& report);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_PRINT_REPORT_H_
