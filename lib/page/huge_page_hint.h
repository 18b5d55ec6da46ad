#ifndef FARFAULT_LIB_PAGE_HUGE_PAGE_HINT_H_
#define FARFAULT_LIB_PAGE_HUGE_PAGE_HINT_H_

#include <string>
#include <vector>

#include "farfault/guest_memory.h"

namespace farfault {

/// Why the guest will stay on small pages in this region, and how to mend it; empty when there is nothing to say.
/// `huge_chunks` is what Alias::FindHugeChunks found after populating the region, or, unless `whole`, parts of it.
std::string HugePageHint(const Region& region, const std::vector<bool>& huge_chunks, bool whole);

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_HUGE_PAGE_HINT_H_
