#include "lib/transport/sim/sim_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace farfault::sim {
namespace {

constexpr std::string_view kScheme = "sim://";
constexpr std::string_view kForm = "sim://NAME[:PORT][?latency=5us&bandwidth=10Gbps&jitter=1us&seed=1]";

absl::Status Bad(std::string_view text, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("bad address \"{}\": {}; the form is {}", text, what, kForm));
}

template <typename Number>
bool ParseNumber(std::string_view value, Number& out) {
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  return error == std::errc{} && end == value.data() + value.size();
}

bool ParseNanos(std::string_view value, Nanos& out) {
  absl::Duration duration;
  if (!absl::ParseDuration(std::string(value), &duration)) return false;
  out = absl::ToInt64Nanoseconds(duration);
  return duration >= absl::ZeroDuration() && duration <= absl::Hours(1);
}

bool ParseBandwidth(std::string_view value, double& bits_per_second) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kUnits{
      {{"Gbps", 1e9}, {"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}}};
  if (value == "inf") {
    bits_per_second = 0;
    return true;
  }
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                 [value](const auto& candidate) { return value.ends_with(candidate.first); });
  double number = 0;
  if (unit == kUnits.end() || !ParseNumber(value.substr(0, value.size() - unit->first.size()), number)) return false;
  bits_per_second = number * unit->second;
  return bits_per_second >= 1 && bits_per_second <= 1e15;
}

bool ParseProperty(std::string_view key, std::string_view value, SimLinkModel& model) {
  if (key == "latency") return ParseNanos(value, model.latency);
  if (key == "jitter") return ParseNanos(value, model.jitter);
  if (key == "bandwidth") return ParseBandwidth(value, model.bits_per_second);
  if (key == "seed") return ParseNumber(value, model.seed);
  return false;
}

}  // namespace

absl::StatusOr<SimAddress> SimAddress::Parse(std::string_view text) {
  if (!text.starts_with(kScheme)) return Bad(text, "the scheme is not sim");
  std::string_view rest = text.substr(kScheme.size());
  SimAddress address;
  const std::size_t question = rest.find('?');
  if (question != std::string_view::npos) {
    address.properties = std::string(rest.substr(question + 1));
    rest = rest.substr(0, question);
  }
  const std::size_t colon = rest.find(':');
  if (colon != std::string_view::npos) {
    if (!ParseNumber(rest.substr(colon + 1), address.port)) return Bad(text, "the port is not a number");
    address.any_port = address.port == 0;
    rest = rest.substr(0, colon);
  }
  address.fabric = std::string(rest);
  const bool sound = !rest.empty() && std::all_of(rest.begin(), rest.end(), [](char c) {
    return std::isgraph(static_cast<unsigned char>(c)) != 0 && c != '/' && c != '&';
  });
  if (!sound) return Bad(text, "the name is empty or has a character that it must not have");
  if (address.properties.empty()) return address;
  SimLinkModel model;
  for (std::string_view left = address.properties; !left.empty();) {
    const std::string_view property = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(left.size(), property.size() + 1));
    const std::size_t equals = property.find('=');
    const bool understood = equals != std::string_view::npos &&
                            ParseProperty(property.substr(0, equals), property.substr(equals + 1), model);
    if (!understood) return Bad(text, fmt::format("\"{}\" is not understood", property));
  }
  address.model = model;
  return address;
}

std::string SimAddress::ToString() const {
  const std::string shown_port = port == 0 ? "" : fmt::format(":{}", port);
  return fmt::format("{}{}{}{}{}", kScheme, fabric, shown_port, properties.empty() ? "" : "?", properties);
}

}  // namespace farfault::sim
