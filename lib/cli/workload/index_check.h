#ifndef FARFAULT_LIB_CLI_WORKLOAD_INDEX_CHECK_H_
#define FARFAULT_LIB_CLI_WORKLOAD_INDEX_CHECK_H_

#include <cstdint>
#include <functional>

#include "lib/cli/workload/guest_index.h"
#include "lib/cli/workload/ledger.h"

namespace farfault {

struct IndexCheck {
  std::uint64_t documents = 0;
  std::uint64_t words = 0;
  std::uint64_t postings = 0;
  /// Documents, words and postings that are not what they must be, or that cannot be reached.
  std::uint64_t wrong = 0;
};

/// Asks every question that there is: follows every chain, reads every document, compares everything with the ledger.
/// `progress` is called now and then with the share that is done, 0 to 1.
IndexCheck CheckIndex(GuestIndex& index, const Ledger& ledger, const std::function<void(double)>& progress);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_INDEX_CHECK_H_
