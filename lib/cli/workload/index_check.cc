#include "lib/cli/workload/index_check.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "lib/cli/workload/checksum.h"

namespace farfault {
namespace {

class Checker {
 public:
  Checker(GuestIndex& index, const Ledger& ledger, const std::function<void(double)>& progress)
      : index_(index), ledger_(ledger), progress_(progress) {}

  IndexCheck Run() {
    if (!index_.formatted()) {
      result_.wrong = 1;
      return result_;
    }
    CheckDocuments();
    CheckWords();
    return result_;
  }

 private:
  void Expect(bool right) { result_.wrong += right ? 0 : 1; }

  /// Nothing in use lies where the arena would hand out memory next: a pointer to there that was lost would let the
  /// program write over its own nodes, without a wrong answer until then.
  void ExpectAllocated(GuestOffset at, std::uint64_t bytes) { Expect(at + bytes <= index_.header().arena_next); }

  void Tell(std::uint64_t step, double from, double to, std::uint64_t done, std::uint64_t total) {
    if (!progress_ || done % step != 0) return;
    progress_(from + (to - from) * static_cast<double>(done) / static_cast<double>(std::max<std::uint64_t>(total, 1)));
  }

  void CheckDocuments() {
    const std::uint64_t count =
        std::min<std::uint64_t>(index_.header().document_count, ledger_.document_versions.size());
    Expect(count == index_.header().document_count);
    texts_.resize(count);
    for (std::uint64_t id = 0; id < count; ++id) {
      Tell(1024, 0, 0.5, id, count);
      ++result_.documents;
      const Document* document = index_.OpenDocument(id);
      if (document == nullptr) {
        ++result_.wrong;
        continue;
      }
      const std::string_view text = index_.TextOf(*document);
      Expect(document->version == ledger_.document_versions[id] &&
             Checksum(std::as_bytes(std::span(text))) == document->text_checksum);
      texts_[id] = text;
    }
  }

  void CheckWords() {
    const std::uint64_t buckets = index_.header().bucket_count;
    for (std::uint64_t bucket = 0; bucket < buckets; ++bucket) {
      Tell(4096, 0.5, 1, bucket, buckets);
      // A chain that bites its own tail ends here, too.
      std::uint64_t left = index_.header().word_count - std::min(result_.words, index_.header().word_count) + 1;
      for (GuestOffset at = index_.BucketHead(bucket); at != 0;) {
        const Word* word = left-- > 0 ? index_.OpenWord(at) : nullptr;
        if (word == nullptr || word->id >= ledger_.word_updates.size()) {
          ++result_.wrong;
          break;
        }
        ExpectAllocated(at, sizeof(Word));
        CheckWord(*word, bucket);
        at = word->next;
      }
    }
    Expect(result_.words == index_.header().word_count);
  }

  void CheckWord(const Word& word, std::uint64_t bucket) {
    ++result_.words;
    Expect(index_.BucketOf(word.hash) == bucket && word.updates == ledger_.word_updates[word.id] &&
           word.posting_count == ledger_.word_postings[word.id]);
    std::uint64_t postings = 0;
    for (GuestOffset at = word.postings; at != 0 && postings <= word.posting_count;) {
      const PostingBlock* block = index_.OpenPostings(at);
      if (block == nullptr) {
        ++result_.wrong;
        break;
      }
      ExpectAllocated(at, sizeof(PostingBlock));
      for (const std::uint64_t posting : std::span(block->entries).first(block->count)) CheckPosting(posting, word);
      postings += block->count;
      at = block->next;
    }
    result_.postings += postings;
    Expect(postings == word.posting_count);
  }

  void CheckPosting(std::uint64_t posting, const Word& word) {
    const std::uint64_t document = posting >> 32;
    const std::uint64_t position = posting & UINT32_MAX;
    Expect(document < texts_.size() && position < texts_[document].size() &&
           texts_[document].substr(position, word.length) == word.view());
  }

  GuestIndex& index_;
  const Ledger ledger_;
  const std::function<void(double)>& progress_;
  std::vector<std::string_view> texts_;
  IndexCheck result_;
};

}  // namespace

IndexCheck CheckIndex(GuestIndex& index, const Ledger& ledger, const std::function<void(double)>& progress) {
  return Checker(index, ledger, progress).Run();
}

}  // namespace farfault
