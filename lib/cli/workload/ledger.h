#ifndef FARFAULT_LIB_CLI_WORKLOAD_LEDGER_H_
#define FARFAULT_LIB_CLI_WORKLOAD_LEDGER_H_

#include <cstdint>
#include <span>

namespace farfault {

/// What the contents of one shard must be, kept outside of guest memory: a page that lost its last write shows.
/// One thread per shard. Does not own its memory.
struct Ledger {
  std::span<std::uint32_t> document_versions;
  std::span<std::uint32_t> word_updates;
  std::span<std::uint32_t> word_postings;

  static std::uint64_t DocumentCapacity(std::uint64_t shard_bytes) { return shard_bytes / 1024; }
  /// A word needs itself, a posting block and the text around it: never less than this.
  static std::uint64_t WordCapacity(std::uint64_t shard_bytes) { return shard_bytes / 192; }
  static std::uint64_t EntriesNeeded(std::uint64_t shard_bytes) {
    return DocumentCapacity(shard_bytes) + 2 * WordCapacity(shard_bytes);
  }

  /// Divides `EntriesNeeded(shard_bytes)` entries, zeros at first.
  static Ledger Over(std::span<std::uint32_t> entries, std::uint64_t shard_bytes) {
    const std::uint64_t documents = DocumentCapacity(shard_bytes);
    const std::uint64_t words = WordCapacity(shard_bytes);
    return {entries.subspan(0, documents), entries.subspan(documents, words),
            entries.subspan(documents + words, words)};
  }
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_LEDGER_H_
