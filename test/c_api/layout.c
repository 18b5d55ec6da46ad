#include "test/c_api/layout_entries.h"

const struct layout_entry* LayoutInC(size_t* count) {
  static const struct layout_entry kEntries[] = {LAYOUT_ENTRIES};
  *count = sizeof kEntries / sizeof kEntries[0];
  return kEntries;
}
