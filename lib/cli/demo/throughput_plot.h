#ifndef FARFAULT_LIB_CLI_DEMO_THROUGHPUT_PLOT_H_
#define FARFAULT_LIB_CLI_DEMO_THROUGHPUT_PLOT_H_

#include <string>
#include <vector>

#include "lib/cli/demo/demo_run.h"

namespace farfault {

/// An SVG picture: the program's answers per second around the switchover, one panel per method, on common axes.
std::string PlotThroughput(const std::vector<MethodResult>& results, const std::string& subtitle);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_THROUGHPUT_PLOT_H_
