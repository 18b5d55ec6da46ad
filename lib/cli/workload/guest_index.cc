#include "lib/cli/workload/guest_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "lib/cli/workload/checksum.h"
#include "lib/cli/workload/ledger.h"

namespace farfault {
namespace {

/// With a good hash no chain of the bucket table comes near this.
constexpr std::size_t kMaxChain = 4096;
/// One word in so many is indexed from the start; the program adds others as it goes.
constexpr std::uint64_t kIndexedOneIn = 16;

constexpr std::array<bool, 256> kWordBytes = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  table['_'] = true;
  return table;
}();

bool IsWordByte(char c) { return kWordBytes[static_cast<unsigned char>(c)]; }

std::uint64_t HashOf(std::string_view text) { return Checksum(std::as_bytes(std::span(text))); }

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

std::string_view NextWord(std::string_view text, std::size_t from) {
  std::size_t at = from;
  if (at > 0 && at <= text.size() && IsWordByte(text[at - 1])) {
    while (at < text.size() && IsWordByte(text[at])) ++at;
  }
  while (at < text.size()) {
    while (at < text.size() && !IsWordByte(text[at])) ++at;
    const std::size_t begin = at;
    while (at < text.size() && IsWordByte(text[at])) ++at;
    if (at - begin >= kMinWord && at - begin <= kMaxWord) return text.substr(begin, at - begin);
  }
  return {};
}

template <typename T>
T* GuestIndex::At(GuestOffset at) const {
  if (at < sizeof(ShardHeader) || at % alignof(T) != 0 || at > shard_.size() || shard_.size() - at < sizeof(T)) {
    return nullptr;
  }
  return reinterpret_cast<T*>(shard_.data() + at);
}

void GuestIndex::Store(std::uint64_t& field, std::uint64_t value) {
  if (journal_ != nullptr) journal_->Note(OffsetOf(&field), field);
  field = value;
}

void GuestIndex::Format(std::uint64_t seed, std::uint64_t reserve) {
  const std::uint64_t buckets = std::bit_floor(std::max<std::uint64_t>(64, shard_.size() / 2048));
  ShardHeader header;
  header.magic = kShardMagic;
  header.bytes = shard_.size();
  header.seed = seed;
  header.bucket_count = buckets;
  header.buckets = RoundUp(sizeof(ShardHeader), 4096);
  header.directory = header.buckets + buckets * sizeof(GuestOffset);
  header.document_capacity = Ledger::DocumentCapacity(shard_.size());
  header.arena_next = RoundUp(header.directory + header.document_capacity * sizeof(GuestOffset), 4096);
  header.arena_end = shard_.size() - reserve;
  header.registers.random_state = Checksum({seed, 1});
  header.registers.seal = SealOf(header.registers);
  std::memcpy(shard_.data(), &header, sizeof(header));
}

void GuestIndex::OpenReserve() { mutable_header().arena_end = shard_.size(); }

bool GuestIndex::IsIndexed(std::uint64_t document, std::size_t position) const {
  return Checksum({header().seed, document, position}) % kIndexedOneIn == 0;
}

std::uint64_t GuestIndex::SealOf(const Document& document) const {
  return Checksum({OffsetOf(&document), document.id, document.length, document.text_checksum, document.version});
}

std::uint64_t GuestIndex::SealOf(const Word& word) const {
  return Checksum({OffsetOf(&word), word.hash, word.id, word.next, word.postings, word.posting_count, word.updates,
                   word.length, word.text[0], word.text[1], word.text[2], word.text[3]});
}

std::uint64_t GuestIndex::SealOf(const PostingBlock& block) const {
  const std::uint64_t entries = Checksum(std::as_bytes(std::span(block.entries).first(block.count)));
  return Checksum({OffsetOf(&block), block.next, block.count, entries});
}

std::uint64_t GuestIndex::SealOf(const Registers& registers) {
  return Checksum({registers.random_state, registers.operations, registers.updates, registers.insertions});
}

GuestOffset GuestIndex::BucketHead(std::uint64_t bucket) const {
  const GuestOffset* head = At<GuestOffset>(header().buckets + bucket * sizeof(GuestOffset));
  return head == nullptr ? 0 : *head;
}

Document* GuestIndex::OpenDocument(std::uint64_t id) {
  const GuestOffset* entry = At<GuestOffset>(header().directory + id * sizeof(GuestOffset));
  Document* document = entry == nullptr ? nullptr : At<Document>(*entry);
  if (document == nullptr || document->id != id || document->seal != SealOf(*document)) return nullptr;
  return document;
}

std::string_view GuestIndex::TextOf(const Document& document) const {
  const GuestOffset text = OffsetOf(&document) + sizeof(Document);
  if (document.length > shard_.size() - text) return {};
  return {reinterpret_cast<const char*>(shard_.data() + text), document.length};
}

Word* GuestIndex::OpenWord(GuestOffset at) {
  Word* word = At<Word>(at);
  if (word == nullptr || word->length > kMaxWord || word->seal != SealOf(*word)) return nullptr;
  return word;
}

PostingBlock* GuestIndex::OpenPostings(GuestOffset at) {
  PostingBlock* block = At<PostingBlock>(at);
  if (block == nullptr || block->count == 0 || block->count > PostingBlock::kEntries) return nullptr;
  return block->seal == SealOf(*block) ? block : nullptr;
}

GuestIndex::Found GuestIndex::Find(std::string_view text) {
  const std::uint64_t hash = HashOf(text);
  GuestOffset at = BucketHead(BucketOf(hash));
  for (std::size_t steps = 0; at != 0; ++steps) {
    Word* word = steps < kMaxChain ? OpenWord(at) : nullptr;
    if (word == nullptr) return {nullptr, true};
    if (word->hash == hash && word->view() == text) return {word, false};
    at = word->next;
  }
  return {};
}

void GuestIndex::Update(Document& document) {
  Store(document.version, document.version + 1);
  Store(document.seal, SealOf(document));
}

void GuestIndex::Update(Word& word) {
  Store(word.updates, word.updates + 1);
  Store(word.seal, SealOf(word));
}

GuestOffset GuestIndex::Allocate(std::uint64_t bytes) {
  ShardHeader& header = mutable_header();
  const GuestOffset at = header.arena_next;
  Store(header.arena_next, at + RoundUp(bytes, kObjectAlignment));
  return at;
}

GuestIndex::Outcome GuestIndex::AddWord(std::string_view text, std::uint64_t hash, Word*& word) {
  ShardHeader& header = mutable_header();
  if (header.word_count >= Ledger::WordCapacity(shard_.size())) return Outcome::kFull;
  GuestOffset* head = At<GuestOffset>(header.buckets + BucketOf(hash) * sizeof(GuestOffset));
  const GuestOffset at = Allocate(sizeof(Word));
  word = At<Word>(at);
  if (head == nullptr || word == nullptr) return Outcome::kBroken;
  std::array<std::uint64_t, 4> letters{};
  std::memcpy(letters.data(), text.data(), text.size());
  for (std::size_t i = 0; i < letters.size(); ++i) Store(word->text[i], letters[i]);
  Store(word->hash, hash);
  Store(word->id, header.word_count);
  Store(word->next, *head);
  Store(word->length, text.size());
  Store(word->seal, SealOf(*word));
  Store(*head, at);
  Store(header.word_count, header.word_count + 1);
  return Outcome::kDone;
}

GuestIndex::Outcome GuestIndex::AddPosting(std::string_view text, std::uint64_t document, std::uint64_t position,
                                           Word*& word) {
  if (free_bytes() < sizeof(Word) + sizeof(PostingBlock)) return Outcome::kFull;
  const Found found = Find(text);
  if (found.broken) return Outcome::kBroken;
  word = found.word;
  if (word == nullptr) {
    const Outcome added = AddWord(text, HashOf(text), word);
    if (added != Outcome::kDone) return added;
  }
  PostingBlock* block = nullptr;
  if (word->postings != 0) {
    block = OpenPostings(word->postings);
    if (block == nullptr) return Outcome::kBroken;
  }
  if (block == nullptr || block->count == PostingBlock::kEntries) {
    const GuestOffset at = Allocate(sizeof(PostingBlock));
    block = At<PostingBlock>(at);
    if (block == nullptr) return Outcome::kBroken;
    Store(block->next, word->postings);
    Store(word->postings, at);
  }
  Store(block->entries[block->count], document << 32 | position);
  Store(block->count, block->count + 1);
  Store(block->seal, SealOf(*block));
  Store(word->posting_count, word->posting_count + 1);
  Store(word->seal, SealOf(*word));
  return Outcome::kDone;
}

GuestIndex::Outcome GuestIndex::AddDocument(std::string_view text) {
  ShardHeader& header = mutable_header();
  const std::uint64_t needed = sizeof(Document) + RoundUp(text.size(), kObjectAlignment);
  if (free_bytes() < needed || header.document_count >= header.document_capacity) return Outcome::kFull;
  const GuestOffset at = Allocate(needed);
  Document* document = At<Document>(at);
  GuestOffset* entry = At<GuestOffset>(header.directory + header.document_count * sizeof(GuestOffset));
  if (document == nullptr || entry == nullptr) return Outcome::kBroken;
  std::memcpy(document + 1, text.data(), text.size());
  document->id = header.document_count++;
  document->length = text.size();
  document->text_checksum = Checksum(std::as_bytes(std::span(text)));
  document->seal = SealOf(*document);
  *entry = at;
  return Outcome::kDone;
}

bool GuestIndex::LoadRegisters(Registers& registers) const {
  registers = header().registers;
  return registers.seal == SealOf(registers);
}

void GuestIndex::StoreRegisters(Registers registers) {
  registers.seal = SealOf(registers);
  Registers& there = mutable_header().registers;
  Store(there.random_state, registers.random_state);
  Store(there.operations, registers.operations);
  Store(there.updates, registers.updates);
  Store(there.insertions, registers.insertions);
  Store(there.seal, registers.seal);
}

}  // namespace farfault
