#include "lib/page/claim.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <vector>

namespace farfault {
namespace {

TEST_CASE("the source's tables do not overlap and are aligned", "[page][claim]") {
  const std::uint64_t pages = GENERATE(0u, 1u, 63u, 64u, 65u, 4096u, (1u << 24) + 1);
  CAPTURE(pages);
  const SourceTableLayout layout{pages};
  CHECK(layout.want_offset() == 0);
  CHECK(layout.claim_offset() >= layout.want_offset() + pages);
  CHECK(layout.hint_offset() >= layout.claim_offset() + pages);
  CHECK(layout.credit_offset() == layout.hint_offset() + 8 * SourceTableLayout::kHintSlots);
  CHECK(layout.total_bytes() == layout.credit_offset() + 8 * SourceTableLayout::kCreditWords);
  // Written by different sides: no cache line is shared. Words are read and written as such.
  CHECK(layout.claim_offset() % 64 == 0);
  CHECK(layout.hint_offset() % 64 == 0);
  CHECK(layout.credit_offset() % 64 == 0);
}

TEST_CASE("the source reads and writes its tables where the layout says", "[page][claim]") {
  constexpr std::uint64_t kPages = 100;
  const SourceTableLayout layout{kPages};
  std::vector<std::uint64_t> words((layout.total_bytes() + 7) / 8);
  const std::span<std::byte> memory = std::as_writable_bytes(std::span(words));
  const SourceTables tables(memory, kPages);
  CHECK_FALSE(tables.wanted(99));
  memory[layout.want_offset() + 99] = std::byte{1};
  CHECK(tables.wanted(99));
  CHECK_FALSE(tables.wanted(98));
  tables.set_claim(99, Claim::kPosted);
  CHECK(memory[layout.claim_offset() + 99] == std::byte{3});
  CHECK(memory[layout.claim_offset() + 98] == std::byte{0});

  const std::uint64_t entry = Hint::Encode(7, SourceTableLayout::kHintSlots + 5);
  std::memcpy(memory.data() + layout.hint_offset() + 5ul * 8, &entry, 8);
  CHECK(tables.hint(5) == entry);
  CHECK(tables.hint(SourceTableLayout::kHintSlots + 5) == entry);
  const std::uint64_t credit = 1234567890123;
  std::memcpy(memory.data() + layout.credit_offset() + 7ul * 8, &credit, 8);
  CHECK(tables.credit(7) == credit);
  CHECK(tables.credit(6) == 0);
}

TEST_CASE("a hint keeps its page and the low bits of its number", "[page][claim]") {
  const PageIndex page = GENERATE(PageIndex{0}, PageIndex{1}, PageIndex{123456789}, Hint::kPageMask);
  const std::uint64_t number = GENERATE(std::uint64_t{1}, SourceTableLayout::kHintSlots + 1, Hint::kNumberMask,
                                        Hint::kNumberMask + 1, Hint::kNumberMask + 2, UINT64_MAX);
  CAPTURE(page, number);
  const std::uint64_t entry = Hint::Encode(page, number);
  CHECK(Hint::Page(entry) == page);
  CHECK(Hint::Number(entry) == (number & Hint::kNumberMask));
  // The same slot of the next lap holds another entry.
  CHECK(entry != Hint::Encode(page, number + SourceTableLayout::kHintSlots));
}

TEST_CASE("an untouched hint slot is never taken for a hint", "[page][claim]") {
  CHECK(Hint::Number(0) == 0);
  CHECK(Hint::Number(Hint::Encode(0, 1)) == 1);
}

}  // namespace
}  // namespace farfault
