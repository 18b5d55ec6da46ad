#include "lib/prepage/region_pages.h"

#include <fmt/format.h>

#include <string>

namespace farfault {

absl::Status RegionPages::Annotate(const absl::Status& status) const {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("region '{}': {}", region_.name, std::string(status.message())));
}

void SortAndUnite(std::vector<PageRun>* runs, std::size_t from) {
  const auto begin = runs->begin() + static_cast<std::ptrdiff_t>(from);
  if (begin == runs->end()) return;
  std::sort(begin, runs->end(), [](const PageRun& a, const PageRun& b) { return a.first < b.first; });
  auto last = begin;
  for (auto run = begin + 1; run != runs->end(); ++run) {
    if (run->first <= last->end()) {
      last->count = std::max(last->end(), run->end()) - last->first;
    } else {
      *++last = *run;
    }
  }
  runs->erase(last + 1, runs->end());
}

}  // namespace farfault
