#include "lib/cli/terminal/units.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <cmath>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace farfault {
namespace {

/// Three significant digits, but never fewer digits than the integer part has.
std::string ThreeDigits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

struct ByteUnit {
  std::string_view name;
  double bytes;
};

constexpr double kKibi = 1024, kMebi = kKibi * 1024, kGibi = kMebi * 1024, kTebi = kGibi * 1024;
constexpr auto kParsedUnits = std::to_array<ByteUnit>({{"", 1},
                                                       {"b", 1},
                                                       {"k", kKibi},
                                                       {"kib", kKibi},
                                                       {"kb", 1e3},
                                                       {"m", kMebi},
                                                       {"mib", kMebi},
                                                       {"mb", 1e6},
                                                       {"g", kGibi},
                                                       {"gib", kGibi},
                                                       {"gb", 1e9},
                                                       {"t", kTebi},
                                                       {"tib", kTebi},
                                                       {"tb", 1e12}});

absl::Status NotASize(std::string_view text) {
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a size: write a number with a unit up to T, like 512M, 1GiB or 4096 (bytes)", text));
}

}  // namespace

std::string FormatBytes(std::uint64_t bytes) {
  static constexpr auto kUnits = std::to_array<std::string_view>({"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", ThreeDigits(value), kUnits[unit]);
}

std::string FormatNanos(std::int64_t nanoseconds) {
  if (nanoseconds < 0) return "-" + FormatNanos(-std::max(nanoseconds, -INT64_MAX));
  const double value = static_cast<double>(nanoseconds);
  if (nanoseconds < 1000) return fmt::format("{} ns", nanoseconds);
  if (value < 999.5e3) return ThreeDigits(value / 1e3) + " µs";
  if (value < 999.5e6) return ThreeDigits(value / 1e6) + " ms";
  if (value < 119.5e9) return ThreeDigits(value / 1e9) + " s";
  const std::int64_t seconds = (nanoseconds + 500'000'000) / 1'000'000'000;
  return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
}

std::string FormatCount(std::uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string grouped;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

absl::StatusOr<std::uint64_t> ParseBytes(std::string_view text) {
  const std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace({text.data(), text.size()}));
  const std::size_t digits = std::min(lower.find_first_not_of("0123456789."), lower.size());
  double number = 0;
  if (digits == 0 || !absl::SimpleAtod(lower.substr(0, digits), &number)) return NotASize(text);
  const std::string unit{absl::StripLeadingAsciiWhitespace(lower.substr(digits))};
  for (const ByteUnit& known : kParsedUnits) {
    if (unit != known.name) continue;
    const double bytes = std::round(number * known.bytes);
    if (bytes > 0x1p62) return absl::InvalidArgumentError(fmt::format("\"{}\" is more than any machine has", text));
    return static_cast<std::uint64_t>(bytes);
  }
  return NotASize(text);
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration({text.data(), text.size()}, &duration) || duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not a duration: write a number with a unit, like 10s, 250ms or 5m", text));
  }
  return duration;
}

}  // namespace farfault
