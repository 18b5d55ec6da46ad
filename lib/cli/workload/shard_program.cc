#include "lib/cli/workload/shard_program.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "lib/cli/workload/checksum.h"
#include "lib/util/splitmix.h"

namespace farfault {
namespace {

constexpr std::uint64_t kUpdatePercent = 25;
constexpr std::uint64_t kInsertPercent = 2;
/// One query in so many reads its whole document.
constexpr std::uint64_t kFullReadOneIn = 32;
/// Documents that are neighbours in memory and in popularity.
constexpr std::uint64_t kNeighbourhood = 16;
constexpr std::size_t kPostingsPerQuery = 2;
/// Most queries for a word read the same postings, the best ones; one in so many reads any.
constexpr std::uint64_t kAnyPostingOneIn = 8;

}  // namespace

bool ShardProgram::Resume() {
  if (!index_.formatted() || !index_.LoadRegisters(registers_)) return false;
  random_ = SplitMix64(registers_.random_state);
  return true;
}

void ShardProgram::Suspend() {
  registers_.random_state = random_.state();
  index_.StoreRegisters(registers_);
}

std::uint64_t ShardProgram::Skewed(std::uint64_t bound) {
  return static_cast<std::uint64_t>(static_cast<double>(bound) * std::pow(random_.Unit(), 6));
}

Document* ShardProgram::PopularDocument() {
  const std::uint64_t count = index_.header().document_count;
  if (count == 0 || count > ledger_.document_versions.size()) return nullptr;
  const std::uint64_t rank = Skewed(count);
  const std::uint64_t neighbourhoods = (count + kNeighbourhood - 1) / kNeighbourhood;
  const std::uint64_t home = Checksum({index_.header().seed, rank / kNeighbourhood}) % neighbourhoods;
  Document* document = index_.OpenDocument(std::min(home * kNeighbourhood + rank % kNeighbourhood, count - 1));
  if (document == nullptr) return nullptr;
  return document->version == ledger_.document_versions[document->id] ? document : nullptr;
}

std::string_view ShardProgram::AnyWord(const Document& document, bool indexed) {
  const std::string_view text = index_.TextOf(document);
  if (text.empty()) return {};
  const std::size_t start = Skewed(text.size());
  for (const std::size_t from : {start, std::size_t{0}}) {
    for (std::string_view word = NextWord(text, from); !word.empty();) {
      const std::size_t position = static_cast<std::size_t>(word.data() - text.data());
      if (index_.IsIndexed(document.id, position) == indexed) return word;
      word = NextWord(text, position + word.size());
    }
  }
  return {};
}

Word* ShardProgram::AskFor(std::string_view text) {
  Word* word = index_.Find(text).word;
  if (word == nullptr || word->id >= ledger_.word_updates.size()) return nullptr;
  const bool as_left = word->updates == ledger_.word_updates[word->id] &&
                       word->posting_count == ledger_.word_postings[word->id] && word->posting_count > 0;
  return as_left ? word : nullptr;
}

bool ShardProgram::Occurs(std::uint64_t posting, std::string_view text) {
  const Document* document = index_.OpenDocument(posting >> 32);
  if (document == nullptr) return false;
  const std::string_view where = index_.TextOf(*document);
  const std::uint64_t position = posting & UINT32_MAX;
  return position < where.size() && where.substr(position, text.size()) == text;
}

bool ShardProgram::CheckPostings(const Word& word) {
  GuestOffset at = word.postings;
  std::size_t checked = 0;
  while (at != 0 && checked < kPostingsPerQuery) {
    const PostingBlock* block = index_.OpenPostings(at);
    if (block == nullptr) return false;
    const std::uint64_t which = random_.OneIn(kAnyPostingOneIn) ? random_.Next() : word.hash;
    if (!Occurs(block->entries[which % block->count], word.view())) return false;
    ++checked;
    at = block->next;
  }
  return checked > 0;
}

bool ShardProgram::Query(const Document& document) {
  const std::string_view text = index_.TextOf(document);
  if (random_.Below(kFullReadOneIn) == 0) {
    return Checksum(std::as_bytes(std::span(text))) == document.text_checksum;
  }
  const std::string_view asked = AnyWord(document, /*indexed=*/true);
  if (asked.empty()) return Checksum(std::as_bytes(std::span(text))) == document.text_checksum;
  const Word* word = AskFor(asked);
  return word != nullptr && CheckPostings(*word);
}

bool ShardProgram::Update(Document& document) {
  const std::string_view asked = AnyWord(document, /*indexed=*/true);
  if (!asked.empty()) {
    Word* word = AskFor(asked);
    if (word == nullptr) return false;
    index_.Update(*word);
    ++ledger_.word_updates[word->id];
  }
  index_.Update(document);
  ++ledger_.document_versions[document.id];
  ++registers_.updates;
  return true;
}

bool ShardProgram::Insert(const Document& document) {
  const std::string_view text = AnyWord(document, /*indexed=*/false);
  if (text.empty()) return true;
  const std::uint64_t position = static_cast<std::uint64_t>(text.data() - index_.TextOf(document).data());
  Word* word = nullptr;
  switch (index_.AddPosting(text, document.id, position, word)) {
    case GuestIndex::Outcome::kFull:
      return Query(document);
    case GuestIndex::Outcome::kBroken:
      return false;
    case GuestIndex::Outcome::kDone:
      break;
  }
  if (word->id >= ledger_.word_postings.size()) return false;
  ++registers_.insertions;
  return word->posting_count == ++ledger_.word_postings[word->id];
}

bool ShardProgram::Step() {
  ++registers_.operations;
  Document* document = PopularDocument();
  if (document == nullptr) return false;
  const std::uint64_t dice = random_.Below(100);
  if (dice < kInsertPercent) return Insert(*document);
  if (dice < kInsertPercent + kUpdatePercent) return Update(*document);
  return Query(*document);
}

}  // namespace farfault
