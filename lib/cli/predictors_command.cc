#include <fmt/format.h>

#include "farfault/predictor.h"
#include "lib/cli/commands.h"

namespace farfault {

void AddPredictorsCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("predictors", "List the policies that order the push");
  command->callback([&action] {
    action = [] {
      for (const PredictorDescription& known : KnownPredictors()) fmt::print("{:<12}  {}\n", known.name, known.summary);
      return kExitGood;
    };
  });
}

}  // namespace farfault
