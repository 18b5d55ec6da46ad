#ifndef FARFAULT_TEST_SUPPORT_SCRIPTED_CHANNEL_H_
#define FARFAULT_TEST_SUPPORT_SCRIPTED_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "lib/transport/transport.h"

namespace farfault {

/// A channel without a peer: it records what is posted, and a test says what completes and what arrives. Remote
/// addresses are addresses of this process, so that requests can be carried out when they complete. One thread.
class ScriptedChannel final : public Channel {
 public:
  struct Posted {
    WorkRequest request;
    std::vector<std::byte> bytes;  ///< What was to be sent, as it was during Post; empty for a READ.
    std::size_t chain = 0;         ///< Number of the Post call, from 0.
  };

  explicit ScriptedChannel(std::uint32_t send_slots = 256, std::uint32_t receive_slots = 64)
      : limits_{send_slots, receive_slots, 16, 64} {}

  // What a test sees and says.
  const std::vector<Posted>& posted() const { return posted_; }
  std::vector<Posted> TakePosted();
  std::size_t outstanding() const { return outstanding_.size(); }
  std::size_t receives_posted() const { return receives_.size(); }
  /// Every Post from now on returns this.
  void AnswerPostsWith(PostResult result) { post_result_ = result; }
  /// Carries the oldest `most` outstanding requests out, in order, and completes those that are signalled.
  void Complete(std::size_t most = SIZE_MAX);
  /// The oldest outstanding signalled request completes with this status; nothing is carried out.
  void CompleteWith(CompletionStatus status);
  /// Called for each request as it is carried out, before the bytes move.
  void OnExecute(std::function<void(const WorkRequest&)> hook) { hook_ = std::move(hook); }
  /// A SEND of the peer. False when no receive is posted or the buffer is too small: nothing happened.
  bool Deliver(std::span<const std::byte> message);
  void Break();

  using Channel::Post;
  PostResult Post(std::span<const WorkRequest> chain) override;
  PostResult PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) override;
  std::size_t Poll(std::span<Completion> out) override;
  bool PrepareToSleep() override { return completions_.empty(); }
  WaitHandle wait_handle() const override { return {}; }
  ChannelLimits limits() const override { return limits_; }
  bool broken() const override { return broken_; }
  absl::Status failure() const override;
  void Close() override { Break(); }

 private:
  struct Receive {
    std::uint64_t id = 0;
    std::span<std::byte> buffer;
  };

  void Execute(const Posted& posted) const;

  ChannelLimits limits_;
  PostResult post_result_ = PostResult::kOk;
  std::vector<Posted> posted_;
  std::deque<Posted> outstanding_;
  std::uint32_t slots_in_use_ = 0;  // Until the completion that vouches for them has been polled.
  std::deque<std::uint32_t> slots_of_completions_;
  std::deque<Completion> completions_;
  std::deque<Receive> receives_;
  std::function<void(const WorkRequest&)> hook_;
  std::uint32_t slots_executed_ = 0;
  std::size_t chains_ = 0;
  bool broken_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_SCRIPTED_CHANNEL_H_
