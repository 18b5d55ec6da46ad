#include "farfault/options.h"

#include <string>
#include <utility>

#include "farfault/c/options.h"
#include "farfault/predictor.h"
#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/structs.h"

namespace farfault {
namespace {

farfault_session_options SessionDefaults() {
  const SessionOptions defaults;
  return {.struct_size = sizeof(farfault_session_options),
          .connect = nullptr,
          .listen = nullptr,
          .pre_shared_key = nullptr,
          .pre_shared_key_size = 0,
          .peer_timeout_ns = NanosecondsOf(defaults.peer_timeout),
          .handshake_timeout_ns = NanosecondsOf(defaults.handshake_timeout),
          .prepare_timeout_ns = NanosecondsOf(defaults.prepare_timeout),
          .push_channels = defaults.push_channels,
          .demand_channels = defaults.demand_channels,
          .listener = {}};
}

farfault_source_options SourceDefaults() {
  const SourceOptions defaults;
  return {.struct_size = sizeof(farfault_source_options),
          .push_window_bytes = defaults.push.window_bytes,
          .push_batch_bytes = defaults.push.batch_bytes,
          .predictor = nullptr,
          .custom_predictor = nullptr,
          .dirty_log = {},
          .spin_ns = NanosecondsOf(defaults.spin),
          .push = defaults.push.enabled,
          .track_dirty = defaults.track_dirty,
          .track_history = defaults.track_history,
          .reserved = {}};
}

farfault_destination_options DestinationDefaults() {
  const DestinationOptions defaults;
  return {.struct_size = sizeof(farfault_destination_options),
          .spin_ns = NanosecondsOf(defaults.spin),
          .max_outstanding_faults = defaults.max_outstanding_faults,
          .map_around_pages = defaults.map_around_pages,
          .prepare_threads = defaults.prepare_threads,
          .staging_bytes = defaults.staging_bytes,
          .collapse_huge_pages = defaults.collapse_huge_pages,
          .reserved = {},
          .state_file = nullptr,
          .record_faults = defaults.record_faults,
          .populate_early = defaults.populate_early,
          .reserved_end = {}};
}

farfault_prepage_budget BudgetDefaults() {
  const PrePageBudget defaults;
  return {.struct_size = sizeof(farfault_prepage_budget),
          .bytes = defaults.bytes,
          .time_ns = NanosecondsOf(defaults.time),
          .critical = nullptr,
          .critical_count = 0,
          .observe_ns = NanosecondsOf(defaults.observe),
          .critical_only = defaults.critical_only,
          .reserved = {}};
}

absl::Status ReadSession(const farfault_session_options* given, SessionOptions* options) {
  farfault_session_options known = SessionDefaults();
  if (absl::Status read = ReadStruct(given, "session", &known); !read.ok()) return read;
  if (known.pre_shared_key_size > 0) {
    if (absl::Status set = NotNull(known.pre_shared_key, "session: pre_shared_key"); !set.ok()) return set;
    options->pre_shared_key.assign(static_cast<const char*>(known.pre_shared_key), known.pre_shared_key_size);
  }
  options->connect = TextOf(known.connect);
  options->listen = TextOf(known.listen);
  options->peer_timeout = DurationOf(known.peer_timeout_ns);
  options->handshake_timeout = DurationOf(known.handshake_timeout_ns);
  options->prepare_timeout = DurationOf(known.prepare_timeout_ns);
  options->push_channels = known.push_channels;
  options->demand_channels = known.demand_channels;
  options->on_event = ListenerFromC(known.listener);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Predictor>> PredictorFromC(const farfault_source_options& source) {
  if (source.custom_predictor == nullptr) {
    return MakePredictor(source.predictor == nullptr ? "bubbling" : source.predictor);
  }
  if (source.predictor != nullptr) {
    return absl::InvalidArgumentError("source: set predictor or custom_predictor, not both");
  }
  return CallbackPredictor::Create(source.custom_predictor);
}

DirtyLog LogFromC(const farfault_dirty_log& log, const GuestMemory& memory) {
  if (log.collect == nullptr) return {};
  return [log, memory](std::vector<PageRun>* written) {
    farfault_dirty_sink sink{memory, *written};
    return FromCaller(log.collect(log.user_data, &sink), "the dirty log");
  };
}

}  // namespace

absl::StatusOr<SessionOptions> SessionOptionsFromC(const farfault_session_options* options) {
  SessionOptions made;
  if (absl::Status read = ReadSession(options, &made); !read.ok()) return read;
  return made;
}

absl::StatusOr<SourceOptions> SourceOptionsFromC(const farfault_session_options* session,
                                                 const farfault_source_options* source, const GuestMemory& memory) {
  SourceOptions made;
  if (absl::Status read = ReadSession(session, &made); !read.ok()) return read;
  farfault_source_options known = SourceDefaults();
  if (source != nullptr) {
    if (absl::Status read = ReadStruct(source, "source", &known); !read.ok()) return read;
  }
  auto predictor = PredictorFromC(known);
  if (!predictor.ok()) return predictor.status();
  made.predictor = *std::move(predictor);
  made.push = {.enabled = known.push, .window_bytes = known.push_window_bytes, .batch_bytes = known.push_batch_bytes};
  made.track_dirty = known.track_dirty;
  made.track_history = known.track_history;
  made.dirty_log = LogFromC(known.dirty_log, memory);
  made.spin = DurationOf(known.spin_ns);
  return made;
}

absl::StatusOr<DestinationOptions> DestinationOptionsFromC(const farfault_session_options* session,
                                                           const farfault_destination_options* destination) {
  DestinationOptions made;
  if (absl::Status read = ReadSession(session, &made); !read.ok()) return read;
  farfault_destination_options known = DestinationDefaults();
  if (destination != nullptr) {
    if (absl::Status read = ReadStruct(destination, "destination", &known); !read.ok()) return read;
  }
  made.spin = DurationOf(known.spin_ns);
  made.max_outstanding_faults = known.max_outstanding_faults;
  made.map_around_pages = known.map_around_pages;
  made.collapse_huge_pages = known.collapse_huge_pages;
  made.prepare_threads = known.prepare_threads;
  made.staging_bytes = known.staging_bytes;
  made.state_file = TextOf(known.state_file);
  made.record_faults = known.record_faults;
  made.populate_early = known.populate_early;
  return made;
}

absl::StatusOr<PrePageBudget> BudgetFromC(const farfault_prepage_budget* budget) {
  farfault_prepage_budget known = BudgetDefaults();
  if (absl::Status read = ReadStruct(budget, "budget", &known); !read.ok()) return read;
  auto critical = RunsFromC(known.critical, known.critical_count, "budget: critical");
  if (!critical.ok()) return critical.status();
  return PrePageBudget{.bytes = known.bytes,
                       .time = DurationOf(known.time_ns),
                       .critical = *std::move(critical),
                       .critical_only = known.critical_only,
                       .observe = DurationOf(known.observe_ns)};
}

}  // namespace farfault

void farfault_session_options_init(farfault_session_options* options, size_t struct_size) {
  farfault::WriteDefaults(farfault::SessionDefaults(), options, struct_size);
}

void farfault_source_options_init(farfault_source_options* options, size_t struct_size) {
  farfault::WriteDefaults(farfault::SourceDefaults(), options, struct_size);
}

void farfault_destination_options_init(farfault_destination_options* options, size_t struct_size) {
  farfault::WriteDefaults(farfault::DestinationDefaults(), options, struct_size);
}

void farfault_prepage_budget_init(farfault_prepage_budget* budget, size_t struct_size) {
  farfault::WriteDefaults(farfault::BudgetDefaults(), budget, struct_size);
}
