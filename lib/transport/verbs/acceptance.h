#ifndef FARFAULT_LIB_TRANSPORT_VERBS_ACCEPTANCE_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_ACCEPTANCE_H_

#include <infiniband/verbs.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace farfault {

/// What comes with an accepted connection, since rdma_cm tells only the listening end of the other's MTU: this text and
/// then the number of the MTU (ibv_mtu).
inline constexpr std::string_view kAcceptance = "farfault: MTU ";
using Acceptance = std::array<std::byte, kAcceptance.size() + 1>;

inline Acceptance EncodeAcceptance(ibv_mtu mtu) {
  Acceptance encoded{};
  std::memcpy(encoded.data(), kAcceptance.data(), kAcceptance.size());
  encoded.back() = static_cast<std::byte>(mtu);
  return encoded;
}

/// Nothing where the peer does not say. What comes behind it is padding.
inline std::optional<ibv_mtu> DecodeAcceptance(std::span<const std::byte> data) {
  if (data.size() < Acceptance{}.size()) return std::nullopt;
  if (std::memcmp(data.data(), kAcceptance.data(), kAcceptance.size()) != 0) return std::nullopt;
  const auto mtu = std::to_integer<int>(data[kAcceptance.size()]);
  if (mtu < IBV_MTU_256 || mtu > IBV_MTU_4096) return std::nullopt;
  return static_cast<ibv_mtu>(mtu);
}

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_ACCEPTANCE_H_
