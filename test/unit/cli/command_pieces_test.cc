#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "farfault/guest_memory.h"
#include "lib/cli/demo/judge.h"
#include "lib/cli/demo/method.h"
#include "lib/cli/demo/report.h"
#include "lib/cli/demo/role_link.h"
#include "lib/cli/demo/role_support.h"
#include "lib/cli/demo/throughput_plot.h"
#include "lib/cli/image_name.h"
#include "lib/cli/sha256.h"
#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"
#include "lib/cli/touch_pattern.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

TEST_CASE("A served file's name and length survive the journey in a region's name") {
  CHECK(MakeImageName("/var/lib/image.bin", 12345) == "image.bin#12345");
  const std::string longest = MakeImageName(std::string(200, 'x') + "end", UINT64_MAX);
  CHECK(longest.size() == kMaxRegionName);
  const ImageName parsed = ParseImageName("image#1.bin#12345", 16384, 4096);
  CHECK(parsed.file == "image#1.bin");
  CHECK(parsed.bytes == 12345);
  CHECK(ParseImageName("plain", 8192, 4096).bytes == 8192);
  // Lengths that no file in such a region has.
  for (const std::string name : {"f#8193", "f#4096", "f#", "f#12x", "f#99999999999999999999"}) {
    INFO(name);
    CHECK(ParseImageName(name, 8192, 4096).bytes == 8192);
    CHECK(ParseImageName(name, 8192, 4096).file == name);
  }
  CHECK(ParseImageName("f#4097", 8192, 4096).bytes == 4097);
  CHECK(ParseImageName("f#8192", 8192, 4096).file == "f");
}

