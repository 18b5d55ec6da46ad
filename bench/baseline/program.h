#ifndef FARFAULT_BENCH_BASELINE_PROGRAM_H_
#define FARFAULT_BENCH_BASELINE_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/util/unique_fd.h"

namespace farfault::bench {

/// A program that runs beside this process and whose output is read. Killed, if need be, with this object. One thread.
class Program {
 public:
  /// `command`: its name, found through PATH, and its arguments. kFailedPrecondition when it cannot be started.
  static absl::StatusOr<Program> Start(const std::vector<std::string>& command);
  Program(Program&& other) noexcept
      : child_(std::exchange(other.child_, -1)), output_(std::move(other.output_)), text_(std::move(other.text_)) {}
  Program& operator=(Program&&) = delete;
  ~Program();

  /// Reads until `words` have been printed. False: it ended before, or the time is up.
  bool WaitForWords(const std::string& words, absl::Duration timeout);
  /// Reads until it ends. True: with status 0, in time.
  bool WaitForEnd(absl::Duration timeout);
  /// Reads what it has printed so far, and forgets all of it.
  void ForgetText();
  /// What it has printed on standard output and standard error so far.
  const std::string& text() const { return text_; }

 private:
  Program(pid_t child, UniqueFd output) : child_(child), output_(std::move(output)) {}
  bool ReadMore(absl::Time deadline);

  pid_t child_;
  UniqueFd output_;
  std::string text_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_BASELINE_PROGRAM_H_
