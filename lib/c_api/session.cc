#include "farfault/session.h"

#include <fmt/format.h>

#include <utility>

#include "farfault/c/session.h"
#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/structs.h"

using farfault::Guarded;
using farfault::NotNull;

// Views of literals, which end in NUL.
const char* farfault_state_name(enum farfault_state state) {
  if (static_cast<unsigned>(state) > FARFAULT_STATE_CLOSED) return "unknown";
  return farfault::SessionStateName(static_cast<farfault::SessionState>(state)).data();
}
const char* farfault_event_kind_name(enum farfault_event_kind kind) {
  if (static_cast<unsigned>(kind) > FARFAULT_EVENT_FAILED) return "unknown";
  return farfault::EventKindName(static_cast<farfault::EventKind>(kind)).data();
}

enum farfault_state farfault_session_state(const farfault_session* session) {
  return static_cast<enum farfault_state>(session->session->state());
}

enum farfault_status farfault_session_status(const farfault_session* session) {
  return Guarded([&] { return session->session->status(); });
}

enum farfault_status farfault_session_cancel(farfault_session* session) {
  return Guarded([&] {
    session->session->Cancel();
    return absl::OkStatus();
  });
}

enum farfault_status farfault_describe_source(const farfault_session_options* session,
                                              farfault_description** description) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(description, "description"); !set.ok()) return set;
    const auto options = farfault::SessionOptionsFromC(session);
    if (!options.ok()) return options.status();
    auto regions = farfault::DescribeSource(*options);
    if (!regions.ok()) return regions.status();
    *description = new farfault_description{*std::move(regions)};
    return absl::OkStatus();
  });
}

void farfault_description_destroy(farfault_description* description) { delete description; }

size_t farfault_description_region_count(const farfault_description* description) {
  return description->regions.size();
}

enum farfault_status farfault_description_region(const farfault_description* description, size_t index,
                                                 farfault_region* region) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status checked = farfault::CheckSize(region, "region"); !checked.ok()) return checked;
    if (index >= description->regions.size()) {
      return absl::OutOfRangeError(
          fmt::format("there is no region {}; there are {}", index, description->regions.size()));
    }
    const farfault::RemoteRegion& remote = description->regions[index];
    farfault_region known;
    farfault_region_init(&known, sizeof(known));
    known.name = remote.name.c_str();
    known.length = remote.length;
    known.page_size = remote.page_size;
    farfault::WriteStruct(known, region);
    return absl::OkStatus();
  });
}
