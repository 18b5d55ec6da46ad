#ifndef FARFAULT_LIB_CLI_COMMANDS_H_
#define FARFAULT_LIB_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>

#include "absl/status/status.h"

namespace farfault {

/// What a sub-command leaves for `RunCommandLine` to run once the whole command line is known to be good; returns the
/// exit status.
using Action = std::function<int()>;

void AddDemoCommand(CLI::App& app, Action& action);
void AddServeCommand(CLI::App& app, Action& action);
void AddFetchCommand(CLI::App& app, Action& action);
void AddPagerCommand(CLI::App& app, Action& action);
void AddDoctorCommand(CLI::App& app, Action& action);
void AddQemuMigrateCommand(CLI::App& app, Action& action);
void AddPredictorsCommand(CLI::App& app, Action& action);

inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// Prints "farfault: …" on standard error; `kExitFailed`, or `kExitUsage` when the fault is in what the user asked.
int Complain(const absl::Status& status, int exit_status = kExitFailed);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_COMMANDS_H_
