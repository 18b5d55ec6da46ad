#include "lib/transport/verbs/request_ledger.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <vector>

namespace farfault {
namespace {

std::vector<Completion> ReapAll(RequestLedger& ledger) {
  std::vector<Completion> all;
  std::array<Completion, 3> some;
  while (const std::size_t count = ledger.Reap(some)) all.insert(all.end(), some.begin(), some.begin() + count);
  return all;
}

TEST_CASE("a request that is done vouches for those before it, and only signalled ones are told") {
  RequestLedger ledger(8);
  ledger.Add(10, Opcode::kWrite, false);
  ledger.Add(11, Opcode::kWrite, true);
  ledger.Add(12, Opcode::kWrite, false);
  ledger.Add(13, Opcode::kRead, true);
  CHECK(!ledger.has_news());
  ledger.Settle(3, Fate::kDone);
  CHECK(ledger.unsettled() == 0);
  CHECK(ledger.has_news());
  const std::vector<Completion> told = ReapAll(ledger);
  REQUIRE(told.size() == 2);
  CHECK(told[0].id == 11);
  CHECK(told[1].id == 13);
  CHECK(told[1].opcode == Opcode::kRead);
  CHECK(told[1].status == CompletionStatus::kOk);
  CHECK(!ledger.has_news());
}

TEST_CASE("slots are free when the owner has been told, or did not want to be") {
  RequestLedger ledger(4);
  ledger.Add(0, Opcode::kWrite, false);
  ledger.Add(1, Opcode::kWrite, true);
  ledger.Add(2, Opcode::kWrite, true);
  CHECK(ledger.HasRoom(1));
  CHECK(!ledger.HasRoom(2));
  ledger.Settle(1, Fate::kDone);
  // The first is of no interest; the second still has to be told.
  CHECK(ledger.HasRoom(2));
  CHECK(!ledger.HasRoom(3));
  std::array<Completion, 1> one;
  CHECK(ledger.Reap(one) == 1);
  CHECK(ledger.HasRoom(3));
  CHECK(!ledger.HasRoom(4));
}

TEST_CASE("slots of quiet requests come back although nobody asks for completions") {
  for (const std::uint32_t slots : {1u, 2u, 3u, 5u, 16u, 100u}) {
    RequestLedger ledger(slots);
    int posted = 0;
    std::uint64_t last_spoken = 0;
    bool spoken = false;
    // The device settles only what it was asked to speak of, and only once there is no room any more.
    while (posted < 1000) {
      if (!ledger.HasRoom(1)) {
        REQUIRE(spoken);
        ledger.Settle(last_spoken, Fate::kDone);
        spoken = false;
        continue;
      }
      const std::uint64_t number = ledger.next();
      if (ledger.Add(0, Opcode::kWrite, false)) {
        last_spoken = number;
        spoken = true;
      }
      ++posted;
    }
    CHECK(!ledger.has_news());
  }
}

TEST_CASE("one request fails, what is behind it and unconfirmed before it is flushed") {
  RequestLedger ledger(8);
  for (std::uint64_t id = 0; id < 5; ++id) ledger.Add(id, Opcode::kSend, true);
  ledger.Settle(0, Fate::kDone);
  ledger.Settle(2, Fate::kFailed);
  ledger.Settle(3, Fate::kFailed);
  ledger.Settle(4, Fate::kFlushed);
  const std::vector<Completion> told = ReapAll(ledger);
  REQUIRE(told.size() == 5);
  CHECK(told[0].status == CompletionStatus::kOk);
  CHECK(told[1].status == CompletionStatus::kFlushed);
  CHECK(told[2].status == CompletionStatus::kError);
  CHECK(told[3].status == CompletionStatus::kFlushed);
  CHECK(told[4].status == CompletionStatus::kFlushed);
}

TEST_CASE("requests that never come back are flushed, once") {
  RequestLedger ledger(8);
  for (std::uint64_t id = 0; id < 4; ++id) ledger.Add(id, Opcode::kReceive, true);
  ledger.Settle(0, Fate::kDone, 77);
  ledger.FlushAll();
  CHECK(ledger.unsettled() == 0);
  const std::vector<Completion> told = ReapAll(ledger);
  REQUIRE(told.size() == 4);
  CHECK(told[0].status == CompletionStatus::kOk);
  CHECK(told[0].length == 77);
  for (std::size_t i = 1; i < 4; ++i) CHECK(told[i].status == CompletionStatus::kFlushed);
  CHECK(ReapAll(ledger).empty());
}

TEST_CASE("numbers that make no sense change nothing") {
  RequestLedger ledger(4);
  ledger.Add(5, Opcode::kWrite, true);
  ledger.Settle(1, Fate::kDone);
  ledger.Settle(~std::uint64_t{0}, Fate::kFailed);
  CHECK(ledger.unsettled() == 1);
  ledger.Settle(0, Fate::kDone);
  ledger.Settle(0, Fate::kFailed);
  const std::vector<Completion> told = ReapAll(ledger);
  REQUIRE(told.size() == 1);
  CHECK(told[0].status == CompletionStatus::kOk);
}

TEST_CASE("a chain that the device takes only in part is not told at all") {
  RequestLedger ledger(4);
  ledger.Add(0, Opcode::kWrite, true);
  const std::uint64_t first = ledger.next();
  for (std::uint64_t id = 1; id < 4; ++id) ledger.Add(id, Opcode::kWrite, true);
  ledger.TakeBack(2);
  ledger.Silence(first);
  CHECK(ledger.unsettled() == 2);
  ledger.Settle(0, Fate::kFlushed);
  ledger.Settle(1, Fate::kFlushed);
  const std::vector<Completion> told = ReapAll(ledger);
  REQUIRE(told.size() == 1);
  CHECK(told[0].id == 0);
}

TEST_CASE("numbers go on past the capacity") {
  RequestLedger ledger(3);
  for (std::uint64_t id = 0; id < 100; ++id) {
    REQUIRE(ledger.HasRoom(1));
    ledger.Add(id, Opcode::kRead, true);
    ledger.Settle(id, Fate::kDone);
    const std::vector<Completion> told = ReapAll(ledger);
    REQUIRE(told.size() == 1);
    CHECK(told[0].id == id);
  }
}

}  // namespace
}  // namespace farfault
