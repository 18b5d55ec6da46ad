#include "lib/cli/workload/index_builder.h"

#include <string_view>

#include "lib/cli/workload/guest_index.h"
#include "lib/util/splitmix.h"

namespace farfault {
namespace {

/// Of every so many bytes one is left for insertions.
constexpr std::uint64_t kReserveOneIn = 24;
/// The most that adding the largest passage can need: a new word at every fourth byte, and twice as many of them
/// indexed as are on average.
constexpr std::uint64_t kMostPerPassage = 2 * Corpus::kMaxPassage + (Corpus::kMaxPassage / 4 / 8) * 224;

absl::Status Broken() {
  return absl::InternalError("the index reads back differently from what was written while it was being built");
}

absl::Status IndexDocument(GuestIndex& index, const Ledger& ledger, std::uint64_t id) {
  const Document* document = index.OpenDocument(id);
  if (document == nullptr) return Broken();
  const std::string_view text = index.TextOf(*document);
  for (std::string_view word = NextWord(text, 0); !word.empty();) {
    const std::size_t position = static_cast<std::size_t>(word.data() - text.data());
    if (index.IsIndexed(id, position)) {
      Word* indexed = nullptr;
      if (index.AddPosting(word, id, position, indexed) != GuestIndex::Outcome::kDone) return Broken();
      ++ledger.word_postings[indexed->id];
    }
    word = NextWord(text, position + word.size());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BuildIndex(std::span<std::byte> shard, const Ledger& ledger, const Corpus& corpus, std::uint64_t seed,
                        const std::function<void(std::uint64_t)>& progress) {
  GuestIndex index(shard);
  index.Format(seed, shard.size() / kReserveOneIn);
  const std::uint64_t first = SplitMix64(seed).Below(corpus.passages());
  for (std::uint64_t i = 0; index.free_bytes() >= kMostPerPassage; ++i) {
    const std::uint64_t id = index.header().document_count;
    const GuestIndex::Outcome added = index.AddDocument(corpus.passage((first + i) % corpus.passages()));
    if (added == GuestIndex::Outcome::kFull) break;
    if (added == GuestIndex::Outcome::kBroken) return Broken();
    if (absl::Status indexed = IndexDocument(index, ledger, id); !indexed.ok()) return indexed;
    if (i % 64 == 0 && progress) progress(index.header().arena_next);
  }
  index.OpenReserve();
  return absl::OkStatus();
}

}  // namespace farfault
