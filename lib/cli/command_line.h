#ifndef FARFAULT_LIB_CLI_COMMAND_LINE_H_
#define FARFAULT_LIB_CLI_COMMAND_LINE_H_

namespace farfault {

/// The `farfault` command. Returns the exit status: 0 good, 1 something moved wrongly or failed, 2 bad usage.
int RunCommandLine(int argc, char** argv);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_COMMAND_LINE_H_
