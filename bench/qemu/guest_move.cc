#include "bench/qemu/guest_move.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace farfault::bench {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(120);
constexpr absl::Duration kUndisturbed = absl::Seconds(2);

bool Any(const GuestReport& /*report*/) { return true; }

// What was counted between two reports of one guest.
GuestReport Difference(const GuestReport& from, const GuestReport& to) {
  GuestReport difference = to;
  difference.ms -= from.ms;
  difference.stalls -= from.stalls;
  difference.stall_ns -= from.stall_ns;
  difference.touches -= from.touches;
  for (std::size_t i = 0; i < from.histogram.size() && i < difference.histogram.size(); ++i) {
    difference.histogram[i] -= from.histogram[i];
  }
  return difference;
}

double BucketEdge(std::size_t bucket) { return std::exp2(static_cast<double>(bucket + 1) / 4); }

// Among the touches that stalled.
double StallQuantile(const GuestReport& report, double q) {
  std::size_t first = 0;
  while (BucketEdge(first) <= GuestReport::kStallMicroseconds) ++first;
  std::uint64_t total = 0;
  for (std::size_t i = first; i < report.histogram.size(); ++i) total += report.histogram[i];
  std::uint64_t seen = 0;
  for (std::size_t i = first; i < report.histogram.size(); ++i) {
    seen += report.histogram[i];
    if (seen > 0 && static_cast<double>(seen) >= q * static_cast<double>(total)) return BucketEdge(i);
  }
  return 0;
}

}  // namespace

absl::StatusOr<MoveCost> GuestMove::Run(Mover mover) {
  MoveCost cost;
  absl::Status status = StartSource(mover);
  const bool started = status.ok();
  if (status.ok()) {
    status = mover == Mover::kFarfault ? ByFarfault(cost) : ByPostcopy(mover == Mover::kPostcopyPreempt, cost);
  }
  if (status.ok()) status = ReadGuest(cost);
  source_.reset();
  destination_.reset();
  if (status.ok()) return cost;
  // That QEMU has gone by now is not that there is none.
  if (started && absl::IsUnavailable(status)) return absl::AbortedError(status.message());
  return status;
}

QemuMachine::Spec GuestMove::Spec(const char* name, Mover mover) const {
  QemuMachine::Spec spec;
  spec.name = name;
  spec.folder = folder_;
  spec.pattern = workload_.pattern;
  spec.role = workload_.role;
  // Each has its memory as it likes it best.
  spec.shared_file = mover == Mover::kFarfault;
  spec.interposer = mover == Mover::kFarfault;
  spec.agent = mover == Mover::kFarfault;
  return spec;
}

absl::Status GuestMove::StartSource(Mover mover) {
  auto source = QemuMachine::Start(Spec("source", mover));
  if (!source.ok()) return source.status();
  source_ = *std::move(source);
  auto first = source_->WaitForReport(kPatience, Any);
  if (!first.ok()) return first.status();
  idle_begin_ = *first;
  for (idle_end_ = idle_begin_; absl::Milliseconds(idle_end_.ms - idle_begin_.ms) < kUndisturbed;) {
    auto report = source_->WaitForReport(kPatience, Any);
    if (!report.ok()) return report.status();
    idle_end_ = *report;
  }
  return absl::OkStatus();
}

absl::Status GuestMove::BeginMove() {
  auto report = source_->WaitForReport(kPatience, Any);
  if (report.ok()) before_ = *report;
  return report.status();
}

absl::Status GuestMove::ReadGuest(MoveCost& cost) const {
  // The first report may have been on its way while the guest was moved.
  absl::StatusOr<GuestReport> after;
  for (int i = 0; i < 2; ++i) {
    after = destination_->WaitForReport(kPatience, Any);
    if (!after.ok()) return after.status();
  }
  if (after->wrong != 0) {
    return absl::DataLossError(fmt::format("the guest found {} pages with wrong words", after->wrong));
  }
  cost.whole_ms = cost.ready_ms + cost.total_ms;
  cost.ready_blocked_ms = BlockedMs(idle_end_, before_);
  cost.blocked_ms = BlockedMs(before_, *after);
  const GuestReport moved = Difference(before_, *after);
  cost.stall_p50_us = StallQuantile(moved, 0.5);
  cost.stall_p99_us = StallQuantile(moved, 0.99);
  cost.stall_max_us = StallQuantile(moved, 1);
  return absl::OkStatus();
}

double GuestMove::BlockedMs(const GuestReport& from, const GuestReport& to) const {
  const GuestReport idle = Difference(idle_begin_, idle_end_);
  const double noise = static_cast<double>(idle.stall_ns) / static_cast<double>(std::max<std::uint64_t>(1, idle.ms));
  const GuestReport lost = Difference(from, to);
  return std::max(0.0, static_cast<double>(lost.stall_ns) - noise * static_cast<double>(lost.ms)) / 1e6;
}

}  // namespace farfault::bench
