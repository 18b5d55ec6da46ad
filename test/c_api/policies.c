#include "test/c_api/cases.h"
#include "test/c_api/check.h"

// Sessions that cannot begin, predictors and histograms: nothing here waits for a peer.

static void Ended(void* user_data) { ++*(int*)user_data; }
static void IgnoreFault(void* user_data, uint64_t page, int64_t when_ns) {
  (void)user_data;
  (void)page;
  (void)when_ns;
}
static size_t NoOpinion(void* user_data, struct farfault_page_run* runs, size_t capacity) {
  (void)user_data;
  (void)runs;
  (void)capacity;
  return 0;
}

int CaseRefusedSessions(void) {
  int failures = 0;
  int ended = 0;
  struct farfault_owned_region* owned = NULL;
  struct farfault_region region = {.struct_size = sizeof region};
  struct farfault_memory* memory = NULL;
  CHECK_OK(farfault_owned_region_create_shared("ram", 1 << 20, NULL, &owned));
  CHECK_OK(farfault_owned_region_get(owned, &region));
  CHECK_OK(farfault_memory_create(&region, 1, &memory));

  struct farfault_session_options session;
  farfault_session_options_init(&session, sizeof session);
  struct farfault_source_options options;
  farfault_source_options_init(&options, sizeof options);
  struct farfault_source* source = NULL;
  struct farfault_destination* destination = NULL;
  CHECK_FAILS(farfault_source_create(memory, &session, NULL, &source), FARFAULT_INVALID_ARGUMENT, "connect and listen");
  CHECK_FAILS(farfault_source_create(memory, NULL, NULL, &source), FARFAULT_INVALID_ARGUMENT, "session is NULL");
  CHECK_FAILS(farfault_source_create(NULL, &session, NULL, &source), FARFAULT_INVALID_ARGUMENT, "memory is NULL");
  session.listen = "tcp://127.0.0.1:0";
  CHECK_FAILS(farfault_source_create(memory, &session, NULL, NULL), FARFAULT_INVALID_ARGUMENT, "created is NULL");
  session.pre_shared_key_size = 5;
  CHECK_FAILS(farfault_destination_create(memory, &session, NULL, &destination), FARFAULT_INVALID_ARGUMENT, "key");
  session.pre_shared_key_size = 0;
  session.push_channels = 9;
  CHECK_FAILS(farfault_destination_create(memory, &session, NULL, &destination), FARFAULT_INVALID_ARGUMENT, "is 9");
  session.push_channels = 1;
  options.predictor = "crystal ball";
  CHECK_FAILS(farfault_source_create(memory, &session, &options, &source), FARFAULT_INVALID_ARGUMENT, "crystal ball");

  struct farfault_predictor_callbacks callbacks = {
      .struct_size = sizeof callbacks, .user_data = &ended, .on_fault = IgnoreFault, .destroy = Ended};
  options.custom_predictor = &callbacks;
  CHECK_FAILS(farfault_source_create(memory, &session, &options, &source), FARFAULT_INVALID_ARGUMENT, "not both");
  options.predictor = NULL;
  CHECK_FAILS(farfault_source_create(memory, &session, &options, &source), FARFAULT_INVALID_ARGUMENT, "next");
  callbacks.next = NoOpinion;
  session.peer_timeout_ns = 20000000;
  CHECK(farfault_source_create(memory, &session, &options, &source) == FARFAULT_DEADLINE_EXCEEDED);
  // The data of a session that has not come to be is still its owner's.
  CHECK(ended == 0);
  struct farfault_description* description = NULL;
  CHECK(farfault_describe_source(&session, &description) == FARFAULT_INVALID_ARGUMENT);
  CHECK(source == NULL && destination == NULL && description == NULL);
  farfault_source_destroy(NULL);
  farfault_destination_destroy(NULL);
  farfault_description_destroy(NULL);
  farfault_memory_destroy(memory);
  farfault_owned_region_destroy(owned);
  return failures;
}

int CasePredictors(void) {
  int failures = 0;
  CHECK(farfault_predictor_known_count() >= 3);
  int bubbling = 0;
  for (size_t i = 0; i < farfault_predictor_known_count(); ++i) {
    bubbling += strcmp(farfault_predictor_known_name(i), "bubbling") == 0;
    CHECK(strlen(farfault_predictor_known_summary(i)) > 0);
  }
  CHECK(bubbling == 1);
  CHECK(farfault_predictor_known_name(farfault_predictor_known_count()) == NULL);
  CHECK(farfault_predictor_known_summary(SIZE_MAX) == NULL);

  // As a policy of one's own would ask one of farfault's.
  struct farfault_predictor* predictor = NULL;
  CHECK_OK(farfault_predictor_create("sequential", &predictor));
  const struct farfault_page_run layout = {0, 1000};
  const struct farfault_page_heat heat = {7, 3, 0};
  CHECK_OK(farfault_predictor_on_layout(predictor, &layout, 1));
  CHECK_OK(farfault_predictor_on_history(predictor, &heat, 1));
  CHECK_FAILS(farfault_predictor_on_layout(predictor, NULL, 1), FARFAULT_INVALID_ARGUMENT, "regions is NULL");
  CHECK_FAILS(farfault_predictor_on_history(predictor, NULL, 1), FARFAULT_INVALID_ARGUMENT, "hottest_first is NULL");
  struct farfault_page_run runs[100];
  CHECK(farfault_predictor_next(predictor, runs, 100) == 0);
  farfault_predictor_on_fault(predictor, 500, 1);
  CHECK(farfault_predictor_next(predictor, runs, 0) == 0);
  CHECK(farfault_predictor_next(predictor, runs, 100) >= 1);
  CHECK(runs[0].first == 500 || runs[0].first == 501);
  farfault_predictor_destroy(predictor);
  farfault_predictor_destroy(NULL);
  CHECK_FAILS(farfault_predictor_create(NULL, &predictor), FARFAULT_INVALID_ARGUMENT, "specification is NULL");
  return failures;
}

int CaseHistograms(void) {
  int failures = 0;
  struct farfault_histogram* one = NULL;
  struct farfault_histogram* two = NULL;
  CHECK_OK(farfault_histogram_create(&one));
  CHECK_OK(farfault_histogram_create(&two));
  CHECK(farfault_histogram_count(one) == 0 && farfault_histogram_min(one) == 0);
  for (int i = 1; i <= 100; ++i) farfault_histogram_record(i % 2 == 0 ? one : two, i);
  farfault_histogram_merge(one, two);
  CHECK(farfault_histogram_count(one) == 100 && farfault_histogram_sum(one) == 5050);
  CHECK(farfault_histogram_min(one) == 1 && farfault_histogram_max(one) == 100);
  CHECK(farfault_histogram_quantile(one, 0.5) >= 50 && farfault_histogram_quantile(one, 0.5) <= 52);
  farfault_histogram_destroy(one);
  farfault_histogram_destroy(two);
  farfault_histogram_destroy(NULL);
  CHECK_FAILS(farfault_histogram_create(NULL), FARFAULT_INVALID_ARGUMENT, "histogram is NULL");
  return failures;
}
