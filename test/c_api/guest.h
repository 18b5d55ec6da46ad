#ifndef FARFAULT_TEST_C_API_GUEST_H_
#define FARFAULT_TEST_C_API_GUEST_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "farfault/c.h"

enum { kGuestParts = 2 };

/// What a hypervisor written in C would be: a process of its own with guest memory in two mappings, which hands its
/// userfaultfd over and keeps a duplicate.
struct guest {
  pid_t pid;
  int socket;
  int userfaultfd;
  int file;  // -1: private memory.
  uint64_t features;
  uint64_t register_modes;
  struct farfault_guest_mapping mappings[kGuestParts];
};

// Each returns how many checks have failed.

/// Half of the pages in each part; on a memfd when `shared`. `register_modes` 0: it leaves that to the session. Before
/// there are threads.
int StartGuest(struct guest* guest, uint64_t pages, bool shared, uint64_t features, uint64_t register_modes);
void EndGuest(struct guest* guest);
/// What the session has to know of the guest's process.
struct farfault_external_guest ProcessOf(const struct guest* guest);
/// One region called "ram".
int MakeExternalMemory(const struct guest* guest, const struct farfault_external_guest* process,
                       struct farfault_memory** memory);

// The first word of a page, as the guest's own thread finds it, or has it from then on.
uint64_t GuestReads(const struct guest* guest, uint64_t page);
void GuestWrites(const struct guest* guest, uint64_t page, uint64_t value);
/// The same, but not until the guest has read: that is for GuestHasRead.
void GuestBeginsToRead(const struct guest* guest, uint64_t page);
uint64_t GuestHasRead(const struct guest* guest);
bool GuestIsParked(const struct guest* guest);

#endif  // FARFAULT_TEST_C_API_GUEST_H_
