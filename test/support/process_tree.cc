#include "test/support/process_tree.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace farfault {
namespace {

std::string FirstLine(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

void Append(const std::string& process, int generation, std::string& text) {
  constexpr int kMostGenerations = 5;
  const std::filesystem::path folder = "/proc/" + process;
  std::error_code gone;
  for (std::filesystem::directory_iterator thread(folder / "task", gone), end; !gone && thread != end;
       thread.increment(gone)) {
    const std::filesystem::path& path = thread->path();
    text += "process " + process + " thread " + path.filename().string() + " (" + FirstLine(path / "comm") +
            "): " + FirstLine(path / "wchan") + ", system call " + FirstLine(path / "syscall") + "\n";
    std::istringstream children(FirstLine(path / "children"));
    for (std::string child; generation < kMostGenerations && children >> child;) Append(child, generation + 1, text);
  }
}

}  // namespace

std::string WhatThreadsWaitIn(pid_t process) {
  std::string text;
  Append(std::to_string(process), 0, text);
  return text;
}

}  // namespace farfault
