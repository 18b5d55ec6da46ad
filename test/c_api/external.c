#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test/c_api/cases.h"
#include "test/c_api/check.h"
#include "test/c_api/ends.h"
#include "test/c_api/guest.h"

// Guests that live in another process than the session does.

enum { kPages = 2048 };

static const uint64_t kOfFiles = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
// UFFD_FEATURE_WP_UNPOPULATED and UFFD_FEATURE_WP_ASYNC are younger than some headers.
static const uint64_t kOfTrackedFiles = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | (1u << 13) | (1u << 15);

int CaseExternalMemory(void) {
  int failures = 0;
  const struct farfault_guest_mapping mappings[] = {{1 << 20, 1 << 20}, {1 << 24, 2 << 20}};
  struct farfault_external_region region;
  struct farfault_external_guest guest;
  struct farfault_memory* memory = NULL;
  farfault_external_region_init(&region, sizeof region);
  farfault_external_guest_init(&guest, sizeof guest);
  CHECK(region.page_size == FARFAULT_SMALL_PAGE && region.fd == -1 && guest.userfaultfd == -1);
  region.name = "ram";
  region.mappings = mappings;
  region.mapping_count = 2;
  CHECK_FAILS(farfault_memory_create_external(&region, 1, &guest, &memory), FARFAULT_INVALID_ARGUMENT,
              "-1 is not a userfaultfd");
  guest.userfaultfd = 0;
  guest.features = UFFD_FEATURE_EVENT_REMOVE;
  guest.running = true;
  guest.pid = getpid();
  CHECK_OK(farfault_memory_create_external(&region, 1, &guest, &memory));
  CHECK(farfault_memory_total_pages(memory) == 768 && farfault_memory_mapping_count(memory, 0) == 2);
  CHECK(farfault_memory_mapping_count(memory, 1) == 0);
  struct farfault_guest_mapping mapping;
  CHECK_OK(farfault_memory_mapping(memory, 0, 1, &mapping));
  CHECK(mapping.address == 1 << 24 && mapping.length == 2 << 20);
  CHECK_FAILS(farfault_memory_mapping(memory, 0, 2, &mapping), FARFAULT_OUT_OF_RANGE, "no mapping 2");
  CHECK(farfault_memory_mapping(memory, 1, 0, &mapping) == FARFAULT_OUT_OF_RANGE);
  uint64_t page = 0;
  CHECK_OK(farfault_memory_page_at(memory, (const void*)(uintptr_t)((1 << 24) + 5000), &page));
  CHECK(page == 257);
  struct farfault_external_guest read = {.struct_size = sizeof read};
  CHECK_OK(farfault_memory_external_guest(memory, &read));
  CHECK(read.userfaultfd > 0 && read.features == UFFD_FEATURE_EVENT_REMOVE && read.pid == getpid());
  CHECK(read.running && !read.registered && !read.taken_over);
  farfault_memory_destroy(memory);
  memory = NULL;

  region.mappings = NULL;
  CHECK_FAILS(farfault_memory_create_external(&region, 1, &guest, &memory), FARFAULT_INVALID_ARGUMENT,
              "mappings is NULL");
  region.mapping_count = 0;
  CHECK_FAILS(farfault_memory_create_external(&region, 1, &guest, &memory), FARFAULT_INVALID_ARGUMENT,
              "mapped nowhere");
  CHECK_FAILS(farfault_memory_create_external(&region, 1, NULL, &memory), FARFAULT_INVALID_ARGUMENT, "guest is NULL");
  CHECK_FAILS(farfault_memory_create_external(&region, 1, &guest, NULL), FARFAULT_INVALID_ARGUMENT, "memory is NULL");
  guest.reserved[4] = 1;
  CHECK_FAILS(farfault_memory_create_external(&region, 1, &guest, &memory), FARFAULT_INVALID_ARGUMENT, "reserved");
  CHECK(memory == NULL);

  struct farfault_region here;
  farfault_region_init(&here, sizeof here);
  here.name = "ram";
  here.base = (void*)(uintptr_t)(1 << 20);
  here.length = 1 << 20;
  CHECK_OK(farfault_memory_create(&here, 1, &memory));
  CHECK_FAILS(farfault_memory_external_guest(memory, &read), FARFAULT_NOT_FOUND, "this process");
  CHECK(farfault_memory_mapping_count(memory, 0) == 1);
  CHECK_OK(farfault_memory_mapping(memory, 0, 0, &mapping));
  CHECK(mapping.address == 1 << 20 && mapping.length == 1 << 20);
  farfault_memory_destroy(memory);
  return failures;
}

/// The destination's memory becomes that of a guest in another process.
static int GiveToGuest(struct ends* ends, const struct guest* guest, const struct farfault_external_guest* process) {
  farfault_memory_destroy(ends->at_destination.memory);
  ends->at_destination.memory = NULL;
  return MakeExternalMemory(guest, process, &ends->at_destination.memory);
}

