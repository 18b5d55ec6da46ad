// Moves 64 MiB of memory from a source to a destination in one process, over TCP on the loopback interface, with
// farfault's C API. In real life the two halves below run in two processes or on two hosts, and what "runs" in the
// memory is a guest.
#define _POSIX_C_SOURCE 200809L  // For pthread_barrier_t, with -std=c11.
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farfault/c.h"

enum { kPages = (64 << 20) / FARFAULT_SMALL_PAGE };

static void OrDie(enum farfault_status status) {
  if (status == FARFAULT_OK) return;
  fprintf(stderr, "hello_paging: %s: %s\n", farfault_status_name(status), farfault_error_text());
  exit(1);
}

struct side {
  struct farfault_owned_region* owned;
  struct farfault_region region;
  struct farfault_memory* memory;
};

static struct side MakeSide(void) {
  struct side side = {.region = {.struct_size = sizeof side.region}};
  OrDie(farfault_owned_region_create_shared("guest", (uint64_t)kPages * FARFAULT_SMALL_PAGE, NULL, &side.owned));
  OrDie(farfault_owned_region_get(side.owned, &side.region));
  OrDie(farfault_memory_create(&side.region, 1, &side.memory));
  return side;
}

static void EndSide(struct side* side) {
  farfault_memory_destroy(side->memory);
  farfault_owned_region_destroy(side->owned);
}

static uint64_t* WordOf(const struct side* side, uint64_t page) {
  return (uint64_t*)((char*)side->region.base + page * FARFAULT_SMALL_PAGE);
}

static struct farfault_session_options SessionOptions(void) {
  struct farfault_session_options session;
  farfault_session_options_init(&session, sizeof session);
  session.pre_shared_key = "change me";
  session.pre_shared_key_size = strlen("change me");
  return session;
}

// A policy of one's own, which does no more than ask one of farfault's.
static void OnFault(void* user_data, uint64_t page, int64_t when_ns) {
  farfault_predictor_on_fault(user_data, page, when_ns);
}
static size_t Next(void* user_data, struct farfault_page_run* runs, size_t capacity) {
  return farfault_predictor_next(user_data, runs, capacity);
}
static void Destroy(void* user_data) { farfault_predictor_destroy(user_data); }

// What the hypervisor knows of the guest's writes: one bit per page, as KVM_GET_DIRTY_LOG hands it out.
static uint64_t written[kPages / 64];
static enum farfault_status CollectWritten(void* user_data, struct farfault_dirty_sink* sink) {
  const struct farfault_dirty_bitmap bitmap = {.region = 0, .offset = 0, .pages = kPages, .words = user_data};
  const enum farfault_status added = farfault_dirty_sink_add_bitmap(sink, &bitmap);
  memset(user_data, 0, sizeof written);
  return added;
}

static void RunSource(const char* address) {
  struct side side = MakeSide();
  for (uint64_t page = 0; page < kPages; ++page) *WordOf(&side, page) = page + 1;
  struct farfault_predictor* sequential = NULL;
  OrDie(farfault_predictor_create("sequential", &sequential));
  const struct farfault_predictor_callbacks policy = {sizeof policy, sequential, NULL, NULL, OnFault, Next, Destroy};
  struct farfault_session_options session = SessionOptions();
  session.connect = address;
  struct farfault_source_options options;
  farfault_source_options_init(&options, sizeof options);
  options.custom_predictor = &policy;
  options.track_dirty = false;
  options.dirty_log.collect = CollectWritten;
  options.dirty_log.user_data = written;
  struct farfault_source* source = NULL;
  OrDie(farfault_source_create(side.memory, &session, &options, &source));

  struct farfault_prepage_budget budget;  // Pre-paging: while the guest still runs here, what matters most goes ahead.
  farfault_prepage_budget_init(&budget, sizeof budget);
  budget.bytes = 8 << 20;
  budget.critical = &(const struct farfault_page_run){0, 256};
  budget.critical_count = 1;
  struct farfault_prepage_report report = {.struct_size = sizeof report};
  OrDie(farfault_source_prepage(source, &budget, &report));
  *WordOf(&side, 7) = 777;  // A page that was sent already: it counts as stale now and is not used over there.
  written[0] |= UINT64_C(1) << 7;
  // From here on the guest is stopped. Demand paging begins when this returns, the push soon after.
  OrDie(farfault_source_switch_over(source));
  OrDie(farfault_source_wait_until_drained(source, FARFAULT_FOREVER));
  printf("source: pre-paged %" PRIu64 " pages in %" PRIu64 " rounds\n", report.pages_sent, report.rounds);
  farfault_source_destroy(source);
  EndSide(&side);
}

static char listening[64];
static pthread_barrier_t known;
static void OnEvent(void* user_data, const struct farfault_event* event) {
  (void)user_data;
  if (event->kind != FARFAULT_EVENT_LISTENING) return;
  snprintf(listening, sizeof listening, "%s", event->text);
  pthread_barrier_wait(&known);
}

static void* RunDestination(void* nothing) {
  struct side side = MakeSide();
  struct farfault_session_options session = SessionOptions();
  session.listen = "tcp://127.0.0.1:0";
  session.listener.on_event = OnEvent;
  struct farfault_destination* destination = NULL;
  OrDie(farfault_destination_create(side.memory, &session, NULL, &destination));
  OrDie(farfault_destination_prepare(destination));                     // The guest still runs at the source.
  OrDie(farfault_destination_activate(destination, FARFAULT_FOREVER));  // Now it may run here.
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kPages; ++i) {
    const uint64_t page = i * 7919 % kPages;  // Some order that nobody guesses. A touch of a missing page fetches it.
    wrong += *WordOf(&side, page) != (page == 7 ? 777 : page + 1);
  }
  OrDie(farfault_destination_wait_until_resident(destination, FARFAULT_FOREVER));
  struct farfault_stats stats = {.struct_size = sizeof stats};
  struct farfault_histogram* stalls = NULL;
  OrDie(farfault_histogram_create(&stalls));
  OrDie(farfault_session_stats(farfault_destination_session(destination), &stats, stalls, NULL));
  printf("destination: %" PRIu64 " network faults, %" PRIu64 " local; p99 stall %.1f us; %" PRIu64 " pushed, %" PRIu64
         " wrong\n",
         stats.faults_network, stats.faults_local, (double)farfault_histogram_quantile(stalls, 0.99) / 1e3,
         stats.pages_pushed, wrong);
  if (wrong > 0) exit(1);
  farfault_histogram_destroy(stalls);
  farfault_destination_destroy(destination);
  EndSide(&side);
  return nothing;
}

int main(void) {
  pthread_t destination;
  pthread_barrier_init(&known, NULL, 2);
  if (pthread_create(&destination, NULL, RunDestination, NULL) != 0) return 1;
  pthread_barrier_wait(&known);
  RunSource(listening);
  return pthread_join(destination, NULL);
}
