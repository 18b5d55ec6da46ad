#ifndef FARFAULT_LIB_TRANSPORT_TCP_CHANNEL_FAILURE_H_
#define FARFAULT_LIB_TRANSPORT_TCP_CHANNEL_FAILURE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/util/mutex.h"

namespace farfault {

/// Why a channel is broken; the first reason stays. Thread-safe.
class ChannelFailure {
 public:
  static constexpr std::uint64_t kNoRequest = ~std::uint64_t{0};

  /// What is told to the peer when one of its frames was refused.
  struct Notice {
    Refusal refusal{};
    std::uint64_t request = 0;
    std::string text;
  };

  /// `socket` outlives this object. `who` begins every message: "channel 'demand' with tcp://192.0.2.7:7000".
  ChannelFailure(int socket, std::string who) : socket_(socket), who_(std::move(who)) {}

  /// Ends the connection in both directions, which wakes whoever waits for it. `request` of this side failed, if any.
  void Break(absl::StatusCode code, std::string_view what, std::uint64_t request = kNoRequest);
  /// Ends input; the writer still tells the peer why and then ends output.
  void Refuse(Notice notice);
  /// The peer refused a request of this side.
  void RefusedByPeer(Refusal refusal, std::uint64_t request, std::string_view text);

  bool broken() const { return broken_.load(std::memory_order_seq_cst); }
  absl::Status status() const;
  std::uint64_t failed_request() const { return failed_request_.load(std::memory_order_acquire); }
  /// Null when there is nothing to tell. Valid as long as this object.
  const Notice* notice() const { return has_notice_.load(std::memory_order_acquire) ? &notice_ : nullptr; }

 private:
  bool Record(absl::StatusCode code, std::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int socket_;
  const std::string who_;
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  Notice notice_;  // Written once, before has_notice_.
  std::atomic<bool> has_notice_ = false;
  std::atomic<std::uint64_t> failed_request_ = kNoRequest;
  std::atomic<bool> broken_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_CHANNEL_FAILURE_H_
