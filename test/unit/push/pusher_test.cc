#include "lib/push/pusher.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "test/support/fake_placement.h"
#include "test/support/fill.h"
#include "test/support/push_harness.h"

namespace farfault {
namespace {

constexpr PushOptions kSmall{.enabled = true, .window_bytes = 1024, .batch_bytes = 512};

// Polls, completing everything, until nothing happens any more.
void RunToEnd(PushHarness& harness, Pusher& pusher) {
  for (int round = 0; round < 10000; ++round) {
    const bool progress = pusher.Poll();
    for (const auto& channel : harness.channels) channel->Complete();
    if (!progress && pusher.idle()) return;
  }
  FAIL("the push does not come to an end");
}

TEST_CASE("a batch is its writes and then its run list, alone signalled", "[push]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  CHECK_FALSE(pusher->Poll());  // Neither offers nor a push.
  pusher->StartPush();
  REQUIRE(pusher->Poll());
  const std::vector<ScriptedChannel::Posted> posted = harness.channels[0]->posted();
  REQUIRE(posted.size() == 2);
  CHECK(posted[0].chain == posted[1].chain);
  CHECK(posted[0].request.opcode == Opcode::kWrite);
  CHECK_FALSE(posted[0].request.signaled);
  CHECK(posted[0].request.length == 512);
  CHECK(posted[0].request.remote_key == 11);
  CHECK(posted[0].request.local_key == 21);
  CHECK(posted[1].request.opcode == Opcode::kSend);
  CHECK(posted[1].request.signaled);
  const PostedList list = DecodeRunList(posted[1].bytes);
  CHECK(list.header.magic == RunListHeader::kMagic);
  CHECK(list.header.number == 1);
  CHECK(list.header.flags == 0);
  CHECK(list.runs == std::vector<PageRun>{{0, 8}});
  CHECK(harness.claim(0) == Claim::kPosted);
  CHECK(harness.claim(7) == Claim::kPosted);
  CHECK(harness.claim(8) == Claim::kFree);
  CHECK(pusher->lists_sent(0) == 1);
}

TEST_CASE("what is known to be no hole is pushed first, and claimed like the rest", "[push]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->Offer({0, 8});
  RunToEnd(harness, *pusher);
  CHECK(harness.TakeLists().size() == 1);
  pusher->MarkStale({2, 3});
  harness.Want(3);
  const std::vector<PageRun> stale = {{2, 3}};
  pusher->PushFirst(stale);
  RunToEnd(harness, *pusher);
  std::vector<PageRun> pushed;
  for (const PostedList& list : harness.TakeLists()) {
    CHECK(list.header.flags == 0);
    pushed.insert(pushed.end(), list.runs.begin(), list.runs.end());
  }
  CHECK(pushed == std::vector<PageRun>{{2, 1}, {4, 1}});
  CHECK(harness.claim(2) == Claim::kPosted);
  CHECK(harness.claim(3) == Claim::kFree);
  CHECK_FALSE(pusher->complete());
  pusher->StartPush();
  RunToEnd(harness, *pusher);
  CHECK(pusher->complete());
  // The wanted page, which the destination reads by itself, and nothing twice.
  CHECK(harness.claim(3) == Claim::kYielded);
  CHECK(pusher->counters().pages_yielded == 1);
  CHECK(pusher->counters().pages_sent == 8 + 2 + (64 - 8));
}

TEST_CASE("no more bytes are on their way than the window allows", "[push]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->StartPush();
  while (pusher->Poll()) CHECK(pusher->bytes_in_flight() <= kSmall.window_bytes);
  CHECK(pusher->bytes_in_flight() == 1024);
  harness.channels[0]->Complete(1);  // The first WRITE: vouches for nothing yet.
  CHECK_FALSE(pusher->Poll());
  harness.channels[0]->Complete(1);
  CHECK(pusher->Poll());
  CHECK(pusher->bytes_in_flight() == 1024);
  CHECK(pusher->counters().bytes_sent == 3ul * 512);
}

TEST_CASE("every page arrives once, and the push says when it is complete", "[push]") {
  const std::size_t channels = GENERATE(1u, 2u, 8u);
  PushHarness harness({.regions = {{{0, 50}, 64}, {{50, 10}, 256}}, .channels = channels});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->StartPush();
  CHECK_FALSE(pusher->complete());
  RunToEnd(harness, *pusher);
  CHECK(pusher->complete());
  CHECK(pusher->counters().pages_sent == 60);
  CHECK(pusher->counters().bytes_sent == 50 * 64 + 10 * 256);
  for (PageIndex page = 0; page < 60; ++page) CHECK(HasPattern(harness.frame(page), page));
}

TEST_CASE("wanted pages are yielded and holes are left out", "[push]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  for (const PageIndex page : {0u, 3u, 63u}) harness.Want(page);
  pusher->MarkHole({10, 5});
  pusher->StartPush();
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_yielded == 3);
  CHECK(pusher->counters().pages_sent == 64 - 3 - 5);
  for (const PageIndex page : {0u, 3u, 63u}) {
    CHECK(harness.claim(page) == Claim::kYielded);
    CHECK(AllZero(harness.frame(page)));
  }
  for (PageIndex page = 10; page < 15; ++page) {
    CHECK(harness.claim(page) == Claim::kFree);
    CHECK(AllZero(harness.frame(page)));
  }
  CHECK(HasPattern(harness.frame(4), 4));
}

TEST_CASE("pages that a full run list has no room for become free again and are pushed later", "[push]") {
  PushHarness harness({.regions = {{{0, 100}, 8}}});
  for (PageIndex page = 1; page < 100; page += 2) harness.Want(page);
  const auto pusher = harness.MakePusher({.window_bytes = 2048, .batch_bytes = 1024});
  pusher->StartPush();
  REQUIRE(pusher->Poll());
  CHECK(harness.TakeLists().front().runs.size() == kMaxRunsPerList);
  CHECK(harness.claim(62) == Claim::kPosted);
  CHECK(harness.claim(64) == Claim::kFree);
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 50);
  CHECK(pusher->counters().pages_yielded == 50);
  for (PageIndex page = 0; page < 100; ++page) {
    CHECK(harness.claim(page) == (page % 2 == 1 ? Claim::kYielded : Claim::kPosted));
  }
}

