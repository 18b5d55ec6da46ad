#include "bench/baseline/perftest.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "bench/baseline/program.h"

namespace farfault::bench {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(2);
constexpr int kTries = 5;

// Of ib_read_lat: bytes, iterations, t_min, t_max, t_typical. perftest's typical value is the median.
constexpr std::size_t kMedianColumn = 4;
// Of ib_write_bw: bytes, iterations, peak, average.
constexpr std::size_t kAverageColumn = 3;

std::string LastWords(std::string_view text) {
  constexpr std::size_t kMost = 300;
  return std::string(text.substr(text.size() - std::min(text.size(), kMost)));
}

/// The line of numbers under the one that begins with "#bytes".
absl::StatusOr<std::vector<double>> RowOf(const std::string& text) {
  const std::size_t head = text.find("#bytes");
  const std::size_t row = head == std::string::npos ? head : text.find('\n', head);
  std::vector<double> numbers;
  if (row != std::string::npos) {
    std::istringstream line(text.substr(row + 1, text.find('\n', row + 1) - row - 1));
    for (double number = 0; line >> number;) numbers.push_back(number);
  }
  if (numbers.size() > std::max(kMedianColumn, kAverageColumn)) return numbers;
  return absl::UnavailableError(fmt::format("perftest printed no result: {}", LastWords(text)));
}

absl::StatusOr<std::string> RunOnce(std::vector<std::string> command, const std::string& address) {
  auto server = Program::Start(command);
  if (!server.ok()) return server.status();
  // It says so just before it listens.
  server->WaitForWords("Waiting for client", absl::Seconds(10));
  absl::SleepFor(absl::Milliseconds(50));
  command.push_back(address);
  auto client = Program::Start(command);
  if (!client.ok()) return client.status();
  if (!client->WaitForEnd(kTimeout)) {
    return absl::UnavailableError(fmt::format("{} failed: {}", command[0], LastWords(client->text())));
  }
  server->WaitForEnd(absl::Seconds(10));
  return client->text();
}

/// What the client prints under its head.
absl::StatusOr<std::vector<double>> RunPerftest(const std::string& program, const PerftestRun& run,
                                                const std::vector<std::string>& more) {
  std::vector<std::string> command = {
      program, "-R", "-F", "-s", std::to_string(run.message_bytes), "-n", std::to_string(run.iterations)};
  command.insert(command.end(), more.begin(), more.end());
  absl::StatusOr<std::string> text;
  // A client that was faster than its server, or a port that is not free again yet.
  for (int tried = 0; tried < kTries; ++tried) {
    text = RunOnce(command, run.address);
    if (text.ok() || absl::IsFailedPrecondition(text.status())) break;
  }
  if (!text.ok()) return text.status();
  return RowOf(*text);
}

}  // namespace

absl::StatusOr<double> ReadLatencyMedian(const PerftestRun& run) {
  const auto row = RunPerftest("ib_read_lat", run, {});
  if (!row.ok()) return row.status();
  return row->at(kMedianColumn) * 1e3;
}

absl::StatusOr<double> WriteBandwidth(const PerftestRun& run) {
  const auto row = RunPerftest("ib_write_bw", run, {"--report_gbits"});
  if (!row.ok()) return row.status();
  return row->at(kAverageColumn) * 1e9 / 8;
}

}  // namespace farfault::bench
