#ifndef FARFAULT_LIB_TRANSPORT_RAILS_RAIL_CHANNEL_H_
#define FARFAULT_LIB_TRANSPORT_RAILS_RAIL_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/transport/rails/rail.h"
#include "lib/transport/rails/rail_keys.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// A channel of one rail. Requests name memory by keys that hold on all rails; this puts the rail's own in their place,
/// and counts.
class RailChannel final : public Channel {
 public:
  /// `rail` and `keys` outlive this object.
  RailChannel(std::unique_ptr<Channel> channel, Rail& rail, const RailKeyBook& keys)
      : channel_(std::move(channel)), rail_(rail), keys_(keys), translated_(channel_->limits().send_slots) {}

  using Channel::Post;
  PostResult Post(std::span<const WorkRequest> chain) override;
  PostResult PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) override {
    return channel_->PostReceive(id, buffer, keys_.LocalKey(rail_.index, local_key));
  }
  std::size_t Poll(std::span<Completion> out) override { return channel_->Poll(out); }
  bool PrepareToSleep() override { return channel_->PrepareToSleep(); }
  WaitHandle wait_handle() const override { return channel_->wait_handle(); }
  Deadline next_event() const override { return channel_->next_event(); }
  ChannelLimits limits() const override { return channel_->limits(); }
  /// The rail's address where there is no device to tell of.
  std::string path() const override;
  bool broken() const override { return channel_->broken(); }
  absl::Status failure() const override { return rail_.Blame(channel_->failure()); }
  void Close() override { channel_->Close(); }

 private:
  WorkRequest Translate(const WorkRequest& request) const;
  void Count(std::span<const WorkRequest> chain);

  const std::unique_ptr<Channel> channel_;
  Rail& rail_;
  const RailKeyBook& keys_;
  std::vector<WorkRequest> translated_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_RAILS_RAIL_CHANNEL_H_
