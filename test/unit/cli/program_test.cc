#include "lib/cli/workload/program.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "lib/cli/workload/index_builder.h"
#include "lib/cli/workload/page_check.h"

namespace farfault {
namespace {

constexpr std::uint64_t kBytes = 8 << 20;
constexpr std::size_t kShards = 2;
constexpr std::uint64_t kPage = 4096;

struct Machine {
  Machine()
      : memory(kBytes / 8), ledger_memory(kShards * Ledger::EntriesNeeded(kBytes / kShards)), slices(kShards * 1000) {}

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(memory)); }
  std::vector<Program::Shard> Shards() {
    std::vector<Program::Shard> shards;
    for (const std::span<std::byte> shard : DivideIntoShards(bytes(), kShards, kPage)) {
      const std::size_t i = shards.size();
      const std::uint64_t entries = Ledger::EntriesNeeded(shard.size());
      shards.push_back({shard, Ledger::Over(std::span(ledger_memory).subspan(i * entries, entries), shard.size()),
                        Timeline(&epoch, std::span(slices).subspan(i * 1000, 1000))});
    }
    return shards;
  }
  void Build() {
    const Corpus corpus = Corpus::CollectFromMachine(2 << 20, 1).value();
    for (const Program::Shard& shard : Shards()) {
      REQUIRE(BuildIndex(shard.memory, shard.ledger, corpus, 1, nullptr).ok());
    }
  }
  Region region() {
    return {.name = "m", .base = bytes().data(), .length = kBytes, .page_size = kPage, .fd = -1, .file_offset = 0};
  }

  std::vector<std::uint64_t> memory;
  std::vector<std::uint32_t> ledger_memory;
  std::vector<std::atomic<std::uint32_t>> slices;
  std::atomic<std::int64_t> epoch{MonotonicNanos()};
};

void RunFor(Program& program, std::uint64_t operations) {
  program.Start();
  const std::uint64_t until = program.operations() + operations;
  while (program.operations() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  program.Stop();
}

std::vector<WriteJournal::Entry> Undo(const Program& program) {
  std::vector<WriteJournal::Entry> undo;
  for (std::size_t i = 0; i < program.shards(); ++i) {
    for (WriteJournal::Entry entry : program.journal(i)->entries()) {
      entry.offset += i * (kBytes / kShards);
      undo.push_back(entry);
    }
  }
  return undo;
}

TEST_CASE("A program that is copied goes on, and every page can be told from its digest") {
  Machine source;
  source.Build();
  Program program(source.Shards(), Program::Journal::kNone);
  CHECK(program.first_instruction_at() == 0);
  RunFor(program, 10'000);
  CHECK(program.first_instruction_at() <= program.first_answer_at());
  CHECK(program.wrong_answers() == 0);
  std::uint64_t counted = 0;
  for (const std::atomic<std::uint32_t>& slice : source.slices) counted += slice.load();
  CHECK(counted == program.operations());

  std::vector<std::uint64_t> digests(kBytes / kPage);
  REQUIRE(DigestPages(source.region(), digests, nullptr).ok());

  Machine destination;
  destination.memory = source.memory;
  destination.ledger_memory = source.ledger_memory;
  Program there(destination.Shards(), Program::Journal::kFirstWrites);
  RunFor(there, 20'000);
  RunFor(there, 20'000);
  CHECK(there.wrong_answers() == 0);
  CHECK(there.Check(nullptr).wrong == 0);
  const PageCheck right = CheckPages(destination.bytes(), kPage, digests, Undo(there), nullptr);
  CHECK(right.verified == kBytes / kPage);
  CHECK(right.wrong == 0);
  CHECK(Undo(there).size() > 1000);

  SECTION("one flipped bit is one wrong page") {
    destination.bytes()[kBytes / 3] ^= std::byte{0x10};
    CHECK(CheckPages(destination.bytes(), kPage, digests, Undo(there), nullptr).wrong == 1);
  }
  SECTION("a write of the program that is taken back is a wrong answer") {
    // Each alone, the shard's header among them. The pages cannot tell: only the program knows what it wrote. A write
    // that put back what was there before is no loss.
    std::size_t taken_back = 0;
    for (const WriteJournal::Entry& lost : Undo(there)) {
      std::uint64_t& word = destination.memory[lost.offset / 8];
      const std::uint64_t written = word;
      if (written == lost.before) continue;
      word = lost.before;
      INFO("the word at offset " << lost.offset);
      CHECK(there.Check(nullptr).wrong > 0);
      if (taken_back == 0) {
        CHECK(CheckPages(destination.bytes(), kPage, digests, Undo(there), nullptr).wrong == 0);
      }
      word = written;
      if (++taken_back == 200) break;
    }
    CHECK(taken_back == 200);
    CHECK(there.Check(nullptr).wrong == 0);
  }
  SECTION("memory that never arrived is noticed by the program itself") {
    std::memset(destination.bytes().data(), 0, kBytes);
    there.Start();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    there.Stop();
    CHECK(there.wrong_answers() == kShards);
    CHECK(there.Check(nullptr).wrong == kShards);
    CHECK(CheckPages(destination.bytes(), kPage, digests, {}, nullptr).wrong > 1000);
  }
}

}  // namespace
}  // namespace farfault