/// Nothing is pushed: pages come when they are asked for.
static int MoveOnDemand(struct ends* ends, const struct farfault_destination_options* destination) {
  int failures = 0;
  struct farfault_source_options options;
  farfault_source_options_init(&options, sizeof options);
  options.push = options.track_dirty = options.track_history = false;
  failures += Meet(ends, &options, destination);
  if (failures > 0) return failures;
  CHECK_OK(farfault_source_switch_over(ends->source));
  return failures + JoinThread(ends, FARFAULT_OK);
}

static struct farfault_stats StatsOf(struct ends* ends) {
  struct farfault_stats stats = {.struct_size = sizeof stats};
  if (farfault_session_stats(farfault_destination_session(ends->destination), &stats, NULL, NULL) != FARFAULT_OK) {
    abort();
  }
  return stats;
}

static int AwaitEnd(struct ends* ends) {
  int failures = 0;
  CHECK_OK(farfault_destination_fetch_rest(ends->destination));
  CHECK_OK(farfault_destination_wait_until_resident(ends->destination, FARFAULT_FOREVER));
  CHECK_OK(farfault_source_wait_until_drained(ends->source, FARFAULT_FOREVER));
  return failures;
}

static int CheckFaultOrder(struct ends* ends) {
  int failures = 0;
  uint64_t pages[4] = {0, 0, 77, 77};
  size_t count = 0;
  CHECK_OK(farfault_destination_fault_order(ends->destination, NULL, 0, &count));
  CHECK(count == 3);
  CHECK_OK(farfault_destination_fault_order(ends->destination, pages, 2, &count));
  CHECK(count == 3 && pages[0] == 1700 && pages[1] == 3 && pages[2] == 77);
  CHECK_OK(farfault_destination_fault_order(ends->destination, pages, 4, &count));
  CHECK(count == 3 && pages[0] == 1700 && pages[1] == 3 && pages[2] == 42 && pages[3] == 77);
  CHECK_FAILS(farfault_destination_fault_order(ends->destination, NULL, 1, &count), FARFAULT_INVALID_ARGUMENT,
              "pages is NULL");
  CHECK_FAILS(farfault_destination_fault_order(ends->destination, pages, 4, NULL), FARFAULT_INVALID_ARGUMENT,
              "count is NULL");
  return failures;
}

/// Two runs of pages come unasked, and then the guest does not wait for them.
static int CheckFetch(struct ends* ends, const struct guest* guest) {
  int failures = 0;
  const struct farfault_page_run order[] = {{100, 10}, {1500, 5}};
  const struct farfault_page_run nowhere = {kPages - 1, 2};
  CHECK_FAILS(farfault_destination_fetch(ends->destination, NULL, 1), FARFAULT_INVALID_ARGUMENT, "order is NULL");
  CHECK(farfault_destination_fetch(ends->destination, &nowhere, 1) == FARFAULT_INVALID_ARGUMENT);
  CHECK_OK(farfault_destination_fetch(ends->destination, NULL, 0));
  const uint64_t waited = StatsOf(ends).faults_network;
  CHECK_OK(farfault_destination_fetch(ends->destination, order, 2));
  const struct timespec moment = {.tv_nsec = 1000000};
  while (StatsOf(ends).pages_fetched < 15) nanosleep(&moment, NULL);
  for (uint64_t page = 100; page < 110; ++page) CHECK(GuestReads(guest, page) == page + 1);
  for (uint64_t page = 1500; page < 1505; ++page) CHECK(GuestReads(guest, page) == page + 1);
  CHECK(StatsOf(ends).faults_network == waited && StatsOf(ends).pages_fetched == 15);
  return failures;
}

static int MoveToGuest(bool shared, uint64_t features, uint64_t register_modes) {
  int failures = 0;
  struct guest guest;
  static struct ends ends;
  failures += StartGuest(&guest, kPages, shared, features, register_modes);
  failures += MakeEnds(&ends, kPages);
  const struct farfault_external_guest process = ProcessOf(&guest);
  failures += GiveToGuest(&ends, &guest, &process);
  struct farfault_destination_options options;
  farfault_destination_options_init(&options, sizeof options);
  options.record_faults = true;
  failures += MoveOnDemand(&ends, &options);
  if (failures > 0) return failures;

  CHECK(GuestReads(&guest, 1700) == 1701);
  GuestWrites(&guest, 3, 333);
  CHECK(GuestReads(&guest, 42) == 43);
  failures += CheckFaultOrder(&ends);
  failures += CheckFetch(&ends, &guest);
  failures += AwaitEnd(&ends);
  failures += DestroyEnds(&ends);
  // Ordinary memory now.
  for (uint64_t page = 0; page < kPages; ++page) CHECK(GuestReads(&guest, page) == (page == 3 ? 333 : page + 1));
  EndGuest(&guest);
  return failures;
}

