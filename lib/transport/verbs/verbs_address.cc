#include "lib/transport/verbs/verbs_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace farfault {
namespace {

constexpr std::string_view kForm = "verbs://HOST:PORT[?device=rxe0&port=1&gid=1&tclass=106&reads=16&inline=64&odp=1]";
constexpr std::uint32_t kMostInline = 256;

absl::Status Bad(std::string_view text, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("'{}' is not a verbs address: {}; the form is {}", text, what, kForm));
}

template <typename Number>
bool ParseNumber(std::string_view value, std::uint32_t least, std::uint32_t most, std::optional<Number>& out) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (value.empty() || error != std::errc{} || end != value.data() + value.size()) return false;
  out = static_cast<Number>(number);
  return number >= least && number <= most;
}

bool ParseDevice(std::string_view value, std::string& out) {
  out = std::string(value);
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

bool ParseSwitch(std::string_view value, bool& out) {
  out = value == "1";
  return value == "0" || value == "1";
}

bool ParseProperty(std::string_view key, std::string_view value, VerbsChoice& choice) {
  if (key == "device") return ParseDevice(value, choice.device);
  if (key == "port") return ParseNumber(value, 1, 255, choice.port);
  if (key == "gid") return ParseNumber(value, 0, 65535, choice.gid);
  if (key == "tclass") return ParseNumber(value, 0, 255, choice.tclass);
  if (key == "reads") return ParseNumber(value, 1, 254, choice.reads);
  if (key == "odp") return ParseSwitch(value, choice.on_demand);
  if (key == "inline") return ParseNumber(value, 0, kMostInline, choice.inline_bytes);
  return false;
}

}  // namespace

absl::StatusOr<VerbsAddress> ParseVerbsAddress(std::string_view text) {
  const std::size_t question = text.find('?');
  const absl::StatusOr<HostPort> host_port = ParseHostPort(kVerbsScheme, text.substr(0, question));
  if (!host_port.ok()) return host_port.status();
  VerbsAddress address{*host_port, {}};
  std::string_view left = question == std::string_view::npos ? "" : text.substr(question + 1);
  while (!left.empty()) {
    const std::string_view property = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(left.size(), property.size() + 1));
    const std::size_t equals = property.find('=');
    const bool understood = equals != std::string_view::npos &&
                            ParseProperty(property.substr(0, equals), property.substr(equals + 1), address.choice);
    if (!understood) return Bad(text, fmt::format("\"{}\" is not understood", property));
  }
  const VerbsChoice& choice = address.choice;
  if (choice.device.empty() && (choice.port || choice.gid)) {
    return Bad(text, "a port or a GID without the device that it belongs to");
  }
  return address;
}

}  // namespace farfault
