#include "lib/cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "farfault/version.h"
#include "lib/cli/commands.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr const char* kFirstSteps = R"(First steps:
  farfault demo                          move a running program's memory, by each method
  farfault serve image.bin --listen tcp://127.0.0.1:7000
  farfault fetch --from tcp://127.0.0.1:7000
                                         read a file page by page from another process or host
  farfault pager --socket PATH --from tcp://127.0.0.1:7000
                                         page a hypervisor's guest from it
  farfault doctor                        what this machine can do, and what mends the rest
  farfault demo --help                   what can be changed

Exit status: 0 good, 1 something failed or was wrong, 2 bad usage.)";

/// A way out for who mistypes a command: those that begin alike, or all.
std::string Similar(const CLI::App& app, std::string_view word) {
  std::vector<std::string> alike;
  std::vector<std::string> all;
  for (const CLI::App* const command :
       app.get_subcommands([](const CLI::App* each) { return each->get_group() != ""; })) {
    all.push_back(command->get_name());
    if (word.substr(0, 2) == std::string_view(command->get_name()).substr(0, 2)) alike.push_back(command->get_name());
  }
  if (!alike.empty()) return fmt::format("; did you mean {}?", fmt::join(alike, " or "));
  return fmt::format("; there are {}", fmt::join(all, ", "));
}

}  // namespace

int Complain(const absl::Status& status, int exit_status) {
  fmt::print(stderr, "farfault: {}\n", std::string(StatusText(status)));
  return exit_status;
}

int RunCommandLine(int argc, char** argv) {
  CLI::App app{"farfault moves live memory between processes and hosts while the program in it keeps running.",
               "farfault"};
  app.set_version_flag("--version", fmt::format("farfault {} (transports: {})", Version(), TransportNames()));
  app.footer(kFirstSteps);
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(34);
  Action action;
  AddDemoCommand(app, action);
  AddServeCommand(app, action);
  AddFetchCommand(app, action);
  AddPagerCommand(app, action);
  AddDoctorCommand(app, action);
  AddQemuMigrateCommand(app, action);
  AddPredictorsCommand(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version.
    const auto chosen = app.get_subcommands();
    if (chosen.empty() && argc > 1 && argv[1][0] != '-') {
      fmt::print(stderr, "farfault: there is no command '{}'{}\nSee farfault --help\n", argv[1], Similar(app, argv[1]));
      return kExitUsage;
    }
    const std::string command = chosen.empty() ? "farfault" : "farfault " + chosen.front()->get_name();
    fmt::print(stderr, "farfault: {}\nSee {} --help\n", error.what(), command);
    return kExitUsage;
  }
  if (action) return action();
  fmt::print("{}", app.help());
  return kExitGood;
}

}  // namespace farfault
