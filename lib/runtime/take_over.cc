#include "lib/runtime/take_over.h"

#include <vector>

#include "lib/demand/want_marks.h"
#include "lib/util/deadline.h"

namespace farfault {

// What the guest has already must not be pushed: over tcp and verbs alike the bytes would land on top of its own.
absl::Status TakeOver(DestinationEngine& engine, std::span<const PageRun> mapped, Channel& demand,
                      const SourcePeer& source, Deadline deadline) {
  for (const PageRun& run : mapped) engine.TakeOver(run);
  const PageTable& table = engine.table();
  std::vector<PageRun> here;
  for (PageIndex page = 0; page < table.size();) {
    const PageRun absent = table.NextRun(PageState::kAbsent, page, table.size(), table.size());
    const PageIndex end = absent.count > 0 ? absent.first : table.size();
    if (end > page) here.push_back({page, end - page});
    page = absent.count > 0 ? absent.end() : table.size();
  }
  return MarkWanted(demand, source, table.size(), here, deadline);
}

}  // namespace farfault
