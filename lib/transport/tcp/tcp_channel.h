#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_CHANNEL_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_CHANNEL_H_

#include <sys/epoll.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "lib/transport/tcp/call_size.h"
#include "lib/transport/tcp/channel_failure.h"
#include "lib/transport/tcp/channel_queues.h"
#include "lib/transport/tcp/frame_reader.h"
#include "lib/transport/tcp/frame_writer.h"
#include "lib/transport/transport.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// One connected socket. With Service::kPolled the owner itself reads it inside Poll and sleeps on it: the shortest way
/// for a side that spins, as the initiator of demand reads does. With Service::kThread a thread of the channel is the
/// only reader; it blocks in epoll (after bulk not at once: BulkSpin), executes the peer's requests, and wakes the
/// owner through an eventfd, only when the owner has said that it is about to sleep.
class TcpChannel final : public Channel {
 public:
  /// `socket` is connected, non-blocking, and past the hello. `peer` is for messages.
  static absl::StatusOr<std::unique_ptr<Channel>> Create(UniqueFd socket, std::string_view peer,
                                                         const ChannelOptions& options, MemoryTable& memory);
  ~TcpChannel() override;

  using Channel::Post;
  PostResult Post(std::span<const WorkRequest> chain) override;
  PostResult PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) override;
  std::size_t Poll(std::span<Completion> out) override;
  bool PrepareToSleep() override;
  WaitHandle wait_handle() const override;

  ChannelLimits limits() const override;
  bool broken() const override { return failure_.broken(); }
  absl::Status failure() const override { return failure_.status(); }
  void Close() override;

 private:
  TcpChannel(UniqueFd socket, std::string who, const ChannelOptions& options, MemoryTable& memory);

  absl::Status StartThread(std::string_view name);
  void Serve();
  bool ServeOnce(bool hung_up);
  bool WaitForEvent(epoll_event& event, int milliseconds);
  void WakeOwner();

  void ProgressInline();
  void FreeSlots();
  bool HasCompletions() const;
  std::size_t ReapRequests(std::span<Completion> out);
  std::size_t ReapReceives(std::span<Completion> out);

  const bool urgent_;
  const bool spins_;
  const UniqueFd socket_;
  ChannelFailure failure_;
  ChannelQueues queues_;
  FrameWriter writer_;
  FrameReader reader_;

  // The reader has stopped for good and the writer sends no more requests: what is left may be flushed.
  std::atomic<bool> ended_ = false;
  bool receives_first_ = false;
  std::uint32_t quiet_requests_ = 0;  // Posted since the last one that asked for progress.

  // Service::kThread only.
  UniqueFd epoll_;
  UniqueFd wake_;
  std::atomic<bool> owner_sleeps_ = false;
  std::atomic<bool> stop_serving_ = false;
  bool slept_ = false;
  std::thread thread_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_CHANNEL_H_
