#include <pthread.h>
#include <stdint.h>

#include "test/c_api/cases.h"
#include "test/c_api/check.h"

// What is said about arguments, before there is any session.

static void* FailElsewhere(void* nothing) {
  static int failures;
  failures = 0;
  (void)nothing;
  CHECK(strcmp(farfault_error_text(), "") == 0);
  struct farfault_predictor* predictor = NULL;
  CHECK_FAILS(farfault_predictor_create("elsewhere", &predictor), FARFAULT_INVALID_ARGUMENT, "elsewhere");
  CHECK(predictor == NULL);
  return &failures;
}

int CaseErrorText(void) {
  int failures = 0;
  struct farfault_predictor* predictor = NULL;
  CHECK_FAILS(farfault_predictor_create("here", &predictor), FARFAULT_INVALID_ARGUMENT, "'here'");
  pthread_t thread;
  void* theirs = NULL;
  CHECK(pthread_create(&thread, NULL, FailElsewhere, NULL) == 0);
  CHECK(pthread_join(thread, &theirs) == 0);
  failures += *(int*)theirs;
  CHECK(strstr(farfault_error_text(), "'here'") != NULL);
  // A call that succeeds leaves the text.
  CHECK_OK(farfault_predictor_create("none", &predictor));
  farfault_predictor_destroy(predictor);
  CHECK(strstr(farfault_error_text(), "'here'") != NULL);
  CHECK(strcmp(farfault_status_name(FARFAULT_OK), "OK") == 0);
  CHECK(strcmp(farfault_status_name(FARFAULT_DATA_LOSS), "DATA_LOSS") == 0);
  CHECK(strcmp(farfault_status_name((enum farfault_status)77), "UNKNOWN") == 0);
  CHECK(strcmp(farfault_state_name(FARFAULT_STATE_PREPARED), "prepared") == 0);
  CHECK(strcmp(farfault_state_name((enum farfault_state)256), "unknown") == 0);
  CHECK(strcmp(farfault_event_kind_name(FARFAULT_EVENT_HINT), "hint") == 0);
  CHECK(strcmp(farfault_event_kind_name((enum farfault_event_kind)256), "unknown") == 0);
  char headers[32];
  snprintf(headers, sizeof headers, "%d.%d.%d", FARFAULT_VERSION_MAJOR, FARFAULT_VERSION_MINOR, FARFAULT_VERSION_PATCH);
  CHECK(strcmp(farfault_version(), headers) == 0);
  CHECK(strstr(farfault_transport_names(), "tcp") != NULL);
  return failures;
}

struct newer_placement {
  struct farfault_placement known;
  uint64_t more[4];
};

int CaseSizedStructs(void) {
  int failures = 0;
  struct newer_placement newer;
  struct farfault_owned_region* owned = NULL;
  memset(&newer, 0xff, sizeof newer);
  farfault_placement_init(&newer.known, sizeof newer);
  CHECK(newer.known.struct_size == sizeof newer && newer.known.page_size == FARFAULT_SMALL_PAGE);
  CHECK(newer.more[0] == 0 && newer.more[3] == 0);
  CHECK_OK(farfault_owned_region_create_shared("ram", 1 << 20, &newer.known, &owned));
  farfault_owned_region_destroy(owned);
  owned = NULL;
  newer.more[3] = 1;
  CHECK_FAILS(farfault_owned_region_create_shared("ram", 1 << 20, &newer.known, &owned), FARFAULT_UNIMPLEMENTED,
              "newer library");

  // An init function writes no further than it is told.
  struct farfault_source_options options;
  memset(&options, 0xff, sizeof options);
  farfault_source_options_init(&options, offsetof(struct farfault_source_options, predictor));
  CHECK(options.push_window_bytes == 4 << 20 && (uintptr_t)options.predictor == UINTPTR_MAX);

  struct farfault_placement placement;
  memset(&placement, 0, sizeof placement);
  CHECK_FAILS(farfault_owned_region_create_shared("ram", 1 << 20, &placement, &owned), FARFAULT_INVALID_ARGUMENT,
              "struct_size is 0");
  farfault_placement_init(&placement, sizeof placement);
  placement.reserved[6] = 1;
  CHECK_FAILS(farfault_owned_region_create_shared("ram", 1 << 20, &placement, &owned), FARFAULT_INVALID_ARGUMENT,
              "reserved");
  CHECK(owned == NULL);
  return failures;
}

static struct farfault_region RegionAt(const char* name, uintptr_t base, uint64_t length) {
  struct farfault_region region;
  farfault_region_init(&region, sizeof region);
  region.name = name;
  region.base = (void*)base;
  region.length = length;
  return region;
}

struct newer_region {
  struct farfault_region known;
  uint64_t more;
};

