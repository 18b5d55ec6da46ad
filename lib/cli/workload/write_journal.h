#ifndef FARFAULT_LIB_CLI_WORKLOAD_WRITE_JOURNAL_H_
#define FARFAULT_LIB_CLI_WORKLOAD_WRITE_JOURNAL_H_

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace farfault {

/// Remembers what each word of a shard held before it was first written, so that the image as it was when the journal
/// began can be told from the image as it is. One thread.
class WriteJournal {
 public:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint64_t before = 0;
  };

  explicit WriteJournal(std::uint64_t shard_bytes) : written_((shard_bytes / 8 + 63) / 64) {}

  /// The 8-aligned word at `offset` is about to be changed from `before`.
  void Note(std::uint64_t offset, std::uint64_t before) {
    const std::uint64_t word = offset / 8;
    const std::uint64_t bit = std::uint64_t{1} << (word % 64);
    if (written_[word / 64] & bit) return;
    written_[word / 64] |= bit;
    entries_.push_back({offset, before});
  }

  /// One per word that was written.
  const std::deque<Entry>& entries() const { return entries_; }

 private:
  std::vector<std::uint64_t> written_;
  std::deque<Entry> entries_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_WRITE_JOURNAL_H_
