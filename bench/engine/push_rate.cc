#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "bench/baseline/socket_copy.h"
#include "bench/core/interleave.h"
#include "bench/engine/image.h"
#include "bench/engine/measurements.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"

namespace farfault::bench {
namespace {

constexpr std::uint64_t kImageBytes = std::uint64_t{1} << 30;
// Which of these is the fastest depends on the machine and, within a factor of two, on its mood.
constexpr std::array<SocketCopyShape, 4> kShapes = {
    {{128u << 10, 0}, {512u << 10, 1 << 20}, {2u << 20, 0}, {2u << 20, 4 << 20}}};
constexpr const char* kName = "push over tcp";

/// CPU time of all threads of this process so far.
double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Rates {
  std::vector<double> bytes_per_second;
  std::vector<double> receiver_cpu_seconds;

  void Add(std::uint64_t bytes, std::int64_t nanoseconds, double cpu_seconds) {
    bytes_per_second.push_back(static_cast<double>(bytes) / (static_cast<double>(nanoseconds) * 1e-9));
    receiver_cpu_seconds.push_back(cpu_seconds);
  }
};

absl::Status CheckImage(std::span<const std::byte> memory) {
  const std::uint64_t wrong = CountWrongPages(memory);
  return wrong == 0 ? absl::OkStatus() : absl::DataLossError(fmt::format("{} pages arrived wrong", wrong));
}

/// The same bytes from the same process into memory of the same kind, which has been copied into before.
class PlainCopy {
 public:
  static absl::StatusOr<PlainCopy> Create(SourceHost& source) {
    auto target = OwnedRegion::CreateShared("copy", kImageBytes);
    if (!target.ok()) return target.status();
    PlainCopy copy(source, *std::move(target));
    // Populated by a copy: under some hypervisors the kernel's first access to a page costs as much as a copy of it.
    Rates not_counted;
    if (absl::Status status = copy.Run(kImageBytes, {}, not_counted); !status.ok()) return status;
    return copy;
  }

  absl::Status Run(std::uint64_t bytes, const SocketCopyShape& shape, Rates& rates) {
    const auto listener = CopyListener::Create(shape);
    if (!listener.ok()) return listener.status();
    if (absl::Status status = source_->BeginPlainCopy(listener->port(), bytes, shape); !status.ok()) return status;
    const auto connection = listener->Accept();
    if (!connection.ok()) return connection.status();
    const double cpu = CpuSeconds();
    const std::int64_t began = MonotonicNanos();
    absl::Status received = ReceiveAll(connection->get(), target_.bytes().first(bytes), shape.chunk_bytes);
    const std::int64_t took = MonotonicNanos() - began;
    rates.Add(bytes, took, CpuSeconds() - cpu);
    if (absl::Status sent = source_->WaitUntilCopied(); !sent.ok()) return sent;
    return received.ok() ? CheckImage(target_.bytes().first(bytes)) : received;
  }

 private:
  PlainCopy(SourceHost& source, OwnedRegion target) : source_(&source), target_(std::move(target)) {}

  SourceHost* source_;
  OwnedRegion target_;
};

absl::Status PushOnce(SourceHost& source, const std::vector<RegionSpec>& regions, Rates& rates) {
  auto move = RemoteMove::Prepare(source, regions, {});
  if (!move.ok()) return move.status();
  const double cpu = CpuSeconds();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  if (absl::Status status = (*move)->WaitUntilResident(); !status.ok()) return status;
  rates.Add(kImageBytes, MonotonicNanos() - (*move)->stopped_at(), CpuSeconds() - cpu);
  if (absl::Status status = (*move)->End(/*drain=*/true); !status.ok()) return status;
  return CheckImage((*move)->memory(0));
}

}  // namespace

absl::Status MeasurePushRate(const RunOptions& options, RoundProgress& progress, Report& report) {
  if (absl::Status status = RequireMemory(4 * kImageBytes); !status.ok()) return status;
  const int rounds = options.RoundsOr(15, 5);
  progress.Begin(kName, rounds);
  const std::vector<RegionSpec> regions = {{"guest", kImageBytes}};
  auto source = SourceHost::Start(regions);
  if (!source.ok()) return source.status();
  auto copy = PlainCopy::Create(**source);
  if (!copy.ok()) return copy.status();
  Rates pushed;
  std::array<Rates, kShapes.size()> copied;
  const auto copy_in_every_shape = [&](int) -> absl::Status {
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      if (absl::Status status = copy->Run(kImageBytes, kShapes[i], copied[i]); !status.ok()) return status;
    }
    return absl::OkStatus();
  };
  const std::array<Subject, 2> subjects = {Subject{kName, [&](int) { return PushOnce(**source, regions, pushed); }},
                                           Subject{"plain socket copy", copy_in_every_shape}};
  absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { progress.Round(round); });
  if (!status.ok()) return status;
  progress.End();
  // The plain copy shall be as good as it gets: the shape that was best over all rounds.
  const auto best = std::max_element(copied.begin(), copied.end(), [](const Rates& a, const Rates& b) {
    return Median(a.bytes_per_second) < Median(b.bytes_per_second);
  });
  const SocketCopyShape& shape = kShapes[static_cast<std::size_t>(best - copied.begin())];

  report.ratios.push_back({"push over tcp until mapped / plain socket copy",
                           PairedRatio(pushed.bytes_per_second, best->bytes_per_second), Limit::AtLeast(0.85)});
  report.figures.push_back({"push over tcp until mapped", SpreadOf(pushed.bytes_per_second), "bytes/s"});
  report.figures.push_back({"plain socket copy", SpreadOf(best->bytes_per_second), "bytes/s"});
  report.figures.push_back({"CPU of the receiver per GiB, push", SpreadOf(pushed.receiver_cpu_seconds), "s"});
  report.figures.push_back({"CPU of the receiver per GiB, copy", SpreadOf(best->receiver_cpu_seconds), "s"});
  const std::array<double, 1> chunk = {static_cast<double>(shape.chunk_bytes)};
  const std::array<double, 1> buffer = {static_cast<double>(shape.buffer_bytes)};
  report.figures.push_back({"best chunk of the plain copy", SpreadOf(chunk), "bytes"});
  report.figures.push_back({"best socket buffer of the plain copy (0: the kernel's)", SpreadOf(buffer), "bytes"});
  return absl::OkStatus();
}

}  // namespace farfault::bench
