#include "test/c_api/ends.h"

#include "test/c_api/check.h"

static const char kKey[] = {'k', 0, 'y'};

static int MakeEnd(struct end* end, uint64_t pages) {
  int failures = 0;
  memset(end, 0, sizeof *end);
  pthread_mutex_init(&end->mutex, NULL);
  pthread_cond_init(&end->listens, NULL);
  end->region.struct_size = sizeof end->region;
  CHECK_OK(farfault_owned_region_create_shared("ram", pages * FARFAULT_SMALL_PAGE, NULL, &end->owned));
  CHECK_OK(farfault_owned_region_get(end->owned, &end->region));
  CHECK_OK(farfault_memory_create(&end->region, 1, &end->memory));
  return failures;
}

int MakeEnds(struct ends* ends, uint64_t pages) {
  memset(ends, 0, sizeof *ends);
  const int failures = MakeEnd(&ends->at_source, pages) + MakeEnd(&ends->at_destination, pages);
  for (uint64_t page = 0; page < pages; ++page) *WordOf(&ends->at_source, page) = page + 1;
  return failures;
}

static void OnEvent(void* user_data, const struct farfault_event* event) {
  struct end* end = user_data;
  pthread_mutex_lock(&end->mutex);
  ++end->seen[event->kind];
  if (event->kind == FARFAULT_EVENT_LISTENING) {
    snprintf(end->address, sizeof end->address, "%s", event->text);
    pthread_cond_signal(&end->listens);
  }
  pthread_mutex_unlock(&end->mutex);
}

void ListenTo(struct end* end, struct farfault_session_options* session) {
  farfault_session_options_init(session, sizeof *session);
  session->peer_timeout_ns = session->handshake_timeout_ns = session->prepare_timeout_ns = FARFAULT_FOREVER;
  session->pre_shared_key = kKey;
  session->pre_shared_key_size = sizeof kKey;
  session->listener.on_event = OnEvent;
  session->listener.user_data = end;
}

const char* AwaitAddress(struct end* end) {
  pthread_mutex_lock(&end->mutex);
  while (end->seen[FARFAULT_EVENT_LISTENING] == 0) pthread_cond_wait(&end->listens, &end->mutex);
  pthread_mutex_unlock(&end->mutex);
  return end->address;
}

void EndThread(struct ends* ends, enum farfault_status status) {
  ends->ended = status;
  if (status != FARFAULT_OK) snprintf(ends->why, sizeof ends->why, "%s", farfault_error_text());
}

struct destination_run {
  struct ends* ends;
  const struct farfault_destination_options* options;
};

static void* RunDestination(void* user_data) {
  const struct destination_run* run = user_data;
  struct ends* ends = run->ends;
  struct farfault_session_options session;
  ListenTo(&ends->at_destination, &session);
  session.listen = "tcp://127.0.0.1:0";
  enum farfault_status status =
      farfault_destination_create(ends->at_destination.memory, &session, run->options, &ends->destination);
  if (status == FARFAULT_OK) status = farfault_destination_prepare(ends->destination);
  if (status == FARFAULT_OK) status = farfault_destination_activate(ends->destination, FARFAULT_FOREVER);
  EndThread(ends, status);
  return NULL;
}

int Meet(struct ends* ends, const struct farfault_source_options* source,
         const struct farfault_destination_options* destination) {
  int failures = 0;
  static struct destination_run run;
  run.ends = ends;
  run.options = destination;
  CHECK(pthread_create(&ends->thread, NULL, RunDestination, &run) == 0);
  struct farfault_session_options session;
  ListenTo(&ends->at_source, &session);
  session.connect = AwaitAddress(&ends->at_destination);
  CHECK_OK(farfault_source_create(ends->at_source.memory, &session, source, &ends->source));
  return failures;
}

int JoinThread(struct ends* ends, enum farfault_status status) {
  int failures = 0;
  CHECK(pthread_join(ends->thread, NULL) == 0);
  CHECK(ends->ended == status);
  if (failures > 0) fprintf(stderr, "  the thread said: %s\n", ends->why);
  return failures;
}

static void DestroyEnd(struct end* end) {
  farfault_memory_destroy(end->memory);
  farfault_owned_region_destroy(end->owned);
  pthread_mutex_destroy(&end->mutex);
  pthread_cond_destroy(&end->listens);
}

int DestroyEnds(struct ends* ends) {
  farfault_source_destroy(ends->source);
  farfault_destination_destroy(ends->destination);
  DestroyEnd(&ends->at_source);
  DestroyEnd(&ends->at_destination);
  return 0;
}

uint64_t* WordOf(struct end* end, uint64_t page) {
  return (uint64_t*)((char*)end->region.base + page * FARFAULT_SMALL_PAGE);
}

uint64_t FirstDifference(struct ends* ends) {
  const uint64_t pages = ends->at_source.region.length / FARFAULT_SMALL_PAGE;
  for (uint64_t page = 0; page < pages; ++page) {
    if (*WordOf(&ends->at_source, page) != *WordOf(&ends->at_destination, page)) return page;
  }
  return pages;
}
