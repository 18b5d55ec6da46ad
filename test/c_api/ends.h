#ifndef FARFAULT_TEST_C_API_ENDS_H_
#define FARFAULT_TEST_C_API_ENDS_H_

#include <pthread.h>
#include <stdint.h>

#include "farfault/c.h"

/// One end of a session in this process, with memory of its own.
struct end {
  struct farfault_owned_region* owned;
  struct farfault_memory* memory;
  struct farfault_region region;
  pthread_mutex_t mutex;
  pthread_cond_t listens;
  char address[64];
  /// How often each kind of event came. To be read when the session has told all it has to.
  int seen[FARFAULT_EVENT_FAILED + 1];
};

struct ends {
  struct end at_source;
  struct end at_destination;
  struct farfault_source* source;
  struct farfault_destination* destination;
  pthread_t thread;
  enum farfault_status ended;  // What the thread has come to, and why.
  char why[256];
};

// Each returns how many checks have failed.

/// Memory for both; the source's words are filled.
int MakeEnds(struct ends* ends, uint64_t pages);
/// A listener that keeps the address and counts.
void ListenTo(struct end* end, struct farfault_session_options* session);
/// Waits until the end has told the address that it listens on.
const char* AwaitAddress(struct end* end);
/// The destination listens, on a thread, and goes on there until it is active; the source connects here.
int Meet(struct ends* ends, const struct farfault_source_options* source,
         const struct farfault_destination_options* destination);
/// The last thing that a thread of `ends` does.
void EndThread(struct ends* ends, enum farfault_status status);
/// Waits until the thread has ended, with that status.
int JoinThread(struct ends* ends, enum farfault_status status);
int DestroyEnds(struct ends* ends);

uint64_t* WordOf(struct end* end, uint64_t page);
/// Touches every page; the number of pages when all are alike.
uint64_t FirstDifference(struct ends* ends);

#endif  // FARFAULT_TEST_C_API_ENDS_H_
