#include "lib/cli/command_line.h"

int main(int argc, char** argv) { return farfault::RunCommandLine(argc, argv); }
