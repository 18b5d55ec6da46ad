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
// Not the one that a foreground run listens on.
constexpr int kBackgroundPort = 18516;

// Of ib_read_lat: bytes, iterations, t_min, t_max, t_typical. perftest's typical value is the median.
constexpr std::size_t kMedianColumn = 4;
// Behind it the mean, the standard deviation and the 99th percentile.
constexpr std::size_t kTailColumn = 7;
// Of ib_write_bw: bytes, iterations, peak, average.
constexpr std::size_t kAverageColumn = 3;

std::string LastWords(std::string_view text) {
  constexpr std::size_t kMost = 300;
  return std::string(text.substr(text.size() - std::min(text.size(), kMost)));
}

/// Of the line of numbers under the one that begins with "#bytes".
absl::StatusOr<double> ColumnOf(const std::string& text, std::size_t column) {
  const std::size_t head = text.find("#bytes");
  const std::size_t row = head == std::string::npos ? head : text.find('\n', head);
  std::vector<double> numbers;
  if (row != std::string::npos) {
    std::istringstream line(text.substr(row + 1, text.find('\n', row + 1) - row - 1));
    for (double number = 0; line >> number;) numbers.push_back(number);
  }
  if (numbers.size() > column) return numbers[column];
  return absl::UnavailableError(fmt::format("perftest printed no result: {}", LastWords(text)));
}

struct Pair {
  Program server;
  Program client;
};

absl::StatusOr<Pair> StartPair(std::vector<std::string> command, const std::string& address) {
  auto server = Program::Start(command);
  if (!server.ok()) return server.status();
  // It says so just before it listens.
  server->WaitForWords("Waiting for client", absl::Seconds(10));
  absl::SleepFor(absl::Milliseconds(50));
  command.push_back(address);
  auto client = Program::Start(command);
  if (!client.ok()) return client.status();
  return Pair{*std::move(server), *std::move(client)};
}

absl::Status Failed(const std::string& program, const Program& client) {
  return absl::UnavailableError(fmt::format("{} failed: {}", program, LastWords(client.text())));
}

absl::StatusOr<std::string> RunOnce(const std::vector<std::string>& command, const std::string& address) {
  auto pair = StartPair(command, address);
  if (!pair.ok()) return pair.status();
  if (!pair->client.WaitForEnd(kTimeout)) return Failed(command[0], pair->client);
  pair->server.WaitForEnd(absl::Seconds(10));
  return pair->client.text();
}

std::vector<std::string> Command(const std::string& program, const PerftestRun& run,
                                 const std::vector<std::string>& more) {
  std::vector<std::string> command = {program, "-R", "-F", "-s", std::to_string(run.message_bytes)};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

/// What the client prints in a column under its head.
absl::StatusOr<double> RunPerftest(const std::string& program, const PerftestRun& run, std::vector<std::string> more,
                                   std::size_t column) {
  more.insert(more.end(), {"-n", std::to_string(run.iterations)});
  const std::vector<std::string> command = Command(program, run, more);
  absl::StatusOr<std::string> text;
  // A client that was faster than its server, or a port that is not free again yet.
  for (int tried = 0; tried < kTries; ++tried) {
    text = RunOnce(command, run.address);
    if (text.ok() || absl::IsFailedPrecondition(text.status())) break;
  }
  if (!text.ok()) return text.status();
  return ColumnOf(*text, column);
}

absl::StatusOr<double> Times(absl::StatusOr<double> number, double unit) {
  if (number.ok()) *number *= unit;
  return number;
}

}  // namespace

absl::StatusOr<double> ReadLatencyMedian(const PerftestRun& run) {
  return Times(RunPerftest("ib_read_lat", run, {}, kMedianColumn), 1e3);
}

absl::StatusOr<double> ReadLatencyTail(const PerftestRun& run) {
  return Times(RunPerftest("ib_read_lat", run, {"-e"}, kTailColumn), 1e3);
}

absl::StatusOr<double> WriteBandwidth(const PerftestRun& run) {
  return Times(RunPerftest("ib_write_bw", run, {"--report_gbits"}, kAverageColumn), 1e9 / 8);
}

absl::StatusOr<BackgroundWrites> BackgroundWrites::Start(const PerftestRun& run) {
  const std::string program = "ib_write_bw";
  const std::vector<std::string> command =
      Command(program, run, {"--run_infinitely", "-D", "1", "-p", std::to_string(kBackgroundPort)});
  const std::string row = fmt::format("\n {} ", run.message_bytes);
  absl::Status failed;
  for (int tried = 0; tried < kTries; ++tried) {
    auto pair = StartPair(command, run.address);
    if (!pair.ok()) return pair.status();
    if (pair->client.WaitForWords(row, absl::Seconds(20))) {
      return BackgroundWrites(std::move(pair->server), std::move(pair->client), row);
    }
    failed = Failed(program, pair->client);
  }
  return failed;
}

absl::Status BackgroundWrites::CheckGoingOn() {
  client_.ForgetText();
  return client_.WaitForWords(row_, absl::Seconds(10)) ? absl::OkStatus() : Failed("ib_write_bw", client_);
}

}  // namespace farfault::bench
