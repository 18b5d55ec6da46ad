#include "lib/cli/pager/working_set.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "lib/cli/output_file.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

absl::Status WriteError(const std::string& path, int error) {
  const absl::Status status = NotWritable(path, error);
  return absl::Status(status.code(), fmt::format("the working set: {}", StatusText(status)));
}

}  // namespace

std::vector<PageRun> RunsOf(std::span<const PageIndex> touched) {
  std::vector<PageRun> runs;
  for (const PageIndex page : touched) {
    if (!runs.empty() && runs.back().end() == page) {
      ++runs.back().count;
    } else {
      runs.push_back({page, 1});
    }
  }
  return runs;
}

std::string WorkingSetDraft(const std::string& path) { return fmt::format("{}.{}", path, getpid()); }

absl::Status WriteWorkingSet(const std::string& path, const WorkingSet& working_set) {
  const std::string draft = WorkingSetDraft(path);
  {
    std::ofstream file(draft);
    file << "farfault-working-set 1 " << working_set.pages << ' ' << working_set.page_size << '\n';
    for (const PageRun& run : working_set.order) file << run.first << ' ' << run.count << '\n';
    file.flush();
    if (!file) {
      absl::Status status = WriteError(draft, errno);
      static_cast<void>(unlink(draft.c_str()));
      return status;
    }
  }
  if (rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return WriteError(path, errno);
}

absl::StatusOr<WorkingSet> ReadWorkingSet(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::Status(absl::ErrnoToStatusCode(errno),
                        fmt::format("the working set '{}' cannot be read: {}; check its name and rights, or record one "
                                    "with `farfault pager --record FILE`",
                                    path, std::strerror(errno)));
  }
  WorkingSet working_set;
  std::string line;
  std::getline(file, line);
  int end = 0;
  const int fields = std::sscanf(line.c_str(), "farfault-working-set 1 %" SCNu64 " %" SCNu64 "%n", &working_set.pages,
                                 &working_set.page_size, &end);
  if (fields != 2 || line.c_str()[end] != '\0') {
    return absl::DataLossError(
        fmt::format("'{}' is not a working set: record one with `farfault pager --record FILE`", path));
  }
  for (std::size_t number = 2; std::getline(file, line); ++number) {
    PageRun run;
    const bool read = std::sscanf(line.c_str(), "%" SCNu64 " %" SCNu64 "%n", &run.first, &run.count, &end) == 2;
    const bool inside = run.count > 0 && run.count <= working_set.pages && run.first <= working_set.pages - run.count;
    if (!read || line.c_str()[end] != '\0' || !inside) {
      return absl::DataLossError(fmt::format("'{}', line {}: \"{}\" is no run of an image of {} pages", path, number,
                                             line.substr(0, 60), working_set.pages));
    }
    working_set.order.push_back(run);
  }
  return working_set;
}

absl::Status CheckWorkingSet(const WorkingSet& working_set, std::uint64_t pages, std::uint64_t page_size) {
  if (working_set.pages == pages && working_set.page_size == page_size) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("the working set was recorded of {} pages of {} bytes, but the image has {} of {}: record it again",
                  working_set.pages, working_set.page_size, pages, page_size));
}

std::size_t WorkingSetPredictor::Next(std::span<PageRun> out) {
  const std::size_t count = std::min(out.size(), order_.size() - next_);
  std::copy_n(order_.begin() + static_cast<std::ptrdiff_t>(next_), count, out.begin());
  next_ += count;
  return count;
}

}  // namespace farfault
