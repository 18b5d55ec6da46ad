#include "bench/core/interleave.h"

#include <fmt/format.h>

namespace farfault::bench {

absl::Status RunInterleaved(std::span<const Subject> subjects, int rounds,
                            const std::function<void(int round)>& before_round) {
  for (int round = 0; round < rounds; ++round) {
    if (before_round) before_round(round);
    for (std::size_t turn = 0; turn < subjects.size(); ++turn) {
      const Subject& subject = subjects[(turn + static_cast<std::size_t>(round)) % subjects.size()];
      const absl::Status status = subject.run(round);
      if (status.ok()) continue;
      return absl::Status(status.code(),
                          fmt::format("{}, round {}: {}", subject.name, round + 1,
                                      std::string_view(status.message().data(), status.message().size())));
    }
  }
  return absl::OkStatus();
}

}  // namespace farfault::bench