TEST_CASE("a page that is wanted while its claim was taken back is yielded the next time", "[push]") {
  PushHarness harness({.regions = {{{0, 100}, 8}}});
  for (PageIndex page = 1; page < 64; page += 2) harness.Want(page);
  const auto pusher = harness.MakePusher({.window_bytes = 2048, .batch_bytes = 1024});
  pusher->StartPush();
  REQUIRE(pusher->Poll());
  REQUIRE(harness.claim(64) == Claim::kFree);
  harness.Want(64);
  RunToEnd(harness, *pusher);
  CHECK(harness.claim(64) == Claim::kYielded);
}

TEST_CASE("a full channel keeps its batch until there is room", "[push]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->StartPush();
  harness.channels[0]->AnswerPostsWith(PostResult::kFull);
  CHECK(pusher->Poll());
  CHECK_FALSE(pusher->Poll());
  CHECK_FALSE(pusher->idle());
  CHECK(harness.channels[0]->posted().empty());
  harness.channels[0]->AnswerPostsWith(PostResult::kOk);
  RunToEnd(harness, *pusher);
  CHECK(pusher->complete());
  for (PageIndex page = 0; page < 64; ++page) CHECK(HasPattern(harness.frame(page), page));
}

TEST_CASE("lists in use never outgrow the send queue or their own ring", "[push]") {
  PushHarness harness({.regions = {{{0, 4096}, 8}}, .send_slots = 40});
  const auto pusher = harness.MakePusher({.window_bytes = 1u << 20, .batch_bytes = 8});
  pusher->StartPush();
  while (pusher->Poll()) {
  }
  CHECK(harness.channels[0]->outstanding() <= 40);
  CHECK_FALSE(pusher->broken());
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 4096);

  PushHarness wide({.regions = {{{0, 4096}, 8}}, .send_slots = 4096});
  const auto many = wide.MakePusher({.window_bytes = 1u << 20, .batch_bytes = 8});
  many->StartPush();
  while (many->Poll()) {
  }
  CHECK(many->lists_sent(0) == Pusher::kListsPerChannel);
}