TEST_CASE("SHA-256 is that of the standard") {
  const std::string abc = "abc";
  CHECK(Sha256(std::as_bytes(std::span(abc)), nullptr).value() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(Sha256({}, nullptr).value() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("Every pattern touches every page once") {
  for (const TouchPattern pattern : {TouchPattern::kRandom, TouchPattern::kSequential, TouchPattern::kStrided}) {
    for (const std::uint64_t pages : {0u, 1u, 17u, 1000u}) {
      for (const std::uint64_t stride : {1u, 16u, 5000u}) {
        const std::vector<std::uint64_t> order = TouchOrder(pattern, pages, stride, 3);
        const std::set<std::uint64_t> distinct(order.begin(), order.end());
        REQUIRE(order.size() == pages);
        REQUIRE(distinct.size() == pages);
        REQUIRE((pages == 0 || *distinct.rbegin() == pages - 1));
      }
    }
  }
  CHECK(TouchOrder(TouchPattern::kStrided, 6, 4, 0) == std::vector<std::uint64_t>{0, 4, 1, 5, 2, 3});
  CHECK_FALSE(std::ranges::is_sorted(TouchOrder(TouchPattern::kRandom, 1000, 1, 3)));
  CHECK(TouchOrder(TouchPattern::kRandom, 1000, 1, 3) != TouchOrder(TouchPattern::kRandom, 1000, 1, 4));
  CHECK_FALSE(ParseTouchPattern("zigzag").ok());
}

TEST_CASE("Methods are chosen by name") {
  CHECK(ParseMethods("every").value().size() == KnownMethods().size());
  const std::vector<Method> two = ParseMethods("all,demand").value();
  REQUIRE(two.size() == 2);
  CHECK((two[0].push && two[0].prepage));
  CHECK((two[1].fetch_rest() && !two[1].prepage));
  for (const std::string_view bad : {"", "teleport", "demand,", "every,push"}) CHECK_FALSE(ParseMethods(bad).ok());
}

TEST_CASE("A link between processes keeps lines apart and notices the end") {
  auto [here, there] = RoleLink::CreatePair().value();
  REQUIRE(here->Send("one", {{"text", "line\nbreak"}}).ok());
  REQUIRE(here->Send("two", {{"long", std::string(100'000, 'x')}}).ok());
  CHECK((*there->Receive(Deadline::Never()))["text"] == "line\nbreak");
  CHECK((*there->Receive(Deadline::Never()))["kind"] == "two");
  CHECK(absl::IsDeadlineExceeded(there->Receive(Deadline::Now()).status()));
  here.reset();
  CHECK(absl::IsUnavailable(there->Receive(Deadline::Never()).status()));
  CHECK(absl::IsUnavailable(there->Send("three")));
}

TEST_CASE("The destination's ledger starts as the source's is at that moment, and then is its own") {
  GuestPlan plan;
  plan.bytes = 4 << 20;
  plan.page_size = 4096;
  plan.threads = 2;
  Judge source = Judge::Create(plan).value();
  Judge destination = Judge::Open(source.fd(), plan, Judge::View::kDestination).value();
  source.ledger(1).word_updates[5] = 42;
  CHECK(destination.ledger(1).word_updates[5] == 42);
  CHECK(destination.ledger(0).word_updates[5] == 0);
  destination.ledger(1).word_updates[5] = 43;
  CHECK(source.ledger(1).word_updates[5] == 42);
  source.page_digests()[plan.pages() - 1] = 7;
  CHECK(destination.page_digests()[plan.pages() - 1] == 7);

  source.RestartTimelines();
  destination.timeline(Judge::Side::kDestination, 1).Count(source.epoch() + 25'000'000);
  destination.timeline(Judge::Side::kDestination, 0).Count(source.epoch() + 25'000'000);
  destination.timeline(Judge::Side::kDestination, 0).Count(source.epoch() - 1);
  CHECK(source.OperationsPerSlice(Judge::Side::kDestination) == std::vector<std::uint64_t>{0, 0, 2});
  CHECK(source.OperationsPerSlice(Judge::Side::kSource).empty());
  source.RestartTimelines();
  CHECK(source.OperationsPerSlice(Judge::Side::kDestination).empty());
}

MethodResult SomeResult() {
  MethodResult result;
  result.method = KnownMethods().front();
  result.epoch = 1'000'000'000;
  result.source.began_at = result.epoch;
  result.source.stopped_at = result.epoch + 123'000'000;
  result.destination.resumed_at = result.source.stopped_at + 456'700;
  result.destination.resident_at = result.source.stopped_at + 400'000'000;
  result.source_slices.assign(12, 5);
  result.destination_slices.assign(60, 0);
  std::fill(result.destination_slices.begin() + 12, result.destination_slices.end(), 7);
  return result;
}

TEST_CASE("Throughput is counted in intervals that begin at the switchover") {
  const Throughput throughput = ThroughputOf(SomeResult());
  // Slices 2…11 are the source's; the switchover is in slice 12.
  REQUIRE(throughput.switchover == 2);
  CHECK(throughput.per_second[0] == 25 * 20);
  CHECK(throughput.per_second[1] == 25 * 20);
  CHECK(throughput.per_second[2] == 35 * 20);
  CHECK(throughput.per_second.size() == 11);
}

TEST_CASE("JSON has the keys that scripts rely on") {
  const nlohmann::json json = ToJson(SomeResult());
  for (const std::string_view key :
       {"method", "downtime_us", "total_ms", "faults_network", "faults_local", "stall_us", "bytes", "pages",
        "duplicates", "verified_pages", "wrong_pages", "wrong_answers"}) {
    INFO(key);
    CHECK(json.contains(key));
  }
  for (const std::string_view key : {"p50", "p99", "max", "sum"}) CHECK(json["stall_us"].contains(key));
  CHECK(json["downtime_us"] == 456.7);
  CHECK(json["total_ms"] == 523.0);
}

TEST_CASE("Table, picture and JSON have one total time and say what it is") {
  const MethodResult result = SomeResult();
  CHECK(TotalTime(result) == 523'000'000);
  const std::string table = RenderResults({result}, 200);
  const std::string svg = PlotThroughput({result}, "subtitle");
  CHECK(ToJson(result)["total_ms"] == 523.0);
  CHECK(table.find(" 523 ms ") != std::string::npos);
  CHECK(svg.find("total time 523 ms ") != std::string::npos);
  for (const std::string& text : {table, svg}) CHECK(text.find(kTotalTimeIs) != std::string::npos);
  CHECK(svg.find("0.40 s") == std::string::npos);
}

TEST_CASE("A terminal that is too narrow for the table gets a column per method") {
  std::vector<MethodResult> results;
  for (const Method& method : KnownMethods()) {
    results.push_back(SomeResult());
    results.back().method = method;
    results.back().destination.bytes = std::uint64_t{1000} << 20;
  }
  const std::string table = RenderResults(results, 80);
  const std::vector<std::string> lines = absl::StrSplit(table, '\n');
  for (const std::string& line : lines) {
    if (line != kTotalTimeIs) CHECK(DisplayWidth(line) <= 80);
  }
  for (const Method& method : KnownMethods()) CHECK(lines[0].find(method.title) != std::string::npos);
  for (const char* const heading : {"downtime ", "total time ", "stall p99 ", "wrong answers "}) {
    INFO(heading);
    CHECK(std::ranges::any_of(lines, [&](const std::string& line) { return line.starts_with(heading); }));
  }
  CHECK(table.find(FormatBytes(results[0].destination.bytes) + "  ") != std::string::npos);
}

TEST_CASE("What two roles say of one failure is said once") {
  const std::string cause = "cannot get a userfaultfd; remedy: run as root";
  const std::string here = "destination: preparing: " + cause;
  const std::string there = "source: connecting: the peer says: " + cause;
  CHECK(BothComplaints(here, there) == here);
  CHECK(BothComplaints(there, here) == here);
  // Long texts are cut short on their way.
  CHECK(BothComplaints(here, there.substr(0, there.size() - 4)) == here);
  CHECK(BothComplaints("source: connecting: refused", here) == "source: connecting: refused (" + here + ")");
}

TEST_CASE("The picture is well-formed and shows each method") {
  MethodResult other = SomeResult();
  other.method = KnownMethods().back();
  const std::string svg = PlotThroughput({SomeResult(), other}, "subtitle");
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find(">demand paging<") != std::string::npos);
  CHECK(svg.find(">all three<") != std::string::npos);
  CHECK(svg.find("457 µs") != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
}

}  // namespace
}  // namespace farfault
