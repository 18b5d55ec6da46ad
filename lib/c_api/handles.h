#ifndef FARFAULT_LIB_C_API_HANDLES_H_
#define FARFAULT_LIB_C_API_HANDLES_H_

#include <memory>
#include <vector>

#include "farfault/c/session.h"
#include "farfault/guest_memory.h"
#include "farfault/predictor.h"
#include "farfault/session.h"
#include "farfault/stats.h"
#include "lib/c_api/predictor.h"

// What the handles of the C API are on the inside.

struct farfault_memory {
  farfault::GuestMemory memory;
};

struct farfault_owned_region {
  farfault::OwnedRegion owned;
};

struct farfault_predictor {
  std::unique_ptr<farfault::Predictor> predictor;
};

struct farfault_histogram {
  farfault::LatencyHistogram histogram;
};

struct farfault_description {
  std::vector<farfault::RemoteRegion> regions;
};

struct farfault_dirty_sink {
  const farfault::GuestMemory& memory;
  std::vector<farfault::PageRun>& written;
};

struct farfault_session {
  farfault::PagingSession* session = nullptr;
};

struct farfault_source {
  farfault_session base;
  farfault::GuestMemory memory;
  farfault::CallerData predictor_data;  // Outlives the session, whose predictor uses it.
  std::unique_ptr<farfault::SourceSession> session;
};

struct farfault_destination {
  farfault_session base;
  std::unique_ptr<farfault::DestinationSession> session;
};

#endif  // FARFAULT_LIB_C_API_HANDLES_H_
