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
  if (status.ok()) {
    status = mover == Mover::kFarfault ? ByFarfault(cost) : ByPostcopy(mover == Mover::kPostcopyPreempt, cost);
  }
  if (status.ok()) status = ReadGuest(cost);
  source_.reset();
  destination_.reset();
  if (!status.ok()) return status;
  return cost;
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
  for (before_ = idle_begin_; absl::Milliseconds(before_.ms - idle_begin_.ms) < kUndisturbed;) {
    auto report = source_->WaitForReport(kPatience, Any);
    if (!report.ok()) return report.status();
    before_ = *report;
  }
  return absl::OkStatus();
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
  const GuestReport idle = Difference(idle_begin_, before_);
  const GuestReport moved = Difference(before_, *after);
  const double noise = static_cast<double>(idle.stall_ns) / static_cast<double>(std::max<std::uint64_t>(1, idle.ms));
  cost.blocked_ms = std::max(0.0, static_cast<double>(moved.stall_ns) - noise * static_cast<double>(moved.ms)) / 1e6;
  cost.stall_p50_us = StallQuantile(moved, 0.5);
  cost.stall_p99_us = StallQuantile(moved, 0.99);
  cost.stall_max_us = StallQuantile(moved, 1);
  return absl::OkStatus();
}

}  // namespace farfault::bench
