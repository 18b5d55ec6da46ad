#ifndef FARFAULT_LIB_CLI_WORKLOAD_GUEST_LAYOUT_H_
#define FARFAULT_LIB_CLI_WORKLOAD_GUEST_LAYOUT_H_

#include <array>
#include <cstdint>
#include <string_view>

// What the program keeps in guest memory. The memory is divided into shards, one per thread of the program; every
// shard is an index of its own, and pointers in it are offsets from its first byte, so that it may be mapped anywhere.
//
//   header │ buckets (hash table) │ directory │ documents, words and posting blocks, in order of allocation │ free
//
// Objects carry a seal over their fields and their own offset: a page that is stale, missing or somebody else's does
// not pass. Every field that is ever changed is a 64-bit word, so that a journal of words can undo all changes.
namespace farfault {

/// Offset in a shard; 0 is the null pointer (the header is there).
using GuestOffset = std::uint64_t;

/// What a thread of the program holds outside of its data structures while it runs; in memory only while it is stopped.
struct Registers {
  std::uint64_t random_state = 0;
  std::uint64_t operations = 0;
  std::uint64_t updates = 0;
  std::uint64_t insertions = 0;
  std::uint64_t seal = 0;
};

struct ShardHeader {
  std::uint64_t magic = 0;
  std::uint64_t bytes = 0;
  std::uint64_t seed = 0;  ///< Decides which occurrences of words are indexed from the start.
  std::uint64_t bucket_count = 0;
  GuestOffset buckets = 0;
  GuestOffset directory = 0;
  std::uint64_t document_capacity = 0;
  std::uint64_t document_count = 0;
  std::uint64_t word_count = 0;
  GuestOffset arena_next = 0;
  GuestOffset arena_end = 0;
  Registers registers;
};
inline constexpr std::uint64_t kShardMagic = 0x58444e4954464146;  // "FAFTINDX"

/// Followed by its text.
struct Document {
  std::uint64_t id = 0;
  std::uint64_t length = 0;
  std::uint64_t text_checksum = 0;
  std::uint64_t version = 0;
  std::uint64_t seal = 0;
  std::array<std::uint64_t, 3> padding{};
};

inline constexpr std::size_t kMinWord = 3;
inline constexpr std::size_t kMaxWord = 31;

struct Word {
  std::uint64_t hash = 0;
  std::uint64_t id = 0;
  GuestOffset next = 0;  ///< In its bucket.
  GuestOffset postings = 0;
  std::uint64_t posting_count = 0;
  std::uint64_t updates = 0;
  std::uint64_t length = 0;
  std::uint64_t seal = 0;
  std::array<std::uint64_t, 4> text{};  ///< Filled up with zeros.

  std::string_view view() const { return {reinterpret_cast<const char*>(text.data()), length}; }
};

/// Newest first; only the first block of a word may have room.
struct PostingBlock {
  static constexpr std::size_t kEntries = 13;
  GuestOffset next = 0;
  std::uint64_t count = 0;
  std::uint64_t seal = 0;
  std::array<std::uint64_t, kEntries> entries{};  ///< Document in the upper half, position in the lower.
};

static_assert(sizeof(Document) == 64 && sizeof(Word) == 96 && sizeof(PostingBlock) == 128);

/// Alignment of everything in the arena.
inline constexpr std::uint64_t kObjectAlignment = 32;

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_GUEST_LAYOUT_H_
