#include "lib/cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
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

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// The first option on the line that the command does not have, and what may have been meant; empty: it has all.
/// CLI11 would first complain of the one that it misses, which the user believes to have given.
std::string Misspelt(CLI::App& command, std::span<char* const> words) {
  for (const std::string_view word : words) {
    const std::string name(word.substr(0, word.find('=')));
    if (word == "--") break;
    if (!word.starts_with("--") || command.get_option_no_throw(name) != nullptr) continue;
    std::string nearest;
    std::size_t least = name.size() / 2;
    for (const CLI::Option* const option : command.get_options()) {
      const std::string known = option->get_name();
      const std::size_t distance = EditDistance(name, known);
      if (distance >= least) continue;
      least = distance;
      nearest = known;
    }
    return fmt::format("there is no option {}{}", name, nearest.empty() ? "" : "; did you mean " + nearest + "?");
  }
  return "";
}

/// Results that nobody can read are none.
int OutputLost() {
  return Complain(
      absl::UnavailableError("what was to be written to standard output is lost: is what it goes to full, or closed?"));
}

int FlushOutput(int exit_status) {
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written || exit_status != kExitGood ? exit_status : OutputLost();
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
  // A command's own help is about that command.
  for (CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_footer() == app.get_footer()) command->footer("");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return FlushOutput(app.exit(error));  // --help and --version.
    const auto chosen = app.get_subcommands();
    if (chosen.empty() && argc > 1 && argv[1][0] != '-') {
      fmt::print(stderr, "farfault: there is no command '{}'{}\nSee farfault --help\n", argv[1], Similar(app, argv[1]));
      return kExitUsage;
    }
    const std::string misspelt =
        Misspelt(chosen.empty() ? app : *chosen.front(), std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
    const std::string command = chosen.empty() ? "farfault" : "farfault " + chosen.front()->get_name();
    fmt::print(stderr, "farfault: {}\nSee {} --help\n", misspelt.empty() ? error.what() : misspelt, command);
    return kExitUsage;
  }
  try {
    if (action) return FlushOutput(action());
    fmt::print("{}", app.help());
  } catch (const std::system_error&) {
    return OutputLost();  // By fmt::print. Nothing of ours throws.
  }
  return FlushOutput(kExitGood);
}

}  // namespace farfault
