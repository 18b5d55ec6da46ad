#ifndef FARFAULT_BENCH_COMMAND_LINE_H_
#define FARFAULT_BENCH_COMMAND_LINE_H_

namespace farfault::bench {

/// The `farfault_bench` command. Returns the exit status: 0 every ratio that was measured holds its limit, 1 one does
/// not, 2 bad usage, 3 a measurement failed.
int RunCommandLine(int argc, char** argv);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_COMMAND_LINE_H_
