#include "test/integration/cli/command.h"

namespace farfault {

std::vector<std::string> Farfault(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {FARFAULT_COMMAND};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

}  // namespace farfault
