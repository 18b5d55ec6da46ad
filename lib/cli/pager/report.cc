#include <nlohmann/json.hpp>
#include <string>

#include "lib/cli/pager/paged_guest.h"
#include "lib/cli/paging_report.h"
#include "lib/cli/terminal/units.h"
#include "lib/util/status_text.h"

namespace farfault {

std::string ReportAsJson(const PagerReport& report) {
  nlohmann::json json = PagingToJson(report.stats);
  json.update({{"guest", report.guest},
               {"source", report.source},
               {"end", report.end.ok() ? "resident" : std::string(StatusText(report.end))},
               {"taken_over", report.taken_over},
               {"duration_ms", absl::ToDoubleMilliseconds(report.elapsed)},
               {"requests", report.requests}});
  return json.dump(2);
}

std::string ReportAsTable(const PagerReport& report) {
  return PagingAsTable({.heading = "guest",
                        .name = report.guest,
                        .nanoseconds = absl::ToInt64Nanoseconds(report.elapsed),
                        .last_heading = "resident\npages",
                        .last = FormatCount(report.stats.resident_pages)},
                       report.stats);
}

}  // namespace farfault
