#include "test/sim/crash_note.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace farfault::sim {
namespace {

// A handler can neither allocate nor format: the text is ready when it comes.
std::array<char, 4096> note;
volatile std::sig_atomic_t note_length = 0;

void WriteNote() {
  const auto length = static_cast<std::size_t>(note_length);
  note_length = 0;  // Once, also when a report ends in abort().
  if (length > 0 && write(STDERR_FILENO, note.data(), length) < 0) return;
}

void OnSignal(int signal) {
  WriteNote();
  raise(signal);  // Which now does what it does by default.
}

void HandleSignal(int signal) {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void InstallCrashNote() {
  HandleSignal(SIGABRT);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // The other signals are the sanitizer's, which reports them.
  __sanitizer_set_death_callback(WriteNote);
#else
  // A stack that has overflowed has no room for a handler.
  static std::array<std::byte, 64u << 10> stack;
  stack_t alternate = {};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  sigaltstack(&alternate, nullptr);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) HandleSignal(signal);
#endif
}

void SetCrashNote(std::string_view text) {
  note_length = 0;
  const std::size_t length = std::min(text.size(), note.size());
  std::ranges::copy(text.substr(0, length), note.begin());
  note_length = static_cast<std::sig_atomic_t>(length);
}

}  // namespace farfault::sim
