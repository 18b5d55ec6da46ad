#ifndef FARFAULT_LIB_CLI_TERMINAL_PROGRESS_BAR_H_
#define FARFAULT_LIB_CLI_TERMINAL_PROGRESS_BAR_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "lib/util/mutex.h"

namespace farfault {

/// What one step of a long job looks like at one moment.
struct Progress {
  std::string label;        ///< "active push: moving"
  std::uint64_t done = 0;   ///< Bytes.
  std::uint64_t total = 0;  ///< 0: nobody knows; only `done` is shown.
  absl::Duration elapsed;   ///< Since the step began.
};

/// One line of at most `columns` columns, without a line break: label, bar, percentage, bytes, bytes per second.
std::string RenderProgress(const Progress& progress, std::size_t columns);

/// Progress of long work on standard error: a bar that redraws itself on a terminal, now and then a plain line
/// elsewhere, nothing at all when silent. Thread-safe.
class ProgressBar {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Style : std::uint8_t { kBar, kLines, kSilent };

  /// A bar when `out` is a terminal, else lines; nothing when `silent`.
  static Style StyleFor(std::FILE* out, bool silent);

  explicit ProgressBar(Style style, std::FILE* out = stderr);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { Clear(); }

  /// Shows the step; a new label begins a new step. `now` only goes forward.
  void Update(std::string_view label, std::uint64_t done, std::uint64_t total, Clock::time_point now = Clock::now())
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// A line that stays, above the bar. Printed in every style but kSilent.
  void Say(std::string_view line) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Takes the bar off the screen.
  void Clear() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::size_t Columns() const;
  void Write(std::string_view text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ClearLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Style style_;
  std::FILE* const out_;
  Mutex mutex_;
  std::string label_ ABSL_GUARDED_BY(mutex_);
  std::string drawn_label_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point step_began_ ABSL_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> last_drawn_ ABSL_GUARDED_BY(mutex_);
  bool on_screen_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_TERMINAL_PROGRESS_BAR_H_
