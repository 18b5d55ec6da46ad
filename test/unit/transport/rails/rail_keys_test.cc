#include "lib/transport/rails/rail_keys.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <set>
#include <vector>

namespace farfault {
namespace {

std::uint32_t MustAdd(RailKeyBook& book, std::uint32_t base, bool open) {
  const auto key = book.Add({.local = {base, base + 1}, .remote = {base + 2, base + 3}, .open = open});
  REQUIRE(key.ok());
  return *key;
}

TEST_CASE("a key stands for one on each rail until its memory is gone") {
  RailKeyBook book;
  const std::uint32_t key = MustAdd(book, 10, false);
  CHECK(key != 0);
  CHECK(book.LocalKey(0, key) == 10);
  CHECK(book.LocalKey(1, key) == 11);
  CHECK(book.LocalKey(0, key ^ 1) == 0);
  CHECK(book.PeersKey(0, key) == 0);
  book.Remove(key);
  CHECK(book.LocalKey(0, key) == 0);
  CHECK(book.LocalKey(0, 0) == 0);
}

TEST_CASE("the peer learns what is open to it, once, and nothing else") {
  RailKeyBook own;
  RailKeyBook peer;
  const std::uint32_t first = MustAdd(own, 10, true);
  const std::uint32_t closed = MustAdd(own, 20, false);
  const std::uint32_t gone = MustAdd(own, 30, true);
  own.Remove(gone);
  std::uint64_t since = 0;
  const std::vector<RailKeys> news = own.Registered(since);
  REQUIRE(news.size() == 1);
  CHECK(news[0].key == first);
  CHECK(own.Registered(since).empty());
  peer.Learn(news);
  CHECK(peer.PeersKey(0, first) == 12);
  CHECK(peer.PeersKey(1, first) == 13);
  CHECK(peer.PeersKey(0, closed) == 0);
  CHECK(peer.LocalKey(0, first) == 0);

  const std::uint32_t later = MustAdd(own, 40, true);
  const std::vector<RailKeys> more = own.Registered(since);
  REQUIRE(more.size() == 1);
  CHECK(more[0].key == later);
  // Whoever comes anew hears all.
  std::uint64_t fresh = 0;
  CHECK(own.Registered(fresh).size() == 2);
  CHECK(fresh == since);
}

TEST_CASE("a peer that repeats a key, or says key 0, changes only what it may use itself") {
  RailKeyBook book;
  const std::uint32_t own = MustAdd(book, 10, true);
  book.Learn(std::vector<RailKeys>{{.key = own, .on_rail = {7, 8}}, {.key = 0, .on_rail = {5, 5}}});
  CHECK(book.PeersKey(1, own) == 8);
  CHECK(book.PeersKey(0, 0) == 0);
  CHECK(book.LocalKey(0, own) == 10);
  // The younger of two keys with one entry counts.
  const auto twin = static_cast<std::uint32_t>(own + RailKeyTable::kEntries);
  book.Learn(std::vector<RailKeys>{{.key = twin, .on_rail = {9, 9}}});
  CHECK(book.PeersKey(0, twin) == 9);
  CHECK(book.PeersKey(0, own) == 0);
}

TEST_CASE("keys differ, and there is an end to them") {
  RailKeyBook book;
  std::set<std::uint32_t> keys;
  for (std::size_t i = 0; i < RailKeyBook::kMostRegistrations; ++i) {
    keys.insert(MustAdd(book, static_cast<std::uint32_t>(4 * i + 1), true));
  }
  CHECK(keys.size() == RailKeyBook::kMostRegistrations);
  CHECK(absl::IsResourceExhausted(book.Add({}).status()));
  book.Remove(*keys.begin());
  CHECK(book.Add({}).ok());
  std::uint64_t since = 0;
  CHECK(book.Registered(since).size() == RailKeyBook::kMostRegistrations - 1);
}

}  // namespace
}  // namespace farfault
