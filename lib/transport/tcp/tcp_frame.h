#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_FRAME_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_FRAME_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lib/transport/transport.h"

// What goes over a socket. Both sides first exchange one hello; then each direction is a sequence of frames, a header
// and `length` bytes of payload. Requests are numbered from 0 in the order in which they are sent; the numbers do not
// go over the wire.
namespace farfault {

static_assert(std::endian::native == std::endian::little, "the wire format is little-endian");

/// Raised whenever one of the structures below changes. The first 16 bytes of a hello never change.
inline constexpr std::uint16_t kTcpWireVersion = 1;
inline constexpr std::array<char, 8> kTcpMagic = {'f', 'a', 'r', 'f', 't', 'c', 'p', '\n'};

/// Sent once by the connecting side.
struct TcpHello {
  std::array<char, 8> magic = kTcpMagic;
  std::uint16_t version = kTcpWireVersion;
  std::uint16_t reserved = 0;
  std::uint32_t size = 72;  ///< Of the whole hello.
  PrivateData private_data{};
};
static_assert(sizeof(TcpHello) == 72 && std::is_trivially_copyable_v<TcpHello>);

enum class TcpAnswer : std::uint16_t { kAccepted = 1, kRejected = 2, kWrongVersion = 3 };

/// Sent once by the listening side.
struct TcpHelloReply {
  std::array<char, 8> magic = kTcpMagic;
  std::uint16_t version = kTcpWireVersion;
  TcpAnswer answer = TcpAnswer::kRejected;
  std::uint32_t size = 16;
};
static_assert(sizeof(TcpHelloReply) == 16 && std::is_trivially_copyable_v<TcpHelloReply>);

enum class FrameType : std::uint8_t {
  kWrite = 1,         ///< Payload: the bytes.
  kRead = 2,          ///< No payload; `length` bytes are asked for.
  kSend = 3,          ///< Payload: the message.
  kReadResponse = 4,  ///< Payload: the bytes. Also vouches for every request before `number`.
  kProgress = 5,      ///< No payload.
  kRefusal = 6,       ///< Payload: the reason in words. Nothing follows.
};

struct FrameHeader {
  static constexpr std::uint8_t kWantsProgress = 1;

  FrameType type{};
  std::uint8_t flags = 0;
  std::uint16_t reserved = 0;
  std::uint32_t length = 0;
  /// kRead, kWrite: where. kReadResponse, kRefusal: number of the request. kProgress: number of requests executed.
  std::uint64_t number = 0;
  /// kRead, kWrite: the key. kProgress: how many SENDs may be sent altogether, modulo 2^32. kRefusal: a Refusal.
  std::uint32_t key = 0;
  std::uint32_t reserved2 = 0;
};
static_assert(sizeof(FrameHeader) == 24 && std::is_trivially_copyable_v<FrameHeader>);

/// Why a request was refused.
enum class Refusal : std::uint32_t { kBadKey = 1, kOutOfBounds = 2, kNoAccess = 3, kTooLong = 4, kMalformed = 5 };

inline constexpr std::uint32_t kMaxRefusalText = 256;
/// READs of one side that may be out at once; more wait at the sender. The answering side has room for as many.
inline constexpr std::uint32_t kTcpOutstandingReads = 128;
inline constexpr std::uint32_t kTcpInlineBytes = 64;

/// Whether an access is single-copy atomic: exactly 1 or 8 naturally aligned bytes.
inline bool IsAtomicAccess(std::uint64_t address, std::uint64_t length) {
  return length == 1 || (length == 8 && address % 8 == 0);
}

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_FRAME_H_
