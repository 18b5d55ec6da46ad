#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "lib/cli/workload/checksum.h"
#include "lib/cli/workload/corpus.h"
#include "lib/cli/workload/file_walk.h"
#include "lib/cli/workload/index_builder.h"
#include "lib/cli/workload/index_check.h"
#include "lib/cli/workload/shard_program.h"
#include "lib/util/splitmix.h"

namespace farfault {
namespace {

constexpr std::uint64_t kBytes = 8 << 20;

const Corpus& MachineText() {
  static const Corpus corpus = Corpus::CollectFromMachine(4 << 20, 7).value();
  return corpus;
}

struct BuiltShard {
  explicit BuiltShard(std::uint64_t seed, std::uint64_t bytes = kBytes)
      : memory(bytes / 8), ledger_memory(Ledger::EntriesNeeded(bytes)) {
    REQUIRE(BuildIndex(shard(), ledger, MachineText(), seed, nullptr).ok());
  }
  std::span<std::byte> shard() { return std::as_writable_bytes(std::span(memory)); }
  std::uint64_t Wrong() { return CheckIndex(index, ledger, nullptr).wrong; }

  std::vector<std::uint64_t> memory;
  std::vector<std::uint32_t> ledger_memory;
  Ledger ledger = Ledger::Over(ledger_memory, memory.size() * 8);
  GuestIndex index{shard()};
};

TEST_CASE("Checksum tells bytes, order and length apart") {
  std::vector<std::byte> bytes(4096);
  const std::uint64_t zeros = Checksum(bytes);
  CHECK(zeros != 0);
  CHECK(Checksum(std::span(bytes).first(4095)) != zeros);
  for (const std::size_t at : {0u, 31u, 32u, 2048u, 4095u}) {
    bytes[at] = std::byte{1};
    CHECK(Checksum(bytes) != zeros);
    bytes[at] = std::byte{0};
  }
  CHECK(Checksum({1, 2}) != Checksum({2, 1}));
  CHECK(Checksum(bytes) == zeros);
}

TEST_CASE("NextWord finds whole words of the right length") {
  const std::string_view text = "ab abc, an_identifier 9 a_word_that_is_much_longer_than_thirty_one_letters end";
  std::vector<std::string_view> words;
  for (std::string_view word = NextWord(text, 0); !word.empty();) {
    words.push_back(word);
    word = NextWord(text, static_cast<std::size_t>(word.data() - text.data()) + word.size());
  }
  CHECK(words == std::vector<std::string_view>{"abc", "an_identifier", "end"});
  CHECK(NextWord(text, 4) == "an_identifier");
  CHECK(NextWord(text, text.size()).empty());
}

TEST_CASE("Corpus is text, cut into passages, and the same for the same seed") {
  const Corpus again = Corpus::CollectFromMachine(4 << 20, 7).value();
  REQUIRE(again.passages() == MachineText().passages());
  CHECK(again.passage(3) == MachineText().passage(3));
  CHECK(MachineText().bytes() > (1 << 20));
  for (std::size_t i = 0; i < again.passages(); ++i) {
    REQUIRE(again.passage(i).size() >= Corpus::kMinPassage);
    REQUIRE(again.passage(i).size() <= Corpus::kMaxPassage);
  }
}

TEST_CASE("FileWalk brings every file once, in the order of its seed, and reads directories when they are due") {
  const std::filesystem::path root =
      std::filesystem::temp_directory_path() / ("farfault-walk-" + std::to_string(getpid()));
  const absl::Cleanup remove = [&] { std::filesystem::remove_all(root); };
  for (int directory = 0; directory < 20; ++directory) {
    const std::filesystem::path below = root / std::to_string(directory % 5) / std::to_string(directory);
    std::filesystem::create_directories(below);
    for (int file = 0; file < 20; ++file) std::ofstream(below / std::to_string(file)) << file;
  }
  std::filesystem::create_symlink(root, root / "again");
  const auto all = [&](std::uint64_t seed) {
    std::vector<std::string> files;
    FileWalk walk({root.string()}, seed);
    while (const std::optional<std::string> file = walk.Next()) files.push_back(*file);
    return files;
  };
  const std::vector<std::string> files = all(3);
  CHECK(files.size() == 400);
  CHECK(std::set<std::string>(files.begin(), files.end()).size() == 400);
  CHECK(all(3) == files);
  CHECK(all(4) != files);
  FileWalk walk({root.string()}, 3);
  for (std::size_t i = 0; i < FileWalk::kFilesPerDirectory; ++i) CHECK(walk.Next().has_value());
  CHECK(walk.directories_read() < 10);
}

TEST_CASE("Corpus falls back on the executable where there are no files") {
  const absl::StatusOr<Corpus> corpus = Corpus::Collect({"/nonexistent"}, 1 << 20, 1);
  REQUIRE(corpus.ok());
  CHECK(corpus->passages() > 0);
}

TEST_CASE("An index that was built answers every question") {
  BuiltShard built(1);
  const IndexCheck check = CheckIndex(built.index, built.ledger, nullptr);
  CHECK(check.wrong == 0);
  CHECK(check.documents > 100);
  CHECK(check.words > 1000);
  CHECK(check.postings > check.words);
  // It fills most of the shard, and leaves room for insertions.
  CHECK(built.index.header().arena_next > kBytes / 2);
  CHECK(built.index.free_bytes() > kBytes / 30);
}

TEST_CASE("The smallest shard works, too") {
  BuiltShard built(2, kMinShardBytes);
  CHECK(CheckIndex(built.index, built.ledger, nullptr).documents > 0);
  CHECK(built.Wrong() == 0);
}

TEST_CASE("The program's answers are right, and it changes what it should") {
  BuiltShard built(3);
  ShardProgram program(built.index, built.ledger);
  REQUIRE(program.Resume());
  for (int i = 0; i < 20'000; ++i) REQUIRE(program.Step());
  CHECK(program.registers().operations == 20'000);
  CHECK(program.registers().updates > 3'000);
  CHECK(program.registers().insertions > 100);
  CHECK(built.Wrong() == 0);
}

TEST_CASE("A program goes on from a copy of its memory exactly as it would have gone on") {
  BuiltShard here(4);
  ShardProgram program(here.index, here.ledger);
  REQUIRE(program.Resume());
  for (int i = 0; i < 5'000; ++i) REQUIRE(program.Step());
  program.Suspend();

  std::vector<std::uint64_t> memory = here.memory;
  std::vector<std::uint32_t> ledger_memory = here.ledger_memory;
  GuestIndex index{std::as_writable_bytes(std::span(memory))};
  ShardProgram elsewhere(index, Ledger::Over(ledger_memory, kBytes));
  REQUIRE(elsewhere.Resume());
  for (int i = 0; i < 5'000; ++i) REQUIRE(program.Step());
  for (int i = 0; i < 5'000; ++i) REQUIRE(elsewhere.Step());
  program.Suspend();
  elsewhere.Suspend();
  CHECK(memory == here.memory);
  CHECK(ledger_memory == here.ledger_memory);
}

TEST_CASE("Any page that is zero, stale or swapped is noticed") {
  BuiltShard built(5);
  std::vector<std::uint64_t> before = built.memory;
  ShardProgram program(built.index, built.ledger);
  REQUIRE(program.Resume());
  for (int i = 0; i < 20'000; ++i) REQUIRE(program.Step());
  program.Suspend();
  REQUIRE(built.Wrong() == 0);

  constexpr std::size_t kWords = 4096 / 8;
  const std::size_t used = built.index.header().arena_next / 4096;
  const std::vector<std::uint64_t> good = built.memory;
  std::size_t stale_pages = 0;
  for (std::size_t page = 0; page < used; ++page) {
    const auto at = static_cast<std::ptrdiff_t>(page * kWords);
    const bool all_zero = std::all_of(good.begin() + at, good.begin() + at + kWords, [](auto w) { return w == 0; });
    if (page % 37 == 0 && !all_zero) {
      std::fill_n(built.memory.begin() + at, kWords, 0);
      INFO("zero page " << page);
      CHECK(built.Wrong() > 0);
    }
    const bool changed = !std::equal(good.begin() + at, good.begin() + at + kWords, before.begin() + at);
    if (changed && page % 7 == 0) {
      ++stale_pages;
      std::copy_n(before.begin() + at, kWords, built.memory.begin() + at);
      INFO("stale page " << page);
      CHECK(built.Wrong() > 0);
    }
    std::copy_n(good.begin() + at, kWords, built.memory.begin() + at);
  }
  CHECK(stale_pages > 10);
  const std::size_t last = used - 2;
  std::swap_ranges(built.memory.begin() + static_cast<std::ptrdiff_t>(last * kWords),
                   built.memory.begin() + static_cast<std::ptrdiff_t>((last + 1) * kWords),
                   built.memory.begin() + static_cast<std::ptrdiff_t>((last - 9) * kWords));
  CHECK(built.Wrong() > 0);
}

TEST_CASE("The running program notices memory that was lost, and does not crash on it") {
  BuiltShard built(6);
  ShardProgram program(built.index, built.ledger);
  REQUIRE(program.Resume());
  std::vector<std::uint64_t>& memory = built.memory;
  std::fill(memory.begin() + static_cast<std::ptrdiff_t>(memory.size() / 4),
            memory.begin() + static_cast<std::ptrdiff_t>(memory.size() / 2), 0);
  int wrong = 0;
  for (int i = 0; i < 5'000; ++i) wrong += program.Step() ? 0 : 1;
  CHECK(wrong > 500);
  SplitMix64 random(1);
  for (std::uint64_t& word : std::span(memory).subspan(512)) word = random.Next();
  for (int i = 0; i < 5'000; ++i) CHECK_FALSE(program.Step());
}

TEST_CASE("The journal of writes restores the image as it was") {
  BuiltShard built(7);
  const std::vector<std::uint64_t> before = built.memory;
  WriteJournal journal(kBytes);
  built.index.set_journal(&journal);
  ShardProgram program(built.index, built.ledger);
  REQUIRE(program.Resume());
  for (int i = 0; i < 20'000; ++i) REQUIRE(program.Step());
  program.Suspend();
  CHECK(built.memory != before);
  for (const WriteJournal::Entry& entry : journal.entries()) built.memory[entry.offset / 8] = entry.before;
  CHECK(built.memory == before);
}

}  // namespace
}  // namespace farfault
