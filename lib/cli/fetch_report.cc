#include "lib/cli/fetch_report.h"

#include <nlohmann/json.hpp>

#include "lib/cli/connection_json.h"
#include "lib/cli/paging_report.h"
#include "lib/cli/terminal/units.h"

namespace farfault {

std::string FetchedAsJson(const Fetched& fetched) {
  nlohmann::json json = PagingToJson(fetched.stats);
  json.update({{"file", fetched.name.file},
               {"bytes", fetched.name.bytes},
               {"sha256", fetched.sha256},
               {"connection", ConnectionToJson(fetched.path, fetched.stats)},
               {"pattern", fetched.pattern},
               {"duration_ms", static_cast<double>(fetched.nanoseconds) / 1e6}});
  return json.dump(2);
}

std::string FetchedAsTable(const Fetched& fetched) {
  return PagingAsTable({.heading = "pattern",
                        .name = fetched.pattern,
                        .nanoseconds = fetched.nanoseconds,
                        .last_heading = "duplicate\npages",
                        .last = FormatCount(fetched.stats.duplicates)},
                       fetched.stats);
}

}  // namespace farfault
