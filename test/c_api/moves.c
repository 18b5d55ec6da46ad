#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "test/c_api/cases.h"
#include "test/c_api/check.h"
#include "test/c_api/ends.h"

// Whole sessions between two mappings of this process.

enum { kPages = 2048 };

/// A policy that goes downwards from the end, by asking nobody.
struct downwards {
  uint64_t next;  // One behind the run that comes next.
  uint64_t pages;
  int layouts, histories, faults, calls, ended;
};

static void OnLayout(void* user_data, const struct farfault_page_run* regions, size_t count) {
  struct downwards* policy = user_data;
  ++policy->layouts;
  policy->next = policy->pages = regions[count - 1].first + regions[count - 1].count;
}
static void OnHistory(void* user_data, const struct farfault_page_heat* hottest_first, size_t count) {
  struct downwards* policy = user_data;
  policy->histories += count > 0 && hottest_first[0].rounds_touched > 0;
}
static void OnFault(void* user_data, uint64_t page, int64_t when_ns) {
  struct downwards* policy = user_data;
  policy->faults += page < policy->pages && when_ns > 0;
}
static size_t Next(void* user_data, struct farfault_page_run* runs, size_t capacity) {
  struct downwards* policy = user_data;
  size_t count = 0;
  ++policy->calls;
  for (; count < capacity && policy->next >= 16; ++count) {
    policy->next -= 16;
    runs[count].first = policy->next;
    runs[count].count = 16;
  }
  return count;
}
static void Destroy(void* user_data) { ++((struct downwards*)user_data)->ended; }

/// A dirty log like KVM's: a bitmap that is read and cleared.
struct log {
  uint64_t words[kPages / 64];
  int reads;
  enum farfault_status answer;
};

static enum farfault_status Collect(void* user_data, struct farfault_dirty_sink* written) {
  struct log* log = user_data;
  ++log->reads;
  if (log->answer != FARFAULT_OK) return log->answer;
  const struct farfault_page_run nowhere = {kPages, 1};
  if (farfault_dirty_sink_add_runs(written, &nowhere, 1) != FARFAULT_INVALID_ARGUMENT) return FARFAULT_INTERNAL;
  const struct farfault_dirty_bitmap bitmap = {.region = 0, .offset = 0, .pages = kPages, .words = log->words};
  const enum farfault_status added = farfault_dirty_sink_add_bitmap(written, &bitmap);
  memset(log->words, 0, sizeof log->words);
  return added;
}

static void WriteLogged(struct end* end, struct log* log, uint64_t page) {
  *WordOf(end, page) += 1000000;
  log->words[page / 64] |= UINT64_C(1) << (page % 64);
}

int CaseEverythingMoves(void) {
  int failures = 0;
  static struct ends ends;
  failures += MakeEnds(&ends, kPages);
  struct downwards policy = {0};
  struct log log = {.answer = FARFAULT_OK};
  const struct farfault_predictor_callbacks callbacks = {.struct_size = sizeof callbacks,
                                                         .user_data = &policy,
                                                         .on_layout = OnLayout,
                                                         .on_history = OnHistory,
                                                         .on_fault = OnFault,
                                                         .next = Next,
                                                         .destroy = Destroy};
  struct farfault_source_options options;
  farfault_source_options_init(&options, sizeof options);
  options.custom_predictor = &callbacks;
  options.dirty_log.collect = Collect;
  options.dirty_log.user_data = &log;
  options.track_dirty = false;
  failures += Meet(&ends, &options, NULL);
  if (failures > 0) return failures;
  CHECK(farfault_session_state(farfault_source_session(ends.source)) == FARFAULT_STATE_PREPARED);
  CHECK(policy.layouts == 1 && policy.pages == kPages);

  const struct farfault_page_run critical[] = {{100, 50}, {1000, 50}};
  struct farfault_prepage_budget budget;
  struct farfault_prepage_report report = {.struct_size = sizeof report};
  farfault_prepage_budget_init(&budget, sizeof budget);
  CHECK_FAILS(farfault_source_prepage(ends.source, &budget, &report), FARFAULT_INVALID_ARGUMENT, "no limit");
  budget.bytes = UINT64_C(1) << 30;
  budget.critical = critical;
  budget.critical_count = 2;
  budget.critical_only = true;
  CHECK_OK(farfault_source_prepage(ends.source, &budget, &report));
  CHECK(report.pages_sent == 100 && report.pages_fresh == 100 && report.bytes_sent == 100 * FARFAULT_SMALL_PAGE);
  CHECK(report.rounds >= 1 && report.elapsed_ns > 0 && log.reads >= 1);
  WriteLogged(&ends.at_source, &log, 110);  // Stale now.
  WriteLogged(&ends.at_source, &log, 500);  // Never sent.
  CHECK_OK(farfault_source_switch_over(ends.source));
  failures += JoinThread(&ends, FARFAULT_OK);

  CHECK(FirstDifference(&ends) == kPages);
  CHECK_OK(farfault_destination_wait_until_resident(ends.destination, FARFAULT_FOREVER));
  CHECK_OK(farfault_source_wait_until_drained(ends.source, FARFAULT_FOREVER));
  struct farfault_stats stats = {.struct_size = sizeof stats};
  struct farfault_histogram* network = NULL;
  struct farfault_histogram* local = NULL;
  CHECK_OK(farfault_histogram_create(&network));
  CHECK_OK(farfault_histogram_create(&local));
  CHECK_OK(farfault_session_stats(farfault_destination_session(ends.destination), &stats, network, local));
  CHECK(stats.total_pages == kPages && stats.resident_pages == kPages && stats.pages_stale == 1);
  CHECK(stats.pages_prepaged >= 99 && stats.pages_prepaged + stats.pages_pushed + stats.pages_demanded >= kPages);
  CHECK(farfault_histogram_count(network) == stats.faults_network);
  CHECK(farfault_histogram_count(local) == stats.faults_local);
  CHECK_OK(farfault_session_stats(farfault_source_session(ends.source), &stats, NULL, NULL));
  CHECK(stats.pages_sent >= 100 && stats.switchover_ns > 0 && stats.metadata_bytes_per_page > 0);
  stats.struct_size = 16;
  CHECK_FAILS(farfault_session_stats(farfault_source_session(ends.source), &stats, NULL, NULL),
              FARFAULT_INVALID_ARGUMENT, "struct_size is 16");
  farfault_histogram_destroy(network);
  farfault_histogram_destroy(local);
  CHECK(farfault_session_state(farfault_destination_session(ends.destination)) == FARFAULT_STATE_RESIDENT);
  CHECK_OK(farfault_session_status(farfault_destination_session(ends.destination)));
  CHECK(ends.at_destination.seen[FARFAULT_EVENT_LISTENING] == 1);
  CHECK(ends.at_destination.seen[FARFAULT_EVENT_RESIDENT] == 1);
  CHECK(ends.at_source.seen[FARFAULT_EVENT_CONNECTED] == 1 && ends.at_source.seen[FARFAULT_EVENT_DRAINED] == 1);
  CHECK(policy.calls > 0 && policy.ended == 0);
  failures += DestroyEnds(&ends);
  CHECK(policy.ended == 1);
  return failures;
}

