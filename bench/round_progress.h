#ifndef FARFAULT_BENCH_ROUND_PROGRESS_H_
#define FARFAULT_BENCH_ROUND_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace farfault::bench {

/// Says on standard error what is being measured: one line that is rewritten on a terminal, one line per measurement
/// elsewhere. Ends the process with status 3 when a round takes more than five minutes.
class RoundProgress {
 public:
  RoundProgress();
  ~RoundProgress();
  RoundProgress(const RoundProgress&) = delete;
  RoundProgress& operator=(const RoundProgress&) = delete;

  /// A measurement begins; it takes so many rounds.
  void Begin(std::string_view measurement, int rounds);
  /// Round `round` (from 0) begins.
  void Round(int round);
  /// Says in a line of its own what has gone wrong and does not end the measurement.
  void Note(std::string_view line);
  /// The measurement is over.
  void End();

 private:
  void Show(std::string_view line);
  void Clear();

  bool terminal_;
  std::size_t shown_ = 0;
  std::string measurement_;
  int rounds_ = 0;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ROUND_PROGRESS_H_
