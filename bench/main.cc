#include "bench/command_line.h"

int main(int argc, char** argv) { return farfault::bench::RunCommandLine(argc, argv); }
