#include "farfault/c/dirty_log.h"

#include <fmt/format.h>

#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/status.h"
#include "lib/page/page_layout.h"

using farfault::Guarded;

enum farfault_status farfault_dirty_sink_add_runs(farfault_dirty_sink* sink, const farfault_page_run* runs,
                                                  size_t count) {
  return Guarded([&]() -> absl::Status {
    const auto written = farfault::RunsFromC(runs, count, "runs");
    if (!written.ok()) return written.status();
    const farfault::PageLayout layout(sink->memory);
    for (const farfault::PageRun& run : *written) {
      if (!layout.Contains(run)) {
        return absl::InvalidArgumentError(
            fmt::format("there are no {} pages from page {} on in the memory, which has {} pages", run.count, run.first,
                        layout.total_pages()));
      }
    }
    sink->written.insert(sink->written.end(), written->begin(), written->end());
    return absl::OkStatus();
  });
}

enum farfault_status farfault_dirty_sink_add_bitmap(farfault_dirty_sink* sink, const farfault_dirty_bitmap* bitmap) {
  return Guarded([&]() -> absl::Status {
    const auto copy = farfault::BitmapFromC(bitmap);
    if (!copy.ok()) return copy.status();
    return farfault::AppendDirtyPages(sink->memory, *copy, &sink->written);
  });
}
