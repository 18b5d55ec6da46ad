#include "lib/fault/uffd_feed.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

// A pipe in the place of the kernel: what is written is what the userfaultfd reports.
struct Kernel {
  Kernel() {
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    auto created = GuestMemory::Create(
        {{.name = "high", .base = At(0x900000), .length = 16 * kSmallPage},
         {.name = "low", .base = At(0x100000), .length = 4 * kSmallPage},
         {.name = "next", .base = At(0x104000), .length = 4 * kSmallPage},
         {.name = "huge", .base = At(64 * kHugePage), .length = 4 * kHugePage, .page_size = kHugePage}});
    REQUIRE(created.ok());
    memory = *std::move(created);
    feed.emplace(reader.get(), memory);
  }

  static std::byte* At(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

  void Report(const uffd_msg& message) const {
    REQUIRE(write(writer.get(), &message, sizeof message) == sizeof message);
  }
  void Fault(std::uint64_t address, bool for_writing = false) const {
    uffd_msg message{};
    message.event = UFFD_EVENT_PAGEFAULT;
    message.arg.pagefault.flags = for_writing ? UFFD_PAGEFAULT_FLAG_WRITE : 0;
    message.arg.pagefault.address = address;
    Report(message);
  }
  void Discard(std::uint64_t begin, std::uint64_t end, std::uint8_t event = UFFD_EVENT_REMOVE) const {
    uffd_msg message{};
    message.event = event;
    message.arg.remove.start = begin;
    message.arg.remove.end = end;
    Report(message);
  }

  UniqueFd reader;
  UniqueFd writer;
  GuestMemory memory;
  std::optional<UffdFaultFeed> feed;
};

TEST_CASE("nothing to read is no event", "[fault][feed]") {
  Kernel kernel;
  std::array<FeedEvent, 4> out;
  const FeedResult result = kernel.feed->Drain(out);
  CHECK(result.status == FeedStatus::kOk);
  CHECK(result.events == 0);
}

TEST_CASE("addresses become pages, at the edges too", "[fault][feed]") {
  Kernel kernel;
  struct Case {
    std::uint64_t address;
    PageIndex page;
  };
  const std::vector<Case> cases{{0x900000, 0},  {0x90ffff, 15}, {0x100000, 16},       {0x103fff, 19},
                                {0x104000, 20}, {0x107fff, 23}, {64 * kHugePage, 24}, {68 * kHugePage - 1, 27}};
  for (const Case& one : cases) kernel.Fault(one.address, one.page % 2 == 1);
  std::array<FeedEvent, 16> out;
  const FeedResult result = kernel.feed->Drain(out);
  REQUIRE(result.events == cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CHECK(out[i].kind == FeedEventKind::kFault);
    CHECK(out[i].run == PageRun{cases[i].page, 1});
    CHECK(out[i].write == (cases[i].page % 2 == 1));
  }
}

TEST_CASE("no more events than fit, in order, none lost", "[fault][feed]") {
  Kernel kernel;
  for (std::uint64_t i = 0; i < 16; ++i) kernel.Fault(0x900000 + i * kSmallPage);
  std::array<FeedEvent, 5> out;
  std::vector<PageIndex> seen;
  for (;;) {
    const FeedResult result = kernel.feed->Drain(out);
    if (result.events == 0) break;
    for (std::size_t i = 0; i < result.events; ++i) seen.push_back(out[i].run.first);
  }
  REQUIRE(seen.size() == 16);
  for (PageIndex page = 0; page < 16; ++page) CHECK(seen[page] == page);
}

TEST_CASE("a discard is cut at regions and counts whole pages only", "[fault][feed]") {
  Kernel kernel;
  std::array<FeedEvent, 8> out;
  SECTION("across two regions, with the rest when there is room again") {
    kernel.Discard(0x102000, 0x106000);
    kernel.Fault(0x900000);
    CHECK(kernel.feed->Drain(std::span(out).first(1)).events == 1);
    CHECK(out[0].kind == FeedEventKind::kDiscard);
    CHECK(out[0].run == PageRun{18, 2});
    CHECK(kernel.feed->has_pending());
    REQUIRE(kernel.feed->Drain(out).events == 1);
    CHECK(out[0].kind == FeedEventKind::kDiscard);
    CHECK(out[0].run == PageRun{20, 2});
    CHECK_FALSE(kernel.feed->has_pending());
    REQUIRE(kernel.feed->Drain(out).events == 1);
    CHECK(out[0].kind == FeedEventKind::kFault);
  }
  SECTION("beyond the regions") {
    kernel.Discard(0, 0x101000, UFFD_EVENT_UNMAP);
    REQUIRE(kernel.feed->Drain(out).events == 1);
    CHECK(out[0].run == PageRun{16, 1});
    kernel.Discard(0x200000, 0x300000);
    CHECK(kernel.feed->Drain(out).events == 0);
    CHECK(kernel.feed->status().ok());
  }
  SECTION("parts of huge pages") {
    kernel.Discard(65 * kHugePage - kSmallPage, 67 * kHugePage + kSmallPage);
    REQUIRE(kernel.feed->Drain(out).events == 1);
    CHECK(out[0].run == PageRun{25, 2});
  }
}

TEST_CASE("what cannot be answered is a failure with a reason, after what came before it", "[fault][feed]") {
  Kernel kernel;
  std::array<FeedEvent, 8> out;
  SECTION("a fault in no region") {
    for (const std::uint64_t address : {0xfffffull, 0x108000ull, 0x910000ull}) {
      Kernel other;
      other.Fault(address);
      CHECK(other.feed->Drain(out).status == FeedStatus::kFailed);
    }
    kernel.Fault(0x900000);
    kernel.Fault(0x800000);
    const FeedResult result = kernel.feed->Drain(out);
    CHECK(result.status == FeedStatus::kOk);
    CHECK(result.events == 1);
    CHECK(kernel.feed->Drain(out).status == FeedStatus::kFailed);
    CHECK_THAT(std::string(kernel.feed->status().message()), ContainsSubstring("0x800000"));
  }
  SECTION("an event that nobody asked for") {
    kernel.Report({.event = UFFD_EVENT_FORK, .reserved1 = 0, .reserved2 = 0, .reserved3 = 0, .arg = {}});
    CHECK(kernel.feed->Drain(out).status == FeedStatus::kFailed);
    CHECK_FALSE(kernel.feed->status().ok());
  }
  SECTION("a descriptor that cannot be read") {
    UffdFaultFeed broken(-1, kernel.memory);
    CHECK(broken.Drain(out).status == FeedStatus::kFailed);
    CHECK_FALSE(broken.status().ok());
  }
}

}  // namespace
}  // namespace farfault
