#include "lib/demand/want_marks.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "lib/page/claim.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

// One byte per page; every channel takes so many inline.
constexpr std::uint64_t kMarksPerWrite = 64;

}  // namespace

absl::Status MarkWanted(Channel& channel, const SourcePeer& source, std::uint64_t total_pages,
                        std::span<const PageRun> runs, Deadline deadline) {
  const SourceTableLayout tables{total_pages};
  std::array<std::byte, kMarksPerWrite> marks;
  marks.fill(std::byte{1});
  std::uint64_t signaled = 0;
  std::uint64_t completed = 0;
  const auto poll = [&]() -> absl::Status {
    std::array<Completion, 16> completions;
    const std::size_t count = channel.Poll(completions);
    completed += count;
    const bool failed = std::any_of(completions.begin(), completions.begin() + static_cast<std::ptrdiff_t>(count),
                                    [](const Completion& c) { return c.status != CompletionStatus::kOk; });
    if (failed || channel.broken()) return absl::UnavailableError("the demand channel to the source is lost");
    if (!deadline.Passed()) return absl::OkStatus();
    return absl::DeadlineExceededError("the source does not take in which pages are here already");
  };
  const auto post = [&](PageRun run) -> absl::Status {
    const WorkRequest request{.opcode = Opcode::kWrite,
                              .signaled = true,
                              .inline_data = true,
                              .local = marks.data(),
                              .length = static_cast<std::uint32_t>(run.count),
                              .remote_address = source.tables.address + tables.want_offset() + run.first,
                              .remote_key = source.tables.key};
    while (channel.Post(request) != PostResult::kOk) {
      if (absl::Status status = poll(); !status.ok()) return status;
    }
    ++signaled;
    return absl::OkStatus();
  };
  for (const PageRun& run : runs) {
    for (PageIndex page = run.first; page < run.end();) {
      const PageRun marked{page, std::min(run.end() - page, kMarksPerWrite)};
      if (absl::Status status = post(marked); !status.ok()) return status;
      page = marked.end();
    }
  }
  while (completed < signaled) {
    if (absl::Status status = poll(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace farfault
