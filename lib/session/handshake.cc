#include "lib/session/handshake.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace farfault {
namespace {

constexpr std::uint64_t kMinStagingBytes = 64u << 10;

std::array<std::uint8_t, 32> Authenticate(std::string_view key, std::string_view label, Role role,
                                          const HelloMessage& source, const HelloMessage& destination) {
  std::vector<std::uint8_t> text(label.begin(), label.end());
  text.push_back(static_cast<std::uint8_t>(role));
  for (const HelloMessage* hello : {&source, &destination}) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(hello);
    text.insert(text.end(), bytes, bytes + sizeof(*hello));
  }
  std::array<std::uint8_t, 32> mac{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(), text.size(), mac.data(), &length);
  return mac;
}

template <typename T>
std::optional<std::vector<T>> DecodeArray(std::span<const std::byte> payload) {
  if (payload.size() % sizeof(T) != 0) return std::nullopt;
  std::vector<T> values(payload.size() / sizeof(T));
  if (!payload.empty()) std::memcpy(values.data(), payload.data(), payload.size());
  return values;
}

template <typename T>
std::vector<std::byte> EncodeArray(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

WireMemory ToWire(const RemoteMemory& memory) {
  return {.address = memory.address, .length = memory.length, .key = memory.key};
}

RemoteMemory FromWire(const WireMemory& wire) {
  return {.address = wire.address, .length = wire.length, .key = wire.key};
}

}  // namespace

std::string_view RoleName(Role role) { return role == Role::kSource ? "source" : "destination"; }

absl::StatusOr<HelloMessage> MakeHello(Role role, std::size_t demand_channels, std::size_t push_channels,
                                       std::size_t rails) {
  HelloMessage hello{.role = static_cast<std::uint8_t>(role),
                     .demand_channels = static_cast<std::uint8_t>(demand_channels),
                     .push_channels = static_cast<std::uint8_t>(push_channels),
                     .rails = static_cast<std::uint8_t>(rails)};
  if (RAND_bytes(hello.nonce.data(), static_cast<int>(hello.nonce.size())) != 1) {
    return absl::UnavailableError("the system's random number generator gives nothing (RAND_bytes failed)");
  }
  return hello;
}

absl::Status CheckHello(Role own_role, const HelloMessage& peer) {
  if (peer.version != kWireVersion) {
    return absl::FailedPreconditionError(
        fmt::format("the peer speaks version {} of farfault's protocol and this side version {}; install the same "
                    "release on both ends",
                    peer.version, kWireVersion));
  }
  const Role other = own_role == Role::kSource ? Role::kDestination : Role::kSource;
  if (peer.role == static_cast<std::uint8_t>(own_role)) {
    return absl::FailedPreconditionError(
        fmt::format("both ends are a {}; one of them must be the {}", RoleName(own_role), RoleName(other)));
  }
  const bool sound = peer.role == static_cast<std::uint8_t>(other) && peer.demand_channels >= 1 &&
                     peer.demand_channels <= kMaxPushChannels && peer.push_channels >= 1 &&
                     peer.push_channels <= kMaxPushChannels;
  if (!sound) {
    return absl::DataLossError(
        fmt::format("the peer's greeting makes no sense (role {}, {} demand and {} push channels)", peer.role,
                    peer.demand_channels, peer.push_channels));
  }
  return absl::OkStatus();
}

absl::Status CheckRails(const HelloMessage& own, const HelloMessage& peer) {
  const auto rails = [](const HelloMessage& hello) { return std::max<int>(1, hello.rails); };
  if (rails(own) == rails(peer)) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "this end has {} and the peer {}: give both ends as many, in the same order, as in verbs://HOST:PORT?rail=HOST2",
      rails(own) == 1 ? "1 rail" : fmt::format("{} rails", rails(own)), rails(peer)));
}

ProofMessage MakeProof(std::string_view key, Role prover, const HelloMessage& source, const HelloMessage& destination) {
  return {Authenticate(key, "farfault proof", prover, source, destination)};
}

bool SameProof(const ProofMessage& a, const ProofMessage& b) {
  return CRYPTO_memcmp(a.mac.data(), b.mac.data(), a.mac.size()) == 0;
}

std::array<std::uint8_t, 32> MakeToken(std::string_view key, const HelloMessage& source,
                                       const HelloMessage& destination) {
  return Authenticate(key, "farfault channel token", Role::kSource, source, destination);
}

PrivateData EncodeTicket(const ChannelTicket& ticket) {
  PrivateData data{};
  std::memcpy(data.data(), &ticket, sizeof(ticket));
  return data;
}

