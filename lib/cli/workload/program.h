#ifndef FARFAULT_LIB_CLI_WORKLOAD_PROGRAM_H_
#define FARFAULT_LIB_CLI_WORKLOAD_PROGRAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "lib/cli/workload/guest_index.h"
#include "lib/cli/workload/index_check.h"
#include "lib/cli/workload/ledger.h"
#include "lib/cli/workload/timeline.h"
#include "lib/cli/workload/write_journal.h"

namespace farfault {

/// The program that lives in guest memory: one thread per shard that queries and updates without pause. While it is
/// stopped all of its state is in the memory, so that another `Program` over a copy of the memory goes on from there.
///
/// Start, Stop and Check are called by one thread, in turns; the counters may be read by any. The destructor stops and
/// joins: it waits for threads that are parked on a page.
class Program {
 public:
  struct Shard {
    std::span<std::byte> memory;
    Ledger ledger;
    Timeline timeline;
  };
  enum class Journal : std::uint8_t { kNone, kFirstWrites };

  /// Makes the threads, so that `Start` costs only a wake-up. Does not touch the memory.
  Program(const std::vector<Shard>& shards, Journal journal);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  void Start();
  /// Returns when every thread has finished its operation and left its registers in memory.
  void Stop();

  std::uint64_t operations() const;
  std::uint64_t wrong_answers() const;
  /// CLOCK_MONOTONIC, of the first thread since the last `Start`; 0: not yet.
  std::int64_t first_instruction_at() const { return first_instruction_at_.load(); }
  std::int64_t first_answer_at() const { return first_answer_at_.load(); }

  /// See `CheckIndex`; only while stopped. Sums up all shards.
  IndexCheck Check(const std::function<void(double)>& progress);

  /// Every word that was written since the program was made, with offsets in its shard; only while stopped.
  const WriteJournal* journal(std::size_t shard) const { return workers_[shard]->journal.get(); }
  std::size_t shards() const { return workers_.size(); }

 private:
  struct Worker {
    explicit Worker(const Shard& of) : shard(of), index(of.memory) {}
    Shard shard;
    GuestIndex index;
    std::unique_ptr<WriteJournal> journal;
    std::atomic<std::uint64_t> operations{0};
    std::atomic<std::uint64_t> wrong_answers{0};
    std::thread thread;
  };

  void Work(Worker& worker);
  void RunUntilStopped(Worker& worker);

  std::vector<std::unique_ptr<Worker>> workers_;
  /// Counts the calls of `Start`, so that a thread that wakes late cannot miss one.
  std::atomic<std::uint32_t> runs_{0};
  std::atomic<bool> stop_{true};
  std::atomic<bool> quit_{false};
  std::atomic<std::uint32_t> running_{0};
  std::atomic<std::int64_t> first_instruction_at_{0};
  std::atomic<std::int64_t> first_answer_at_{0};
};

/// Divides guest memory into `count` equal shards of whole pages; what is left over at the end stays unused.
std::vector<std::span<std::byte>> DivideIntoShards(std::span<std::byte> memory, std::size_t count,
                                                   std::uint64_t page_size);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_PROGRAM_H_
