#include <algorithm>
#include <utility>
#include <vector>

#include "farfault/c/session.h"
#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/status.h"

using farfault::DurationOf;
using farfault::Guarded;

enum farfault_status farfault_destination_create(const farfault_memory* memory, const farfault_session_options* session,
                                                 const farfault_destination_options* destination,
                                                 farfault_destination** created) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = farfault::NotNull(memory, "memory", created, "created"); !set.ok()) return set;
    auto options = farfault::DestinationOptionsFromC(session, destination);
    if (!options.ok()) return options.status();
    auto handle = std::make_unique<farfault_destination>();
    auto made = farfault::DestinationSession::Create(memory->memory, *std::move(options));
    if (!made.ok()) return made.status();
    handle->session = *std::move(made);
    handle->base.session = handle->session.get();
    *created = handle.release();
    return absl::OkStatus();
  });
}

void farfault_destination_destroy(farfault_destination* destination) { delete destination; }

farfault_session* farfault_destination_session(farfault_destination* destination) { return &destination->base; }

enum farfault_status farfault_destination_prepare(farfault_destination* destination) {
  return Guarded([&] { return destination->session->Prepare(); });
}

enum farfault_status farfault_destination_activate(farfault_destination* destination, int64_t timeout_ns) {
  return Guarded([&] { return destination->session->Activate(DurationOf(timeout_ns)); });
}

enum farfault_status farfault_destination_fetch_rest(farfault_destination* destination) {
  return Guarded([&] { return destination->session->FetchRest(); });
}

enum farfault_status farfault_destination_fetch(farfault_destination* destination, const farfault_page_run* order,
                                                size_t count) {
  return Guarded([&]() -> absl::Status {
    auto runs = farfault::RunsFromC(order, count, "order");
    if (!runs.ok()) return runs.status();
    return destination->session->Fetch(*std::move(runs));
  });
}

enum farfault_status farfault_destination_fault_order(const farfault_destination* destination, uint64_t* pages,
                                                      size_t capacity, size_t* count) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = farfault::NotNull(count, "count"); !set.ok()) return set;
    if (capacity > 0) {
      if (absl::Status set = farfault::NotNull(pages, "pages"); !set.ok()) return set;
    }
    const std::vector<farfault::PageIndex> order = destination->session->FaultOrder();
    std::copy_n(order.begin(), std::min(capacity, order.size()), pages);
    *count = order.size();
    return absl::OkStatus();
  });
}

enum farfault_status farfault_destination_wait_until_resident(farfault_destination* destination, int64_t timeout_ns) {
  return Guarded([&] { return destination->session->WaitUntilResident(DurationOf(timeout_ns)); });
}
