#include "lib/transport/tcp/tcp_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace farfault {
namespace {

constexpr std::string_view kScheme = "tcp://";

absl::Status Bad(std::string_view text, std::string_view what) {
  return absl::InvalidArgumentError(
      fmt::format("'{}' is not a tcp address: {}; write tcp://HOST:PORT or tcp://[IPV6]:PORT", text, what));
}

struct HostAndPort {
  std::string_view host;
  std::string_view port;
};

absl::StatusOr<HostAndPort> SplitBracketed(std::string_view text, std::string_view rest) {
  const std::size_t close = rest.find(']');
  if (close == std::string_view::npos) return Bad(text, "the bracket is not closed");
  const std::string_view host = rest.substr(1, close - 1);
  in6_addr parsed;
  const std::string without_zone(host.substr(0, host.find('%')));
  if (inet_pton(AF_INET6, without_zone.c_str(), &parsed) != 1) {
    return Bad(text, "what is in the brackets is not an IPv6 address");
  }
  if (close + 1 >= rest.size() || rest[close + 1] != ':') return Bad(text, "the port is missing");
  return HostAndPort{host, rest.substr(close + 2)};
}

absl::StatusOr<HostAndPort> Split(std::string_view text, std::string_view rest) {
  if (!rest.empty() && rest.front() == '[') return SplitBracketed(text, rest);
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos) return Bad(text, "the port is missing");
  if (rest.find(':', colon + 1) != std::string_view::npos) {
    return Bad(text, "an IPv6 address needs brackets");
  }
  return HostAndPort{rest.substr(0, colon), rest.substr(colon + 1)};
}

}  // namespace

std::string TcpAddress::ToString() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return fmt::format("tcp://{}{}{}:{}", ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
}

absl::StatusOr<TcpAddress> ParseTcpAddress(std::string_view text) {
  if (text.substr(0, kScheme.size()) != kScheme) return Bad(text, "it does not begin with tcp://");
  const absl::StatusOr<HostAndPort> parts = Split(text, text.substr(kScheme.size()));
  if (!parts.ok()) return parts.status();
  if (parts->host.empty()) return Bad(text, "the host is missing");
  for (const char c : parts->host) {
    const bool sound = c > ' ' && c < 0x7f && std::strchr("/?#@\\\"'", c) == nullptr;
    if (!sound) return Bad(text, "the host has a character that no host name has");
  }
  TcpAddress address{std::string(parts->host), 0};
  const char* const end = parts->port.data() + parts->port.size();
  const auto [stop, error] = std::from_chars(parts->port.data(), end, address.port);
  if (parts->port.empty() || error != std::errc() || stop != end) {
    return Bad(text, "the port is not a number from 0 to 65535");
  }
  return address;
}

std::string SocketAddress::ToString() const {
  char host[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
    return TcpAddress{host, ntohs(in6.sin6_port)}.ToString();
  }
  const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
  inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
  return TcpAddress{host, ntohs(in.sin_port)}.ToString();
}

absl::StatusOr<std::vector<SocketAddress>> ResolveTcpAddress(const TcpAddress& address, ResolveFor purpose) {
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
                                    address.ToString(), reason));
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress& resolved = addresses.emplace_back();
    std::memcpy(&resolved.storage, entry->ai_addr, entry->ai_addrlen);
    resolved.length = entry->ai_addrlen;
  }
  if (addresses.empty()) return absl::UnavailableError(fmt::format("{} has no address", address.ToString()));
  return addresses;
}

}  // namespace farfault
