#include <pthread.h>

#include "test/c_api/cases.h"
#include "test/c_api/check.h"
#include "test/c_api/ends.h"

// A source that listens and is asked what it has, and sessions that are ended.

static void* RunListeningSource(void* user_data) {
  struct ends* ends = user_data;
  struct farfault_session_options session;
  ListenTo(&ends->at_source, &session);
  session.listen = "tcp://127.0.0.1:0";
  EndThread(ends, farfault_source_create(ends->at_source.memory, &session, NULL, &ends->source));
  return NULL;
}

int CaseDescribedSource(void) {
  int failures = 0;
  static struct ends ends;
  failures += MakeEnds(&ends, 512);
  CHECK(pthread_create(&ends.thread, NULL, RunListeningSource, &ends) == 0);
  struct farfault_session_options session;
  ListenTo(&ends.at_destination, &session);
  session.connect = AwaitAddress(&ends.at_source);
  struct farfault_description* description = NULL;
  CHECK_OK(farfault_describe_source(&session, &description));
  if (failures > 0) return failures;
  CHECK(farfault_description_region_count(description) == 1);
  struct farfault_region region = {.struct_size = sizeof region};
  CHECK_OK(farfault_description_region(description, 0, &region));
  CHECK(strcmp(region.name, "ram") == 0 && region.length == 512 * FARFAULT_SMALL_PAGE);
  CHECK(region.page_size == FARFAULT_SMALL_PAGE && region.base == NULL && region.fd == -1);
  CHECK_FAILS(farfault_description_region(description, 1, &region), FARFAULT_OUT_OF_RANGE, "no region 1");
  farfault_description_destroy(description);

  CHECK_OK(farfault_destination_create(ends.at_destination.memory, &session, NULL, &ends.destination));
  if (failures > 0) return failures;
  CHECK_OK(farfault_destination_prepare(ends.destination));
  failures += JoinThread(&ends, FARFAULT_OK);
  CHECK(farfault_session_state(farfault_source_session(ends.source)) == FARFAULT_STATE_PREPARED);
  failures += DestroyEnds(&ends);
  return failures;
}

int CaseCancelled(void) {
  int failures = 0;
  static struct ends ends;
  failures += MakeEnds(&ends, 512);
  failures += Meet(&ends, NULL, NULL);
  if (failures > 0) return failures;
  struct farfault_session* source = farfault_source_session(ends.source);
  CHECK_OK(farfault_session_cancel(source));
  CHECK_OK(farfault_session_cancel(source));
  CHECK(farfault_session_state(source) == FARFAULT_STATE_CLOSED);
  CHECK_OK(farfault_session_status(source));
  CHECK(farfault_source_switch_over(ends.source) == FARFAULT_CANCELLED);
  // The destination, which waits to be activated, hears of it.
  failures += JoinThread(&ends, FARFAULT_CANCELLED);
  struct farfault_session* destination = farfault_destination_session(ends.destination);
  CHECK(farfault_session_state(destination) == FARFAULT_STATE_FAILED);
  CHECK_FAILS(farfault_session_status(destination), FARFAULT_CANCELLED, "cancelled");
  failures += DestroyEnds(&ends);
  return failures;
}