int CaseReportedDirty(void) {
  int failures = 0;
  static struct ends ends;
  failures += MakeEnds(&ends, kPages);
  struct farfault_source_options options;
  farfault_source_options_init(&options, sizeof options);
  options.track_dirty = false;
  options.track_history = false;
  options.push = false;
  failures += Meet(&ends, &options, NULL);
  if (failures > 0) return failures;
  struct farfault_prepage_budget budget;
  farfault_prepage_budget_init(&budget, sizeof budget);
  budget.bytes = kPages * FARFAULT_SMALL_PAGE;
  CHECK_OK(farfault_source_prepage(ends.source, &budget, NULL));
  const struct farfault_page_run run = {7, 2};
  const uint64_t word = 1;
  const struct farfault_dirty_bitmap bitmap = {
      .region = 0, .offset = 20 * FARFAULT_SMALL_PAGE, .pages = 64, .words = &word};
  *WordOf(&ends.at_source, 7) = *WordOf(&ends.at_source, 8) = *WordOf(&ends.at_source, 20) = 1;
  CHECK_OK(farfault_source_report_dirty(ends.source, &run, 1));
  CHECK_OK(farfault_source_report_dirty_bitmap(ends.source, &bitmap));
  CHECK_FAILS(farfault_source_report_dirty(ends.source, NULL, 1), FARFAULT_INVALID_ARGUMENT, "runs is NULL");
  CHECK_FAILS(farfault_source_report_dirty_bitmap(ends.source, NULL), FARFAULT_INVALID_ARGUMENT, "bitmap is NULL");
  const struct farfault_dirty_bitmap nowhere = {.region = 1, .pages = 1, .words = &word};
  CHECK_FAILS(farfault_source_report_dirty_bitmap(ends.source, &nowhere), FARFAULT_INVALID_ARGUMENT, "region 1");
  CHECK_OK(farfault_source_switch_over(ends.source));
  failures += JoinThread(&ends, FARFAULT_OK);
  CHECK_FAILS(farfault_destination_wait_until_resident(ends.destination, 1000), FARFAULT_DEADLINE_EXCEEDED,
              "FetchRest");
  CHECK_OK(farfault_destination_fetch_rest(ends.destination));
  CHECK_OK(farfault_destination_wait_until_resident(ends.destination, INT64_C(60000000000)));
  CHECK(FirstDifference(&ends) == kPages);
  struct farfault_stats stats = {.struct_size = sizeof stats};
  CHECK_OK(farfault_session_stats(farfault_destination_session(ends.destination), &stats, NULL, NULL));
  CHECK(stats.pages_stale == 3 && stats.pages_pushed == 0);
  failures += DestroyEnds(&ends);
  return failures;
}

int CaseFailedDirtyLog(void) {
  int failures = 0;
  static struct ends ends;
  failures += MakeEnds(&ends, kPages);
  struct log log = {.answer = FARFAULT_UNAVAILABLE};
  struct farfault_source_options options;
  farfault_source_options_init(&options, sizeof options);
  options.track_dirty = options.track_history = false;
  options.dirty_log.collect = Collect;
  options.dirty_log.user_data = &log;
  failures += Meet(&ends, &options, NULL);
  if (failures > 0) return failures;
  CHECK_FAILS(farfault_source_switch_over(ends.source), FARFAULT_UNAVAILABLE, "dirty log");
  log.answer = (enum farfault_status)1234;
  CHECK_FAILS(farfault_source_switch_over(ends.source), FARFAULT_UNKNOWN, "1234");
  log.answer = FARFAULT_OK;
  CHECK_OK(farfault_source_switch_over(ends.source));
  failures += JoinThread(&ends, FARFAULT_OK);
  CHECK_OK(farfault_destination_wait_until_resident(ends.destination, FARFAULT_FOREVER));
  CHECK(FirstDifference(&ends) == kPages);
  failures += DestroyEnds(&ends);
  return failures;
}
