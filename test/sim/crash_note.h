#ifndef FARFAULT_TEST_SIM_CRASH_NOTE_H_
#define FARFAULT_TEST_SIM_CRASH_NOTE_H_

#include <string_view>

namespace farfault::sim {

/// From now on a signal that a defect raises, or a sanitizer's report that ends the process, has the note written on
/// standard error first. Call it once.
void InstallCrashNote();

/// What to write then; empty: nothing.
void SetCrashNote(std::string_view text);

}  // namespace farfault::sim

#endif  // FARFAULT_TEST_SIM_CRASH_NOTE_H_