std::optional<ChannelTicket> DecodeTicket(const PrivateData& data) {
  ChannelTicket ticket;
  std::memcpy(&ticket, data.data(), sizeof(ticket));
  if (ticket.magic != ChannelTicket::kMagic) return std::nullopt;
  return ticket;
}

std::vector<std::byte> EncodeRegions(const GuestMemory& memory) {
  std::vector<WireRegion> wire;
  for (const Region& region : memory.regions()) {
    WireRegion& entry = wire.emplace_back();
    entry.length = region.length;
    entry.page_size = region.page_size;
    std::copy(region.name.begin(), region.name.end(), entry.name.begin());
  }
  return EncodeArray(wire);
}

absl::StatusOr<std::vector<RemoteRegion>> DecodeRegions(std::span<const std::byte> payload) {
  const auto wire = DecodeArray<WireRegion>(payload);
  if (!wire || wire->empty() || wire->size() > kMaxRegions) {
    return absl::DataLossError("the source's list of regions makes no sense");
  }
  std::vector<RemoteRegion> regions;
  std::uint64_t total = 0;
  for (const WireRegion& entry : *wire) {
    const auto end = std::find(entry.name.begin(), entry.name.end(), '\0');
    const bool sound = end != entry.name.begin() && end != entry.name.end() &&
                       (entry.page_size == kSmallPage || entry.page_size == kHugePage) && entry.length > 0 &&
                       entry.length % entry.page_size == 0 && entry.length <= (std::uint64_t{1} << 56) - total;
    if (!sound) return absl::DataLossError("the source's list of regions makes no sense");
    total += entry.length;
    regions.push_back({std::string(entry.name.begin(), end), entry.length, entry.page_size});
  }
  return regions;
}

absl::Status CompareRegions(std::span<const RemoteRegion> source, const GuestMemory& destination) {
  const std::span<const Region> own = destination.regions();
  if (source.size() != own.size()) {
    return absl::FailedPreconditionError(fmt::format(
        "the source has {} regions and the destination {}; both must give the same ones", source.size(), own.size()));
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (source[i].name != own[i].name) {
      return absl::FailedPreconditionError(fmt::format(
          "region {} is called '{}' at the source and '{}' at the destination; give the same regions in the "
          "same order",
          i, source[i].name, own[i].name));
    }
    if (source[i].page_size != own[i].page_size) {
      return absl::FailedPreconditionError(
          fmt::format("region '{}' has pages of {} bytes at the source and of {} bytes at the destination; map it with "
                      "the same page size on both ends",
                      own[i].name, source[i].page_size, own[i].page_size));
    }
    if (source[i].length != own[i].length) {
      return absl::FailedPreconditionError(
          fmt::format("region '{}' has {} bytes at the source and {} bytes at the destination; give it the same length "
                      "on both ends",
                      own[i].name, source[i].length, own[i].length));
    }
  }
  return absl::OkStatus();
}

std::vector<std::byte> EncodeSourceTables(const RemoteMemory& tables) {
  return EncodeArray(std::vector<WireMemory>{ToWire(tables)});
}

absl::StatusOr<RemoteMemory> DecodeSourceTables(std::span<const std::byte> payload, const PageLayout& layout) {
  const auto wire = DecodeArray<WireMemory>(payload);
  if (!wire || wire->size() != 1) return absl::DataLossError("the source's addresses make no sense");
  if (wire->front().length != SourceTableLayout{layout.total_pages()}.total_bytes()) {
    return absl::DataLossError("the source's tables have another size than they should");
  }
  return FromWire(wire->front());
}

std::vector<std::byte> EncodeStaging(std::span<const RemoteMemory> rings) {
  std::vector<WireMemory> wire;
  for (const RemoteMemory& ring : rings) wire.push_back(ToWire(ring));
  return EncodeArray(wire);
}

absl::StatusOr<std::vector<RemoteMemory>> DecodeStaging(std::span<const std::byte> payload, const PageLayout& layout,
                                                        const ExtentTable& frames, std::size_t push_channels) {
  const auto wire = DecodeArray<WireMemory>(payload);
  std::uint64_t least = kMinStagingBytes;
  for (const PageRun& staged : frames.Missing()) least = std::max(least, layout.page_size(staged.first));
  bool sound = wire && wire->size() == (frames.complete() ? 0 : push_channels);
  std::vector<RemoteMemory> rings;
  for (std::size_t i = 0; sound && i < wire->size(); ++i) {
    sound = (*wire)[i].length >= least;
    rings.push_back(FromWire((*wire)[i]));
  }
  if (!sound) return absl::DataLossError("the destination's staging rings make no sense");
  return rings;
}

}  // namespace farfault
