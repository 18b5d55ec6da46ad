#include <algorithm>
#include <bit>
#include <cmath>

#include "farfault/stats.h"

namespace farfault {
namespace {

constexpr unsigned kSubBucketBits = 5;

}  // namespace

// Values below 64 have a bucket each; above, the five bits behind the leading one choose the bucket of an octave.
std::size_t LatencyHistogram::BucketOf(std::uint64_t value) {
  static_assert(kSubBuckets == 1u << kSubBucketBits);
  if (value < 2 * kSubBuckets) return static_cast<std::size_t>(value);
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBucketBits;
  return static_cast<std::size_t>(shift * kSubBuckets + (value >> shift));
}

std::uint64_t LatencyHistogram::UpperEdge(std::size_t bucket) {
  if (bucket < 2 * kSubBuckets) return bucket;
  const auto shift = static_cast<unsigned>(bucket / kSubBuckets - 1);
  const std::uint64_t leading = bucket % kSubBuckets + kSubBuckets;
  return ((leading + 1) << shift) - 1;
}

void LatencyHistogram::Record(std::int64_t nanoseconds) {
  const std::int64_t value = std::max<std::int64_t>(0, nanoseconds);
  std::uint32_t& bucket = buckets_[BucketOf(static_cast<std::uint64_t>(value))];
  if (bucket == UINT32_MAX) return;  // Four billion alike: one more says nothing.
  ++bucket;
  ++count_;
  sum_ = value > INT64_MAX - sum_ ? INT64_MAX : sum_ + value;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const std::uint32_t added = std::min(other.buckets_[i], UINT32_MAX - buckets_[i]);
    buckets_[i] += added;
    count_ += added;
  }
  sum_ = other.sum_ > INT64_MAX - sum_ ? INT64_MAX : sum_ + other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

std::int64_t LatencyHistogram::Quantile(double q) const {
  if (count_ == 0) return 0;
  // The factor undoes rounding: 0.07 * 100 is a little more than 7.
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_) * (1 - 1e-12));
  const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen < rank) continue;
    return static_cast<std::int64_t>(std::min<std::uint64_t>(UpperEdge(i), static_cast<std::uint64_t>(max_)));
  }
  return max_;
}

}  // namespace farfault
