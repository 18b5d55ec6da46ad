#ifndef FARFAULT_FARFAULT_H_
#define FARFAULT_FARFAULT_H_

#include "farfault/dirty_log.h"
#include "farfault/events.h"
#include "farfault/external_guest.h"
#include "farfault/guest_memory.h"
#include "farfault/options.h"
#include "farfault/page.h"
#include "farfault/predictor.h"
#include "farfault/session.h"
#include "farfault/stats.h"
#include "farfault/version.h"

#endif  // FARFAULT_FARFAULT_H_
