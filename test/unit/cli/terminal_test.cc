#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "lib/cli/terminal/progress_bar.h"
#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"

namespace farfault {
namespace {

TEST_CASE("Bytes are written with three digits and binary units") {
  CHECK(FormatBytes(0) == "0 B");
  CHECK(FormatBytes(1023) == "1023 B");
  CHECK(FormatBytes(1024) == "1.00 KiB");
  CHECK(FormatBytes(1536u << 10) == "1.50 MiB");
  CHECK(FormatBytes(123u << 20) == "123 MiB");
  CHECK(FormatBytes(1023u << 20) == "1.00 GiB");
  CHECK(FormatBytes(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("Durations are written with three digits") {
  CHECK(FormatNanos(0) == "0 ns");
  CHECK(FormatNanos(999) == "999 ns");
  CHECK(FormatNanos(1'000) == "1.00 µs");
  CHECK(FormatNanos(45'600) == "45.6 µs");
  CHECK(FormatNanos(999'700) == "1.00 ms");
  CHECK(FormatNanos(12'340'000'000) == "12.3 s");
  CHECK(FormatNanos(303'000'000'000) == "5 min 03 s");
  CHECK(FormatNanos(-1'500) == "-1.50 µs");
}

TEST_CASE("Counts are grouped") {
  CHECK(FormatCount(0) == "0");
  CHECK(FormatCount(999) == "999");
  CHECK(FormatCount(262144) == "262,144");
  CHECK(FormatCount(1234567890) == "1,234,567,890");
}

TEST_CASE("Sizes are read as people write them") {
  CHECK(ParseBytes("1GiB").value() == 1u << 30);
  CHECK(ParseBytes("1g").value() == 1u << 30);
  CHECK(ParseBytes("512M").value() == 512u << 20);
  CHECK(ParseBytes("1.5 GiB").value() == 1536u << 20);
  CHECK(ParseBytes("10MB").value() == 10'000'000);
  CHECK(ParseBytes("4096").value() == 4096);
  CHECK(ParseBytes("0").value() == 0);
  for (const std::string_view bad : {"", "GiB", "1XB", "1.2.3M", "-1G", "1 GiB extra", "999999999T", "nan", "1e400"}) {
    INFO(bad);
    REQUIRE_FALSE(ParseBytes(bad).ok());
    CHECK(ParseBytes(bad).status().ToString().find(bad) != std::string::npos);
  }
}

TEST_CASE("Durations are read with a unit") {
  CHECK(ParseDuration("10s").value() == absl::Seconds(10));
  CHECK(ParseDuration("250ms").value() == absl::Milliseconds(250));
  CHECK(ParseDuration("1.5m").value() == absl::Seconds(90));
  CHECK(ParseDuration("0").value() == absl::ZeroDuration());
  for (const std::string_view bad : {"", "10", "-1s", "soon"}) {
    INFO(bad);
    CHECK_FALSE(ParseDuration(bad).ok());
  }
}

TEST_CASE("A table lines up, also with letters of several bytes") {
  Table table({"method", "stall\np99", "moved"});
  table.AddRow({"demand paging", "45.6 µs", "1.00 GiB"});
  table.AddRow({"push", "9 ns"});
  CHECK(table.Render() ==
        "                 stall\n"
        "method             p99     moved\n"
        "────────────────────────────────\n"
        "demand paging  45.6 µs  1.00 GiB\n"
        "push              9 ns\n");
}

TEST_CASE("A progress line shows share, bytes and rate, and fits the screen") {
  const Progress half{"moving", 1u << 29, 1u << 30, absl::Seconds(2)};
  const std::string line = RenderProgress(half, 200);
  CHECK(line.find("moving") == 0);
  CHECK(line.find(" 50 %") != std::string::npos);
  CHECK(line.find("512 MiB of 1.00 GiB") != std::string::npos);
  CHECK(line.find("256 MiB/s") != std::string::npos);
  CHECK(line.find("███████████████               ▏") != std::string::npos);
  for (const std::size_t columns : {0u, 10u, 40u, 70u}) CHECK(DisplayWidth(RenderProgress(half, columns)) == columns);
  // The bar gets shorter before the figures are cut.
  const std::string narrow = RenderProgress(half, 79);
  CHECK(narrow.find("███   ▏") != std::string::npos);
  CHECK(narrow.find("256 MiB/s") != std::string::npos);
  CHECK(DisplayWidth(narrow) <= 79);
  const std::string over = RenderProgress({"moving", 3, 2, absl::ZeroDuration()}, 200);
  CHECK(over.find("100 %") != std::string::npos);
  CHECK(RenderProgress({"waiting", 0, 0, absl::Seconds(1)}, 200).find('%') == std::string::npos);
}

std::string Captured(ProgressBar::Style style) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    ProgressBar bar(style, out);
    ProgressBar::Clock::time_point now;
    for (int i = 0; i <= 100; ++i) {
      bar.Update("moving", static_cast<std::uint64_t>(i), 100, now);
      now += std::chrono::milliseconds(125);
    }
    bar.Say("done");
  }
  std::fclose(out);
  std::string result(text, size);
  std::free(text);
  return result;
}

TEST_CASE("Progress is a bar on a terminal, a few lines elsewhere, nothing when silent") {
  const std::string bar = Captured(ProgressBar::Style::kBar);
  CHECK(bar.find("\r\033[K") != std::string::npos);
  CHECK(bar.find("\r\033[Kdone\n") != std::string::npos);
  const std::string lines = Captured(ProgressBar::Style::kLines);
  CHECK(lines == "moving\nmoving: 40 B of 100 B\nmoving: 80 B of 100 B\ndone\n");
  CHECK(Captured(ProgressBar::Style::kSilent).empty());
  CHECK(ProgressBar::StyleFor(stderr, true) == ProgressBar::Style::kSilent);
}

}  // namespace
}  // namespace farfault
