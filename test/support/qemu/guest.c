// The one program of the Linux guest that is moved between QEMUs: its init. It touches its memory in a pattern,
// compares every word with what it should be, measures how long each touch takes, and reports on the serial line, one
// JSON object per line, everything counted since the start:
//
// {"ms":1200,"rounds":3,"touches":300000,"wrong":0,"stalls":12,"stall_ns":123456,"stall_max_ns":40000,"histogram":[…]}
//
// Bucket i of the histogram counts touches of 2^(i/4) to 2^((i+1)/4) microseconds, 0 to 95; a stall is a touch of
// STALL_NS and more. Kernel command line: guest.mib=384
// guest.pattern=random|sequential|stride|hotcold guest.role=writer|reader guest.seed=1
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  PAGE = 4096,
  WORDS = PAGE / sizeof(uint64_t),
  BUCKETS = 96,
  STALL_NS = 20000,
  STRIDE = 17,
  READER_WRITES_ONE_IN = 256,
  REPORT_NS = 200000000,
};

static struct {
  uint64_t* memory;
  uint32_t* versions;  // Of every page: what its words are made of.
  uint64_t pages;
  char pattern[16];
  int writer;
  uint64_t random;
  double ns_per_tick;
} guest;

static struct {
  uint64_t touches, wrong, rounds, stalls, stall_ns, stall_max_ns;
  uint64_t histogram[BUCKETS];
} seen;

static uint64_t ticks(void) { return __builtin_ia32_rdtsc(); }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void calibrate(void) {
  const uint64_t ns = now_ns();
  const uint64_t start = ticks();
  while (now_ns() - ns < 200000000u) {
  }
  guest.ns_per_tick = (double)(now_ns() - ns) / (double)(ticks() - start);
}

// xorshift64* (Vigna 2016).
static uint64_t next_random(void) {
  guest.random ^= guest.random >> 12;
  guest.random ^= guest.random << 25;
  guest.random ^= guest.random >> 27;
  return guest.random * 0x2545F4914F6CDD1Du;
}

static uint64_t value_of(uint64_t page, uint32_t version) { return (page << 32 | version) * 0x9E3779B97F4A7C15u; }

static void write_page(uint64_t page) {
  const uint64_t value = value_of(page, ++guest.versions[page]);
  uint64_t* const words = guest.memory + page * WORDS;
  for (int i = 0; i < WORDS; ++i) words[i] = value + (uint64_t)i;
}

static void record(uint64_t ns) {
  int bucket = 0;
  if (ns >= 1000) {
    const uint64_t us = ns / 1000;
    const int octave = 63 - __builtin_clzll(us);
    // The quarter octave, by the two bits below the leading one: close enough to 2^(1/4) steps.
    const int quarter = octave >= 2 ? (int)(us >> (octave - 2) & 3) : (int)((us << (2 - octave)) & 3);
    bucket = octave * 4 + quarter;
  }
  ++seen.histogram[bucket < BUCKETS ? bucket : BUCKETS - 1];
  if (ns < STALL_NS) return;
  ++seen.stalls;
  seen.stall_ns += ns;
  if (ns > seen.stall_max_ns) seen.stall_max_ns = ns;
}

static void touch(uint64_t page) {
  volatile uint64_t* const words = guest.memory + page * WORDS;
  const int writes = guest.writer || next_random() % READER_WRITES_ONE_IN == 0;
  // Where in the page the first touch goes to differs, as it does in life.
  const uint64_t first = next_random() % WORDS;
  const uint64_t start = ticks();
  const uint64_t found = words[first];
  record((uint64_t)((double)(ticks() - start) * guest.ns_per_tick));
  const uint64_t value = value_of(page, guest.versions[page]);
  uint64_t wrong = found != value + first;
  for (uint64_t i = 0; i < WORDS; ++i) wrong += words[i] != value + i;
  seen.wrong += wrong != 0;
  ++seen.touches;
  if (writes) write_page(page);
}