int CaseMemory(void) {
  int failures = 0;
  struct farfault_memory* memory = NULL;
  struct farfault_region regions[2] = {RegionAt("low", 1 << 20, 1 << 20), RegionAt("high", 1 << 24, 2 << 20)};
  CHECK_OK(farfault_memory_create(regions, 2, &memory));
  CHECK(farfault_memory_region_count(memory) == 2);
  CHECK(farfault_memory_total_bytes(memory) == 3 << 20);
  CHECK(farfault_memory_total_pages(memory) == 768);
  struct farfault_region region = {.struct_size = sizeof region};
  struct farfault_page_run pages;
  CHECK_OK(farfault_memory_region(memory, 1, &region, &pages));
  CHECK(strcmp(region.name, "high") == 0 && region.base == regions[1].base && region.length == 2 << 20);
  CHECK(region.page_size == FARFAULT_SMALL_PAGE && region.fd == -1 && region.file_offset == 0);
  CHECK(pages.first == 256 && pages.count == 512);
  CHECK_OK(farfault_memory_region(memory, 0, NULL, &pages));
  CHECK(pages.first == 0 && pages.count == 256);
  CHECK_FAILS(farfault_memory_region(memory, 2, &region, NULL), FARFAULT_OUT_OF_RANGE, "no region 2");
  uint64_t page = 0;
  CHECK_OK(farfault_memory_page_at(memory, (const char*)regions[1].base + 5000, &page));
  CHECK(page == 257);
  CHECK(farfault_memory_page_at(memory, &page, &page) == FARFAULT_NOT_FOUND);
  farfault_memory_destroy(memory);
  farfault_memory_destroy(NULL);
  memory = NULL;

  regions[1].length = 5;
  CHECK_FAILS(farfault_memory_create(regions, 2, &memory), FARFAULT_INVALID_ARGUMENT, "high");
  CHECK_FAILS(farfault_memory_create(NULL, 1, &memory), FARFAULT_INVALID_ARGUMENT, "regions is NULL");
  CHECK_FAILS(farfault_memory_create(regions, 1, NULL), FARFAULT_INVALID_ARGUMENT, "memory is NULL");
  CHECK_FAILS(farfault_memory_create(regions, SIZE_MAX, &memory), FARFAULT_INVALID_ARGUMENT, "at most 64");
  CHECK(farfault_memory_create(regions, 0, &memory) == FARFAULT_INVALID_ARGUMENT);
  regions[1].struct_size = 8;
  CHECK_FAILS(farfault_memory_create(regions, 2, &memory), FARFAULT_INVALID_ARGUMENT, "region 1");
  CHECK(memory == NULL);

  // Of a program whose regions have grown.
  struct newer_region newer[2] = {{RegionAt("low", 1 << 20, 1 << 20), 0}, {RegionAt("high", 1 << 24, 2 << 20), 0}};
  newer[0].known.struct_size = newer[1].known.struct_size = sizeof newer[0];
  CHECK_OK(farfault_memory_create(&newer[0].known, 2, &memory));
  CHECK(farfault_memory_total_pages(memory) == 768);
  farfault_memory_destroy(memory);
  return failures;
}

int CaseOwnedRegions(void) {
  int failures = 0;
  struct farfault_owned_region* owned = NULL;
  struct farfault_region region = {.struct_size = sizeof region};
  CHECK_OK(farfault_owned_region_create_shared("shared", 1 << 20, NULL, &owned));
  CHECK_OK(farfault_owned_region_get(owned, &region));
  CHECK(strcmp(region.name, "shared") == 0 && region.length == 1 << 20 && region.fd >= 0);
  memset(region.base, 7, region.length);
  farfault_owned_region_destroy(owned);

  struct farfault_placement placement;
  farfault_placement_init(&placement, sizeof placement);
  placement.fixed_address = region.base;  // Free again.
  placement.transparent_huge_pages = false;
  owned = NULL;
  CHECK_OK(farfault_owned_region_create_anonymous("anonymous", 1 << 20, &placement, &owned));
  CHECK_OK(farfault_owned_region_get(owned, &region));
  CHECK(region.base == placement.fixed_address && region.fd == -1 && *(const char*)region.base == 0);
  farfault_owned_region_destroy(owned);

  owned = NULL;
  CHECK_FAILS(farfault_owned_region_open_file("/no/such/file", &owned), FARFAULT_NOT_FOUND, "/no/such/file");
  CHECK_OK(farfault_owned_region_open_file("/proc/self/exe", &owned));
  CHECK_OK(farfault_owned_region_get(owned, &region));
  CHECK(memcmp(region.base, "\177ELF", 4) == 0);
  farfault_owned_region_destroy(owned);
  CHECK_FAILS(farfault_owned_region_create_shared(NULL, 1 << 20, NULL, &owned), FARFAULT_INVALID_ARGUMENT, "name");
  CHECK(farfault_owned_region_create_shared("ram", 1, NULL, &owned) == FARFAULT_INVALID_ARGUMENT);
  return failures;
}
