#ifndef FARFAULT_LIB_CLI_WORKLOAD_SHARD_PROGRAM_H_
#define FARFAULT_LIB_CLI_WORKLOAD_SHARD_PROGRAM_H_

#include <cstdint>
#include <string_view>

#include "lib/cli/workload/guest_index.h"
#include "lib/cli/workload/ledger.h"
#include "lib/util/splitmix.h"

namespace farfault {

/// One thread's share of the program: an endless, seeded mix of queries, updates and insertions on one shard. Some
/// documents are far more popular than others, and popular ones tend to be neighbours; so are words near their
/// beginning. Every answer is checked: against the seals, against the text, and against the ledger. One thread.
class ShardProgram {
 public:
  ShardProgram(GuestIndex& index, const Ledger& ledger) : index_(index), ledger_(ledger) {}

  /// Takes up where the registers in guest memory say. False: they are not whole.
  bool Resume();
  /// Leaves the registers in guest memory.
  void Suspend();

  /// One operation. False: an answer was wrong.
  bool Step();

  const Registers& registers() const { return registers_; }

 private:
  /// In [0, bound): u^6 gives one value in a hundred nearly half of all draws, and the long tail the rest.
  std::uint64_t Skewed(std::uint64_t bound);
  Document* PopularDocument();
  bool Query(const Document& document);
  bool Update(Document& document);
  bool Insert(const Document& document);
  bool CheckPostings(const Word& word);
  bool Occurs(std::uint64_t posting, std::string_view text);
  Word* AskFor(std::string_view text);
  /// A word of the text that is (not) indexed from the start, looked for from a place that tends to be near its
  /// beginning; empty: none.
  std::string_view AnyWord(const Document& document, bool indexed);

  GuestIndex& index_;
  Ledger ledger_;
  Registers registers_;
  SplitMix64 random_{0};
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_SHARD_PROGRAM_H_
