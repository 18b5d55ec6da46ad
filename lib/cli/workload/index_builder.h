#ifndef FARFAULT_LIB_CLI_WORKLOAD_INDEX_BUILDER_H_
#define FARFAULT_LIB_CLI_WORKLOAD_INDEX_BUILDER_H_

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/status.h"
#include "lib/cli/workload/corpus.h"
#include "lib/cli/workload/ledger.h"

namespace farfault {

/// The smallest shard that holds an index worth querying.
inline constexpr std::uint64_t kMinShardBytes = 1 << 20;

/// Fills `shard`, memory that is all zeros, with an index over passages of `corpus`, from the top of an order that
/// `seed` decides and around again when there is room for more. Some room is left for insertions. `progress` is called
/// now and then with the bytes used. kInternal when the memory does not keep what is written to it.
absl::Status BuildIndex(std::span<std::byte> shard, const Ledger& ledger, const Corpus& corpus, std::uint64_t seed,
                        const std::function<void(std::uint64_t)>& progress);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_INDEX_BUILDER_H_
