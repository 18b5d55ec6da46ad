#include "lib/cli/workload/program.h"

#include <utility>

#include "lib/cli/workload/shard_program.h"

namespace farfault {
namespace {

void SetOnce(std::atomic<std::int64_t>& mark, std::int64_t now) {
  std::int64_t unset = 0;
  if (mark.load(std::memory_order_relaxed) == 0) mark.compare_exchange_strong(unset, now);
}

}  // namespace

Program::Program(const std::vector<Shard>& shards, Journal journal) {
  for (const Shard& shard : shards) {
    workers_.push_back(std::make_unique<Worker>(shard));
    if (journal == Journal::kFirstWrites) {
      workers_.back()->journal = std::make_unique<WriteJournal>(shard.memory.size());
      workers_.back()->index.set_journal(workers_.back()->journal.get());
    }
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->thread = std::thread([this, &worker = *worker] { Work(worker); });
  }
}

Program::~Program() {
  Stop();
  quit_.store(true);
  runs_.fetch_add(1);
  runs_.notify_all();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->thread.join();
}

void Program::Start() {
  first_instruction_at_.store(0);
  first_answer_at_.store(0);
  running_.store(static_cast<std::uint32_t>(workers_.size()));
  stop_.store(false);
  runs_.fetch_add(1);
  runs_.notify_all();
}

void Program::Stop() {
  stop_.store(true);
  stop_.notify_all();
  for (std::uint32_t left = running_.load(); left > 0; left = running_.load()) running_.wait(left);
}

void Program::Work(Worker& worker) {
  for (std::uint32_t run = 0;;) {
    runs_.wait(run);
    ++run;
    if (quit_.load()) return;
    RunUntilStopped(worker);
    running_.fetch_sub(1);
    running_.notify_all();
  }
}

void Program::RunUntilStopped(Worker& worker) {
  SetOnce(first_instruction_at_, MonotonicNanos());
  ShardProgram program(worker.index, worker.shard.ledger);
  if (!program.Resume()) {
    worker.wrong_answers.fetch_add(1, std::memory_order_relaxed);
    stop_.wait(false);
    return;
  }
  while (!stop_.load(std::memory_order_relaxed)) {
    if (!program.Step()) worker.wrong_answers.fetch_add(1, std::memory_order_relaxed);
    worker.operations.store(worker.operations.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    const std::int64_t now = MonotonicNanos();
    worker.shard.timeline.Count(now);
    SetOnce(first_answer_at_, now);
  }
  program.Suspend();
}

std::uint64_t Program::operations() const {
  std::uint64_t sum = 0;
  for (const std::unique_ptr<Worker>& worker : workers_) sum += worker->operations.load(std::memory_order_relaxed);
  return sum;
}

std::uint64_t Program::wrong_answers() const {
  std::uint64_t sum = 0;
  for (const std::unique_ptr<Worker>& worker : workers_) sum += worker->wrong_answers.load(std::memory_order_relaxed);
  return sum;
}

IndexCheck Program::Check(const std::function<void(double)>& progress) {
  IndexCheck sum;
  const double share = 1.0 / static_cast<double>(workers_.size());
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const auto tell = [&](double done) {
      if (progress) progress(share * (static_cast<double>(i) + done));
    };
    const IndexCheck check = CheckIndex(workers_[i]->index, workers_[i]->shard.ledger, tell);
    sum.documents += check.documents;
    sum.words += check.words;
    sum.postings += check.postings;
    sum.wrong += check.wrong;
  }
  return sum;
}

std::vector<std::span<std::byte>> DivideIntoShards(std::span<std::byte> memory, std::size_t count,
                                                   std::uint64_t page_size) {
  const std::size_t bytes = memory.size() / count / page_size * page_size;
  std::vector<std::span<std::byte>> shards;
  for (std::size_t i = 0; i < count; ++i) shards.push_back(memory.subspan(i * bytes, bytes));
  return shards;
}

}  // namespace farfault
