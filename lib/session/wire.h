#ifndef FARFAULT_LIB_SESSION_WIRE_H_
#define FARFAULT_LIB_SESSION_WIRE_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "lib/page/claim.h"

// What travels on the control channel. Little-endian, fixed layout.
namespace farfault {

static_assert(std::endian::native == std::endian::little, "the wire format is little-endian, and nothing converts");

inline constexpr std::uint32_t kWireMagic = 0x46524146;  // "FARF"
inline constexpr std::uint32_t kWireVersion = 2;
inline constexpr std::size_t kControlBytes = 16u << 10;
inline constexpr std::size_t kMaxPushChannels = SourceTableLayout::kCreditWords;

enum class MessageType : std::uint16_t {
  // Handshake, in this order.
  kHello = 1,
  kProof,
  kRegions,            ///< Source: what it gives.
  kRegionsAccepted,    ///< Destination: I have the same.
  kDescribed,          ///< Destination: I only wanted to know; goodbye.
  kInitialHoles,       ///< Source: ranges that are not populated now. Zero or more before kSourceMemory.
  kSourceMemory,       ///< Source: its tables; the session may begin.
  kDestinationMemory,  ///< Destination: prepared; its staging rings.
  kExtents,            ///< Either: pages and the keys that open them. Zero or more before kSourceMemory and
                       ///< kDestinationMemory; from the source also later, before kSwitchOver: holes that got data.
  kRailKeys,           ///< Either, with several rails: what the keys stand for that later messages name.
  // Session.
  kMayActivate = 32,  ///< Destination: ready to take over at once; before this the source does not ask.
  kDirtyRuns,         ///< Source: pre-paged pages that were written again. Zero or more before kSwitchOver.
  kSwitchOver,        ///< Source: the guest is yours.
  kSwitchedOver,      ///< Destination: it runs.
  kHoles,             ///< Source: pages that were never populated.
  kPushComplete,      ///< Source: everything that is not a hole has been pushed or was asked for.
  kResident,          ///< Destination: nothing is missing.
  kGoodbye,           ///< Source: I know; close.
  kFailure = 64,      ///< Either: a status code and a text. The session is over.
};

struct MessageHeader {
  std::uint32_t magic = kWireMagic;
  std::uint16_t type = 0;
  std::uint16_t reserved = 0;
  std::uint32_t length = 0;  ///< Of the payload.
};
static_assert(sizeof(MessageHeader) == 12);
inline constexpr std::size_t kMaxPayload = kControlBytes - sizeof(MessageHeader);

struct HelloMessage {
  std::uint32_t version = kWireVersion;
  std::uint8_t role = 0;  ///< 1 source, 2 destination.
  std::uint8_t demand_channels = 1;
  std::uint8_t push_channels = 1;
  std::uint8_t rails = 1;  ///< 0 says the same as 1.
  std::array<std::uint8_t, 32> nonce{};
};
static_assert(sizeof(HelloMessage) == 40);

struct ProofMessage {
  std::array<std::uint8_t, 32> mac{};
};

struct WireRegion {
  std::uint64_t length = 0;
  std::uint64_t page_size = 0;
  std::array<char, 64> name{};
};
static_assert(sizeof(WireRegion) == 80);

struct WireMemory {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
  std::uint32_t key = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(WireMemory) == 24);

struct WireExtent {
  std::uint64_t first = 0;  ///< Page.
  std::uint64_t count = 0;
  std::uint64_t address = 0;
  std::uint32_t key = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(WireExtent) == 32);
inline constexpr std::size_t kMaxExtentsPerMessage = 500;
static_assert(kMaxExtentsPerMessage * sizeof(WireExtent) <= kMaxPayload);

inline constexpr std::size_t kMaxWireRails = 8;
struct WireRailKeys {
  std::uint32_t key = 0;
  std::array<std::uint32_t, kMaxWireRails> on_rail{};
};
static_assert(sizeof(WireRailKeys) == 36);
inline constexpr std::size_t kMaxRailKeysPerMessage = 400;
static_assert(kMaxRailKeysPerMessage * sizeof(WireRailKeys) <= kMaxPayload);

struct WireRun {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
static_assert(sizeof(WireRun) == 16);
inline constexpr std::size_t kMaxRunsPerMessage = 1000;
static_assert(kMaxRunsPerMessage * sizeof(WireRun) <= kMaxPayload);

struct SwitchOverMessage {
  /// Run lists sent so far on each push channel: they come before the dirty set.
  std::array<std::uint64_t, kMaxPushChannels> lists_sent{};
  std::uint32_t push_enabled = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(SwitchOverMessage) == 72);

struct PushCompleteMessage {
  std::array<std::uint64_t, kMaxPushChannels> lists_sent{};
};

/// Followed by text.
struct FailureMessage {
  std::uint32_t code = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_WIRE_H_