static uint64_t next_page(uint64_t i) {
  if (strcmp(guest.pattern, "sequential") == 0) return i % guest.pages;
  if (strcmp(guest.pattern, "stride") == 0) return i * STRIDE % guest.pages;
  if (strcmp(guest.pattern, "hotcold") == 0 && next_random() % 10 != 0) return next_random() % (guest.pages / 10);
  return next_random() % guest.pages;
}

static void report(uint64_t start_ns) {
  char line[2048];
  int length =
      snprintf(line, sizeof line,
               "{\"ms\":%llu,\"rounds\":%llu,\"touches\":%llu,\"wrong\":%llu,\"stalls\":%llu,\"stall_ns\":%llu,"
               "\"stall_max_ns\":%llu,\"histogram\":[",
               (unsigned long long)((now_ns() - start_ns) / 1000000), (unsigned long long)seen.rounds,
               (unsigned long long)seen.touches, (unsigned long long)seen.wrong, (unsigned long long)seen.stalls,
               (unsigned long long)seen.stall_ns, (unsigned long long)seen.stall_max_ns);
  int last = BUCKETS - 1;
  while (last > 0 && seen.histogram[last] == 0) --last;
  for (int i = 0; i <= last; ++i) {
    length += snprintf(line + length, sizeof line - (size_t)length, "%s%llu", i == 0 ? "" : ",",
                       (unsigned long long)seen.histogram[i]);
  }
  length += snprintf(line + length, sizeof line - (size_t)length, "]}\n");
  for (int done = 0; done < length;) {
    const ssize_t count = write(1, line + done, (size_t)(length - done));
    if (count > 0) done += (int)count;
  }
}

static void option(const char* line, const char* name, char* value, size_t capacity) {
  const char* at = strstr(line, name);
  if (at == NULL) return;
  at += strlen(name);
  const size_t length = strcspn(at, " \n");
  if (length >= capacity) return;
  memcpy(value, at, length);
  value[length] = '\0';
}

static void read_options(void) {
  char line[2048] = "", mib[16] = "384", role[16] = "writer", seed[24] = "1";
  const int fd = open("/proc/cmdline", O_RDONLY);
  if (fd >= 0 && read(fd, line, sizeof line - 1) < 0) line[0] = '\0';
  strcpy(guest.pattern, "random");
  option(line, "guest.mib=", mib, sizeof mib);
  option(line, "guest.pattern=", guest.pattern, sizeof guest.pattern);
  option(line, "guest.role=", role, sizeof role);
  option(line, "guest.seed=", seed, sizeof seed);
  guest.pages = strtoull(mib, NULL, 10) * 256;
  guest.writer = strcmp(role, "reader") != 0;
  guest.random = strtoull(seed, NULL, 10) * 2 + 1;
}

static void die(const char* what) {
  dprintf(1, "{\"error\":\"%s\"}\n", what);
  sleep(1);
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

int main(void) {
  mkdir("/proc", 0755);
  mkdir("/dev", 0755);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("dev", "/dev", "devtmpfs", 0, NULL);
  const int console = open("/dev/ttyS0", O_RDWR);
  if (console >= 0) {
    dup2(console, 1);
    dup2(console, 2);
  }
  read_options();
  guest.memory = mmap(NULL, guest.pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  guest.versions = calloc(guest.pages, sizeof *guest.versions);
  if (guest.memory == MAP_FAILED || guest.versions == NULL) die("the guest has too little memory for guest.mib");
  calibrate();
  for (uint64_t page = 0; page < guest.pages; ++page) write_page(page);

  const uint64_t start = now_ns();
  uint64_t reported = 0;
  for (uint64_t i = 0;; ++i) {
    touch(next_page(i));
    if ((i + 1) % guest.pages == 0) ++seen.rounds;
    if (i % 64 != 0) continue;
    const uint64_t now = now_ns();
    if (now - reported < REPORT_NS) continue;
    reported = now;
    report(start);
  }
}