TEST_CASE("a broken channel or a failed request breaks the push", "[push]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->StartPush();
  REQUIRE(pusher->Poll());
  SECTION("a failed request") { harness.channels[0]->CompleteWith(CompletionStatus::kError); }
  SECTION("a broken channel") { harness.channels[0]->Break(); }
  SECTION("a channel that takes nothing any more") {
    harness.channels[0]->Complete();
    harness.channels[0]->AnswerPostsWith(PostResult::kBroken);
  }
  pusher->Poll();
  pusher->Poll();
  CHECK(pusher->broken());
  CHECK_FALSE(pusher->complete());
}

TEST_CASE("pre-paging sends what is offered, flags it, and claims nothing", "[push][prepage]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->Offer({4, 4});
  pusher->Offer({6, 4});
  RunToEnd(harness, *pusher);
  CHECK_FALSE(pusher->has_offers());
  CHECK_FALSE(pusher->complete());
  CHECK(pusher->counters().pages_sent == 6);
  CHECK(pusher->settled().NextSet(0, 64) == PageRun{4, 6});
  CHECK(harness.claim(4) == Claim::kFree);
  const std::vector<PostedList> lists = harness.TakeLists();
  REQUIRE(lists.size() == 1);
  CHECK(lists[0].header.flags == RunListHeader::kPrePaged);
  CHECK(lists[0].runs == std::vector<PageRun>{{4, 4}, {8, 2}});
  pusher->StartPush();
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 64);
}

TEST_CASE("what the guest has from an earlier session is not pre-paged, and yielded by the push", "[push][prepage]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  for (const PageIndex page : {0u, 5u, 6u, 63u}) harness.Want(page);
  pusher->Offer({0, 64});
  RunToEnd(harness, *pusher);
  CHECK_FALSE(pusher->has_offers());
  CHECK(pusher->counters().pages_sent == 60);
  // Written at the source: no reason either.
  pusher->MarkStale({4, 4});
  pusher->Offer({4, 4});
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 62);
  pusher->StartPush();
  RunToEnd(harness, *pusher);
  CHECK(pusher->complete());
  CHECK(pusher->counters().pages_yielded == 4);
  for (PageIndex page = 0; page < 64; ++page) {
    const bool the_guests = page == 0 || page == 5 || page == 6 || page == 63;
    CHECK((the_guests ? AllZero(harness.frame(page)) : HasPattern(harness.frame(page), page)));
  }
}

TEST_CASE("what became stale is sent again when it is offered again", "[push][prepage]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->Offer({0, 8});
  RunToEnd(harness, *pusher);
  pusher->MarkStale({2, 1});
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 8);
  FillPattern(std::span(harness.memory[0]).subspan(2ul * 64, 64), 2, 1);
  pusher->Offer({0, 8});
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 9);
  CHECK(HasPattern(harness.frame(2), 2, 1));
}

TEST_CASE("an offer sends a page once, however often it is written meanwhile", "[push][prepage]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->Offer({0, 64});
  int rounds = 0;
  for (; pusher->has_offers() && rounds < 1000; ++rounds) {
    pusher->Poll();
    harness.channels[0]->Complete();
    pusher->MarkStale({0, 1});
  }
  CHECK(rounds < 1000);
  CHECK(pusher->counters().pages_sent == 64);
}

TEST_CASE("dropped offers are not sent", "[push][prepage]") {
  PushHarness harness({});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->Offer({0, 64});
  pusher->DropOffers();
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 0);
}

TEST_CASE("a page that is larger than the window goes alone", "[push]") {
  PushHarness harness({.regions = {{{0, 4}, 4096}}});
  const auto pusher = harness.MakePusher(kSmall);
  pusher->StartPush();
  REQUIRE(pusher->Poll());
  CHECK_FALSE(pusher->Poll());
  CHECK(pusher->bytes_in_flight() == 4096);
  RunToEnd(harness, *pusher);
  CHECK(pusher->complete());
}

}  // namespace
}  // namespace farfault
