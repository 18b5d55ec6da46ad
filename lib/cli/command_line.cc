#include "lib/cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "farfault/version.h"

namespace farfault {

int RunCommandLine(int argc, char** argv) {
  CLI::App app{"Moves live memory between hosts", "farfault"};
  app.set_version_flag("--version", fmt::format("farfault {} (transports: {})", Version(), TransportNames()));
  CLI11_PARSE(app, argc, argv);
  fmt::print("{}", app.help());
  return 0;
}

}  // namespace farfault
