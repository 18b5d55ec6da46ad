#include <utility>

#include "farfault/c/session.h"
#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/structs.h"

using farfault::Guarded;
using farfault::NotNull;

enum farfault_status farfault_source_create(const farfault_memory* memory, const farfault_session_options* session,
                                            const farfault_source_options* source, farfault_source** created) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(memory, "memory", created, "created"); !set.ok()) return set;
    auto options = farfault::SourceOptionsFromC(session, source, memory->memory);
    if (!options.ok()) return options.status();
    const auto* const custom = dynamic_cast<const farfault::CallbackPredictor*>(options->predictor.get());
    auto handle = std::make_unique<farfault_source>();
    handle->memory = memory->memory;
    auto made = farfault::SourceSession::Create(memory->memory, *std::move(options));
    if (!made.ok()) return made.status();
    handle->session = *std::move(made);
    handle->base.session = handle->session.get();
    // Not earlier: when there is no session the data stays the caller's.
    if (custom != nullptr) {
      handle->predictor_data = farfault::CallerData(custom->callbacks().destroy, custom->callbacks().user_data);
    }
    *created = handle.release();
    return absl::OkStatus();
  });
}

void farfault_source_destroy(farfault_source* source) { delete source; }

farfault_session* farfault_source_session(farfault_source* source) { return &source->base; }

enum farfault_status farfault_source_prepage(farfault_source* source, const farfault_prepage_budget* budget,
                                             farfault_prepage_report* report) {
  return Guarded([&]() -> absl::Status {
    if (report != nullptr) {
      if (absl::Status checked = farfault::CheckSize(report, "report"); !checked.ok()) return checked;
    }
    const auto limits = farfault::BudgetFromC(budget);
    if (!limits.ok()) return limits.status();
    const auto made = source->session->PrePage(*limits);
    if (!made.ok()) return made.status();
    if (report != nullptr) {
      farfault::WriteStruct({.struct_size = sizeof(*report),
                             .pages_sent = made->pages_sent,
                             .bytes_sent = made->bytes_sent,
                             .pages_fresh = made->pages_fresh,
                             .rounds = made->rounds,
                             .elapsed_ns = farfault::NanosecondsOf(made->elapsed)},
                            report);
    }
    return absl::OkStatus();
  });
}

enum farfault_status farfault_source_report_dirty(farfault_source* source, const farfault_page_run* runs,
                                                  size_t count) {
  return Guarded([&]() -> absl::Status {
    const auto dirty = farfault::RunsFromC(runs, count, "runs");
    if (!dirty.ok()) return dirty.status();
    return source->session->ReportDirty(*dirty);
  });
}

enum farfault_status farfault_source_report_dirty_bitmap(farfault_source* source, const farfault_dirty_bitmap* bitmap) {
  return Guarded([&]() -> absl::Status {
    const auto copy = farfault::BitmapFromC(bitmap);
    if (!copy.ok()) return copy.status();
    std::vector<farfault::PageRun> dirty;
    if (absl::Status taken = farfault::AppendDirtyPages(source->memory, *copy, &dirty); !taken.ok()) return taken;
    return source->session->ReportDirty(dirty);
  });
}

enum farfault_status farfault_source_switch_over(farfault_source* source) {
  return Guarded([&] { return source->session->SwitchOver(); });
}

enum farfault_status farfault_source_wait_until_drained(farfault_source* source, int64_t timeout_ns) {
  return Guarded([&] { return source->session->WaitUntilDrained(farfault::DurationOf(timeout_ns)); });
}
