#include "bench/round_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace farfault::bench {
namespace {

// A guest's thread whose page never comes cannot be woken by anything that is measured here: end the process instead.
constexpr unsigned kStuckSeconds = 300;

void OnStuck(int) {
  constexpr std::string_view kMessage = "\nfarfault_bench: nothing has happened for five minutes; giving up\n";
  static_cast<void>(!write(STDERR_FILENO, kMessage.data(), kMessage.size()));
  _exit(3);
}

}  // namespace

RoundProgress::RoundProgress() : terminal_(isatty(STDERR_FILENO) == 1) {}

RoundProgress::~RoundProgress() {
  alarm(0);
  Clear();
}

void RoundProgress::Begin(std::string_view measurement, int rounds) {
  measurement_ = measurement;
  rounds_ = rounds;
  std::signal(SIGALRM, OnStuck);
  alarm(kStuckSeconds);
  began_ = std::chrono::steady_clock::now();
  if (terminal_) Show(fmt::format("{}: preparing", measurement_));
}

void RoundProgress::Round(int round) {
  alarm(kStuckSeconds);
  if (terminal_) Show(fmt::format("{}: round {} of {}", measurement_, round + 1, rounds_));
}

void RoundProgress::Note(std::string_view line) {
  alarm(kStuckSeconds);
  Clear();
  fmt::print(stderr, "{}: {}\n", measurement_, line);
}

void RoundProgress::End() {
  alarm(0);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
  Clear();
  fmt::print(stderr, "{}: {} rounds in {:.1f} s\n", measurement_, rounds_, took.count());
}

void RoundProgress::Show(std::string_view line) {
  fmt::print(stderr, "\r{:<{}}", line, shown_);
  std::fflush(stderr);
  shown_ = line.size();
}

void RoundProgress::Clear() {
  if (shown_ == 0) return;
  Show("");
  fmt::print(stderr, "\r");
  shown_ = 0;
}

}  // namespace farfault::bench