int CaseExternalGuest(void) {
  return MoveToGuest(true, kOfFiles, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR) +
         MoveToGuest(true, kOfFiles, 0) + MoveToGuest(false, UFFD_FEATURE_EVENT_REMOVE, UFFDIO_REGISTER_MODE_MISSING);
}

int CaseGuestTakenOver(void) {
  int failures = 0;
  struct guest guest;
  static struct ends first;
  static struct ends second;
  char state_file[64];
  snprintf(state_file, sizeof state_file, "/dev/shm/farfault-c-state-%d", (int)getpid());
  struct farfault_destination_options options;
  farfault_destination_options_init(&options, sizeof options);
  options.state_file = state_file;
  failures += StartGuest(&guest, kPages, true, kOfFiles, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR);
  failures += MakeEnds(&first, kPages) + MakeEnds(&second, kPages);
  struct farfault_external_guest process = ProcessOf(&guest);
  failures += GiveToGuest(&first, &guest, &process);
  failures += MoveOnDemand(&first, &options);
  if (failures > 0) return failures;
  GuestWrites(&guest, 7, 777);
  failures += DestroyEnds(&first);
  GuestBeginsToRead(&guest, 8);
  CHECK(GuestIsParked(&guest));

  process.taken_over = true;
  failures += GiveToGuest(&second, &guest, &process);
  failures += MoveOnDemand(&second, &options);
  if (failures > 0) return failures;
  CHECK(GuestHasRead(&guest) == 9);
  CHECK(GuestReads(&guest, 7) == 777);
  failures += AwaitEnd(&second);
  const struct farfault_stats stats = StatsOf(&second);
  CHECK(stats.resident_pages == kPages && stats.pages_demanded + stats.pages_fetched == kPages - 1);
  failures += DestroyEnds(&second);
  for (uint64_t page = 0; page < kPages; ++page) CHECK(GuestReads(&guest, page) == (page == 7 ? 777 : page + 1));
  EndGuest(&guest);
  CHECK(unlink(state_file) == 0);
  return failures;
}

int CaseExternalSource(void) {
  int failures = 0;
  struct guest guest;
  static struct ends ends;
  failures += StartGuest(&guest, kPages, true, kOfTrackedFiles, 0);
  failures += MakeEnds(&ends, kPages);
  // A source takes one mapping per region.
  const struct farfault_external_guest process = ProcessOf(&guest);
  struct farfault_external_region regions[kGuestParts];
  struct farfault_region parts[kGuestParts];
  const char* const names[kGuestParts] = {"low", "high"};
  for (size_t i = 0; i < kGuestParts; ++i) {
    farfault_external_region_init(&regions[i], sizeof regions[i]);
    regions[i].name = names[i];
    regions[i].mappings = &guest.mappings[i];
    regions[i].mapping_count = 1;
    regions[i].fd = guest.file;
    regions[i].file_offset = i * guest.mappings[i].length;
    parts[i] = ends.at_destination.region;
    parts[i].name = names[i];
    parts[i].base = (char*)parts[i].base + regions[i].file_offset;
    parts[i].length = guest.mappings[i].length;
    parts[i].file_offset = regions[i].file_offset;
  }
  farfault_memory_destroy(ends.at_source.memory);
  farfault_memory_destroy(ends.at_destination.memory);
  ends.at_source.memory = ends.at_destination.memory = NULL;
  CHECK_OK(farfault_memory_create_external(regions, kGuestParts, &process, &ends.at_source.memory));
  CHECK_OK(farfault_memory_create(parts, kGuestParts, &ends.at_destination.memory));
  for (uint64_t page = 0; page < kPages; ++page) GuestWrites(&guest, page, page + 1);
  failures += Meet(&ends, NULL, NULL);
  if (failures > 0) return failures;

  struct farfault_prepage_budget budget;
  farfault_prepage_budget_init(&budget, sizeof budget);
  budget.bytes = UINT64_C(4) * kPages * FARFAULT_SMALL_PAGE;
  budget.observe_ns = 0;
  CHECK_OK(farfault_source_prepage(ends.source, &budget, NULL));
  // Whoever watches the guest's writes from here has to see these.
  GuestWrites(&guest, 5, 555);
  GuestWrites(&guest, kPages - 1, 999);
  CHECK_OK(farfault_source_switch_over(ends.source));
  failures += JoinThread(&ends, FARFAULT_OK);
  // The file is enough from here on.
  kill(guest.pid, SIGKILL);
  CHECK_OK(farfault_destination_wait_until_resident(ends.destination, FARFAULT_FOREVER));
  CHECK(StatsOf(&ends).pages_stale == 2 && StatsOf(&ends).pages_prepaged >= kPages);
  for (uint64_t page = 0; page < kPages; ++page) {
    const uint64_t expected = page == 5 ? 555 : page == kPages - 1 ? 999 : page + 1;
    CHECK(*WordOf(&ends.at_destination, page) == expected);
  }
  failures += DestroyEnds(&ends);
  EndGuest(&guest);
  return failures;
}
