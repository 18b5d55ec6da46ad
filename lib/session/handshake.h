#ifndef FARFAULT_LIB_SESSION_HANDSHAKE_H_
#define FARFAULT_LIB_SESSION_HANDSHAKE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/session.h"
#include "lib/page/extent_table.h"
#include "lib/page/page_layout.h"
#include "lib/session/control_link.h"
#include "lib/session/extent_messages.h"
#include "lib/session/peer.h"
#include "lib/session/wire.h"
#include "lib/transport/transport.h"

// What the two ends tell each other before a session, without the waiting (see runtime/rendezvous.h). Both say hello
// and prove that they know the key; then the source tells its regions and, once they are accepted and the data channels
// stand, its addresses and keys; the destination answers with its own when it is prepared.
namespace farfault {

enum class Role : std::uint8_t { kSource = 1, kDestination = 2 };

std::string_view RoleName(Role role);

/// kUnavailable when the system has no random numbers.
absl::StatusOr<HelloMessage> MakeHello(Role role, std::size_t demand_channels, std::size_t push_channels,
                                       std::size_t rails = 1);

/// kFailedPrecondition: another version, or both ends have the same role. kDataLoss: channel counts out of range.
absl::Status CheckHello(Role own_role, const HelloMessage& peer);

/// kFailedPrecondition when the two ends have not as many rails.
absl::Status CheckRails(const HelloMessage& own, const HelloMessage& peer);

/// HMAC-SHA256 under the key over a label, the role and both hellos, the source's first: whoever replays or reflects a
/// proof sends one for other nonces or for the other role (RFC 2104).
ProofMessage MakeProof(std::string_view key, Role prover, const HelloMessage& source, const HelloMessage& destination);
bool SameProof(const ProofMessage& a, const ProofMessage& b);

enum class ChannelKind : std::uint8_t { kControl = 1, kDemand, kPush };

/// What the connecting side tells with each connection; the token ties data channels to their authenticated control
/// channel.
struct ChannelTicket {
  static constexpr std::uint32_t kMagic = 0x4b544646;
  std::uint32_t magic = kMagic;
  std::uint32_t version = kWireVersion;
  ChannelKind kind = ChannelKind::kControl;
  std::uint8_t index = 0;
  std::array<std::uint8_t, 6> reserved{};
  std::array<std::uint8_t, 32> token{};
};
static_assert(sizeof(ChannelTicket) == 48);
static_assert(sizeof(ChannelTicket) <= kPrivateDataBytes);

PrivateData EncodeTicket(const ChannelTicket& ticket);
/// Nothing when it is no ticket.
std::optional<ChannelTicket> DecodeTicket(const PrivateData& data);

/// The token of the data channels: an HMAC like a proof, under its own label.
std::array<std::uint8_t, 32> MakeToken(std::string_view key, const HelloMessage& source,
                                       const HelloMessage& destination);

std::vector<std::byte> EncodeRegions(const GuestMemory& memory);
/// kDataLoss when the payload makes no sense.
absl::StatusOr<std::vector<RemoteRegion>> DecodeRegions(std::span<const std::byte> payload);
/// kFailedPrecondition naming the first difference: number, name, length or page size.
absl::Status CompareRegions(std::span<const RemoteRegion> source, const GuestMemory& destination);

std::vector<std::byte> EncodeSourceTables(const RemoteMemory& tables);
/// Checks the length against what was agreed; kDataLoss otherwise.
absl::StatusOr<RemoteMemory> DecodeSourceTables(std::span<const std::byte> payload, const PageLayout& layout);

std::vector<std::byte> EncodeStaging(std::span<const RemoteMemory> rings);
/// There must be a ring for each push channel when any page of `layout` has no frame in `frames`, and none otherwise;
/// each holds the largest such page. kDataLoss.
absl::StatusOr<std::vector<RemoteMemory>> DecodeStaging(std::span<const std::byte> payload, const PageLayout& layout,
                                                        const ExtentTable& frames, std::size_t push_channels);

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_HANDSHAKE_H_
