#ifndef FARFAULT_LIB_CLI_WORKLOAD_GUEST_INDEX_H_
#define FARFAULT_LIB_CLI_WORKLOAD_GUEST_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lib/cli/workload/guest_layout.h"
#include "lib/cli/workload/write_journal.h"

namespace farfault {

/// The next word (letters, digits, '_'; `kMinWord` to `kMaxWord` long) that begins at or after `from`; empty: none.
std::string_view NextWord(std::string_view text, std::size_t from);

/// An inverted index over documents, in one shard of guest memory: the only code that reads or writes there. It trusts
/// nothing that it finds: every pointer is checked against the shard, every object against its seal, every chain
/// against a bound, so that a wrong page is a wrong answer and never a crash. One thread per shard.
class GuestIndex {
 public:
  enum class Outcome : std::uint8_t {
    kDone,
    kFull,    ///< No room in the arena; nothing was changed.
    kBroken,  ///< Something on the way was not what it should be.
  };

  /// Over an index that is there, or that `Format` will make. Does not touch the memory.
  explicit GuestIndex(std::span<std::byte> shard) : shard_(shard) {}

  /// From now on every first write of a word is noted; null ends it. Not owned.
  void set_journal(WriteJournal* journal) { journal_ = journal; }

  /// Makes an empty index in memory that is all zeros. The last `reserve` bytes stay free for `AddPosting`.
  void Format(std::uint64_t seed, std::uint64_t reserve);
  bool formatted() const { return header().magic == kShardMagic && header().bytes == shard_.size(); }
  /// Lets additions use the reserve as well.
  void OpenReserve();

  const ShardHeader& header() const { return *reinterpret_cast<const ShardHeader*>(shard_.data()); }
  std::uint64_t free_bytes() const { return header().arena_end - header().arena_next; }

  /// Whether the word at `position` of a document is in the index from the start.
  bool IsIndexed(std::uint64_t document, std::size_t position) const;

  // Null: not there, or not what it should be.
  Document* OpenDocument(std::uint64_t id);
  Word* OpenWord(GuestOffset at);
  PostingBlock* OpenPostings(GuestOffset at);
  GuestOffset BucketHead(std::uint64_t bucket) const;
  std::uint64_t BucketOf(std::uint64_t hash) const { return hash & (header().bucket_count - 1); }
  /// Empty when the length is impossible.
  std::string_view TextOf(const Document& document) const;

  /// `word` is null when the text is not indexed; `broken` when the chain could not be followed to its end.
  struct Found {
    Word* word = nullptr;
    bool broken = false;
  };
  Found Find(std::string_view text);

  // Updates. The ledger is the caller's.
  void Update(Document& document);
  void Update(Word& word);
  /// `text` occurs at `position` of `document`. A new word gets the id `header().word_count`. `word` is set when done.
  Outcome AddPosting(std::string_view text, std::uint64_t document, std::uint64_t position, Word*& word);
  /// Copies the text in, with the id `header().document_count`. Nothing is indexed yet.
  Outcome AddDocument(std::string_view text);

  /// The registers as they were left. Nothing when their seal is broken.
  bool LoadRegisters(Registers& registers) const;
  void StoreRegisters(Registers registers);

 private:
  ShardHeader& mutable_header() { return *reinterpret_cast<ShardHeader*>(shard_.data()); }
  GuestOffset OffsetOf(const void* object) const {
    return static_cast<GuestOffset>(static_cast<const std::byte*>(object) - shard_.data());
  }
  template <typename T>
  T* At(GuestOffset at) const;
  void Store(std::uint64_t& field, std::uint64_t value);
  GuestOffset Allocate(std::uint64_t bytes);
  Outcome AddWord(std::string_view text, std::uint64_t hash, Word*& word);

  std::uint64_t SealOf(const Document& document) const;
  std::uint64_t SealOf(const Word& word) const;
  std::uint64_t SealOf(const PostingBlock& block) const;
  static std::uint64_t SealOf(const Registers& registers);

  std::span<std::byte> shard_;
  WriteJournal* journal_ = nullptr;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_GUEST_INDEX_H_
