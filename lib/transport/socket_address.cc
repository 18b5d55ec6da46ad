#include "lib/transport/socket_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace farfault {
namespace {

// What is being taken apart, for messages.
struct Url {
  std::string_view scheme;
  std::string_view text;

  absl::Status Bad(std::string_view what) const {
    return absl::InvalidArgumentError(
        fmt::format("'{0}' is not a {1} address: {2}; write {1}://HOST:PORT or {1}://[IPV6]:PORT", text, scheme, what));
  }
};

struct Parts {
  std::string_view host;
  std::string_view port;
};

absl::StatusOr<Parts> SplitBracketed(const Url& url, std::string_view rest) {
  const std::size_t close = rest.find(']');
  if (close == std::string_view::npos) return url.Bad("the bracket is not closed");
  const std::string_view host = rest.substr(1, close - 1);
  in6_addr parsed;
  const std::string without_zone(host.substr(0, host.find('%')));
  if (inet_pton(AF_INET6, without_zone.c_str(), &parsed) != 1) {
    return url.Bad("what is in the brackets is not an IPv6 address");
  }
  if (close + 1 >= rest.size() || rest[close + 1] != ':') return url.Bad("the port is missing");
  return Parts{host, rest.substr(close + 2)};
}

absl::StatusOr<Parts> Split(const Url& url, std::string_view rest) {
  if (!rest.empty() && rest.front() == '[') return SplitBracketed(url, rest);
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos) return url.Bad("the port is missing");
  if (rest.find(':', colon + 1) != std::string_view::npos) return url.Bad("an IPv6 address needs brackets");
  return Parts{rest.substr(0, colon), rest.substr(colon + 1)};
}

}  // namespace

std::string HostPort::ToUrl(std::string_view scheme) const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view scheme, std::string_view text) {
  const Url url{scheme, text};
  const std::string beginning = fmt::format("{}://", scheme);
  if (!text.starts_with(beginning)) return url.Bad("it does not begin with " + beginning);
  const absl::StatusOr<Parts> parts = Split(url, text.substr(beginning.size()));
  if (!parts.ok()) return parts.status();
  if (parts->host.empty()) return url.Bad("the host is missing");
  for (const char c : parts->host) {
    const bool sound = c > ' ' && c < 0x7f && std::strchr("/?#@\\\"'", c) == nullptr;
    if (!sound) return url.Bad("the host has a character that no host name has");
  }
  HostPort address{std::string(parts->host), 0};
  const std::string_view port = parts->port;
  if (const std::size_t options = port.find('?'); options != std::string_view::npos) {
    return url.Bad(fmt::format("it takes no \"{}\"", port.substr(options)));
  }
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc() || stop != port.data() + port.size()) {
    return url.Bad("the port is not a number from 0 to 65535");
  }
  return address;
}

std::string SocketAddress::ToUrl(std::string_view scheme) const {
  char host[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
    return HostPort{host, ntohs(in6.sin6_port)}.ToUrl(scheme);
  }
  const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
  inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
  return HostPort{host, ntohs(in.sin_port)}.ToUrl(scheme);
}

absl::StatusOr<std::vector<SocketAddress>> ResolveHostPort(std::string_view scheme, const HostPort& address,
                                                           ResolveFor purpose) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (purpose == ResolveFor::kListening ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  if (error != 0) {
    const std::string reason = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
    const bool no_such_host = error == EAI_NONAME || error == EAI_FAMILY || error == EAI_SERVICE;
    return absl::Status(no_such_host ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kUnavailable,
                        fmt::format("the host of {} cannot be looked up: {}; check the name, or write its IP address",
                                    address.ToUrl(scheme), reason));
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress& resolved = addresses.emplace_back();
    std::memcpy(&resolved.storage, entry->ai_addr, entry->ai_addrlen);
    resolved.length = entry->ai_addrlen;
  }
  if (addresses.empty()) return absl::UnavailableError(fmt::format("{} has no address", address.ToUrl(scheme)));
  return addresses;
}

}  // namespace farfault
