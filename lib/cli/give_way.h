#ifndef FARFAULT_LIB_CLI_GIVE_WAY_H_
#define FARFAULT_LIB_CLI_GIVE_WAY_H_

#include "absl/status/status.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace farfault {

/// Enough that a guest keeps its processor while its memory is copied beside it, and little enough that its faults are
/// answered in time on a busy host.
inline constexpr int kGivesWay = 5;

/// "--nice": how far a command gives way to the guest that runs beside it.
CLI::Option* AddNice(CLI::App& app, int& value);

/// Lowers the calling thread's priority to the nice value `nice` (0 to 19, see setpriority(2)), and that of all threads
/// that it starts. Never raises it: one that gives way more already stays as it is.
absl::Status GiveWay(int nice);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_GIVE_WAY_H_
