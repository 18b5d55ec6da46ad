#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_OBSERVER_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/transport/transport.h"

namespace farfault {

/// Sees what a fabric with a clock does, for checkers. Called in the middle of it: must not call back.
class SimObserver {
 public:
  virtual ~SimObserver() = default;

  /// One side put a request on the channel called `channel` (ChannelOptions::name), `id` as long as the fabric lives.
  struct Request {
    std::string_view channel;
    std::uint64_t connection = 0;
    int side = 0;  ///< 0: the connecting one.
    std::uint64_t number = 0;
    Opcode opcode = Opcode::kSend;
    std::uint32_t length = 0;
    const std::byte* local = nullptr;
    std::uint64_t remote_address = 0;
  };
  virtual void OnPosted(const Request& request) = 0;
  /// The peer has executed the request; of a READ: its bytes are back. Not called for what is lost.
  virtual void OnExecuted(const Request& request) = 0;
  /// Bytes have been written to memory at either end.
  virtual void OnLanded(const std::byte* address, std::uint64_t length) = 0;
  /// This end of a channel has something to poll for: what would wake a sleeper.
  virtual void OnCompletion(std::uint64_t connection, int side) = 0;
  /// What was out on the channel is lost. Counts as a completion for both ends.
  virtual void OnBroken(std::uint64_t connection) = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_OBSERVER_H_
