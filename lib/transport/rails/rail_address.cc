#include "lib/transport/rails/rail_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_split.h"
#include "lib/transport/transport.h"

namespace farfault {
namespace {

constexpr std::string_view kRail = "rail=";

struct Parts {
  std::string_view scheme;  // With "://".
  std::string_view host;    // With the port.
  std::vector<std::string> properties;
};

Parts Split(std::string_view address) {
  const std::size_t question = address.find('?');
  const std::string_view base = address.substr(0, question);
  const std::size_t slashes = base.find("://");
  const std::size_t host = slashes == std::string_view::npos ? 0 : slashes + 3;
  Parts parts{base.substr(0, host), base.substr(host), {}};
  if (question == std::string_view::npos) return parts;
  parts.properties = absl::StrSplit(std::string(address.substr(question + 1)), '&');
  return parts;
}

std::string_view KeyOf(std::string_view property) { return property.substr(0, property.find('=')); }

bool SaysWhich(std::string_view property) {
  constexpr std::array<std::string_view, 3> kWhich = {"device", "port", "gid"};
  return std::ranges::find(kWhich, KeyOf(property)) != kWhich.end();
}

// The ":PORT" of HOST:PORT, or nothing; colons inside brackets belong to an IPv6 address.
std::string_view PortOf(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) return {};
  return host.substr(colon);
}

std::string Join(std::string_view scheme, std::string_view host, const std::vector<std::string>& properties) {
  std::string joined = fmt::format("{}{}", scheme, host);
  for (std::size_t i = 0; i < properties.size(); ++i) {
    joined += i == 0 ? '?' : '&';
    joined += properties[i];
  }
  return joined;
}

std::string WithPort(std::string_view host, std::string_view port) {
  return PortOf(host).empty() ? fmt::format("{}{}", host, port) : std::string(host);
}

// What a rail says of its own comes instead of what is said for all.
void Override(std::vector<std::string>& properties, const std::string& own) {
  std::erase_if(properties, [&own](const std::string& other) { return KeyOf(other) == KeyOf(own); });
  properties.push_back(own);
}

absl::Status Bad(std::string_view address, std::string_view what) {
  return absl::InvalidArgumentError(
      fmt::format("'{}' names no rails: {}; write it like verbs://10.9.0.1:7000?rail=10.9.1.1", address, what));
}

absl::Status CheckDistinct(std::string_view address, std::span<const std::string> rails) {
  for (std::size_t i = 0; i < rails.size(); ++i) {
    const std::string_view host = Split(rails[i]).host;
    if (PortOf(host) == ":0") continue;
    for (std::size_t j = 0; j < i; ++j) {
      if (Split(rails[j]).host != host) continue;
      return Bad(address, fmt::format("rails {} and {} are both {}, and a rail needs an address of its own", j + 1,
                                      i + 1, host));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool HasRails(std::string_view address) {
  return std::ranges::any_of(Split(address).properties,
                             [](const std::string& property) { return KeyOf(property) == "rail"; });
}

absl::StatusOr<std::vector<std::string>> SplitRails(std::string_view address) {
  if (!HasRails(address)) return std::vector<std::string>{std::string(address)};
  const Parts parts = Split(address);
  const std::string_view port = PortOf(parts.host);
  const auto is_rail = [](const std::string& property) { return KeyOf(property) == "rail"; };
  const auto first_rail = std::ranges::find_if(parts.properties, is_rail);
  const std::vector<std::string> first(parts.properties.begin(), first_rail);
  std::vector<std::string> common = first;
  std::erase_if(common, SaysWhich);

  std::vector<std::string> rails = {Join(parts.scheme, parts.host, first)};
  for (auto it = first_rail; it != parts.properties.end();) {
    const std::string_view host = std::string_view(*it).substr(std::min(it->size(), kRail.size()));
    if (host.empty()) return Bad(address, fmt::format("\"{}\" is without an address", *it));
    std::vector<std::string> properties = common;
    for (++it; it != parts.properties.end() && !is_rail(*it); ++it) Override(properties, *it);
    rails.push_back(Join(parts.scheme, WithPort(host, port), properties));
  }
  if (rails.size() > kMaxRails) {
    return Bad(address, fmt::format("there are {} of them, and {} are the most", rails.size(), kMaxRails));
  }
  if (absl::Status distinct = CheckDistinct(address, rails); !distinct.ok()) return distinct;
  return rails;
}

std::string JoinRails(std::span<const std::string> addresses) {
  const Parts first = Split(addresses[0]);
  std::vector<std::string> properties = first.properties;
  for (const std::string& address : addresses.subspan(1)) {
    const Parts rail = Split(address);
    properties.push_back(fmt::format("{}{}", kRail, rail.host));
    for (const std::string& property : rail.properties) {
      const bool said = !SaysWhich(property) && std::ranges::count(first.properties, property) > 0;
      if (!said) properties.push_back(property);
    }
  }
  return Join(first.scheme, first.host, properties);
}

}  // namespace farfault
