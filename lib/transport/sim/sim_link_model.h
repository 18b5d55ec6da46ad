#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_LINK_MODEL_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_LINK_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "lib/util/clock.h"

namespace farfault {

/// The wire between two sides of a sim fabric. Each direction has its own bandwidth, which the channels that have
/// something to send share frame by frame, in turns.
struct SimLinkModel {
  /// One way, for every frame.
  Nanos latency = 0;
  /// 0: no limit.
  double bits_per_second = 0;
  /// Each frame is late by up to this much, at random. Frames of one channel stay in order.
  Nanos jitter = 0;
  /// Payload of the largest frame, in bytes.
  std::uint32_t frame_bytes = 4096;
  /// Virtual clock only: payload lands in pieces, at moments up to this much apart, and READs land early as well as at
  /// the end: everything that the ordering rules allow and hardware rarely does.
  Nanos landing_spread = 0;
  std::uint64_t seed = 1;

  bool instant() const { return latency == 0 && bits_per_second == 0 && jitter == 0; }
  Nanos TransmitTime(std::uint64_t payload) const {
    return bits_per_second == 0
               ? 0
               : static_cast<Nanos>(static_cast<double>((payload + kHeaderBytes) * 8) * 1e9 / bits_per_second);
  }
  friend bool operator==(const SimLinkModel&, const SimLinkModel&) = default;

  /// What every frame carries besides its payload.
  static constexpr std::uint64_t kHeaderBytes = 64;
};

/// Something that goes wrong on purpose.
struct SimFault {
  enum class Kind : std::uint8_t {
    kBreak,          ///< The channel breaks.
    kDelay,          ///< Frames that are sent on the channel from then on, for `duration`, are late by `delay`.
    kRefuseConnect,  ///< The next connection request is refused as if nobody listened.
  };
  Kind kind = Kind::kBreak;
  /// `ChannelOptions::name` of the channels that are meant; empty: all.
  std::string channel;
  /// After this many requests have been posted on the channels that are meant, and not before `at`.
  std::uint64_t after_requests = 0;
  /// On the fabric's clock.
  Nanos at = 0;
  Nanos delay = 0;
  Nanos duration = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_LINK_MODEL_H_
