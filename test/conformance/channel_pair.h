#ifndef FARFAULT_TEST_CONFORMANCE_CHANNEL_PAIR_H_
#define FARFAULT_TEST_CONFORMANCE_CHANNEL_PAIR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "lib/transport/sim/sim_fabric.h"
#include "lib/transport/transport.h"
#include "test/conformance/fabrics.h"

namespace farfault {

/// After this a test gives up; generous, because sanitizers on a busy machine are slow.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

/// Page-aligned, zeroed memory, registered with one transport. If that belongs to a ChannelPair, the other one knows
/// its keys.
class Memory {
 public:
  Memory(Transport& transport, std::size_t size, RemoteAccess access = RemoteAccess::kReadWrite);

  std::byte* data() const { return bytes_.get(); }
  std::byte* at(std::size_t offset) const { return bytes_.get() + offset; }
  std::span<std::byte> span(std::size_t offset, std::size_t length) const { return {at(offset), length}; }
  std::size_t size() const { return size_; }
  std::uint32_t local_key() const { return registered_->local_key(); }
  std::uint32_t remote_key() const { return registered_->remote_key(); }
  std::uint64_t remote(std::size_t offset = 0) const { return registered_->remote_address() + offset; }
  /// Ends the registration; the bytes stay.
  void Revoke() { registered_.reset(); }

  /// Bytes that follow from `seed`, different at every offset.
  void Fill(std::uint64_t seed) const { FillRange(seed, 0, size_); }
  void FillRange(std::uint64_t seed, std::size_t offset, std::size_t length) const;
  bool Holds(std::uint64_t seed, std::size_t offset, std::size_t length) const;

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{4096}); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  std::size_t size_;
  std::unique_ptr<RegisteredMemory> registered_;
};

/// One end of a channel and the completions that it has had.
struct Endpoint {
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Channel> channel;
  std::vector<Completion> sent;
  std::vector<Completion> received;
  std::size_t failed_early = 0;  ///< Completions that failed before the channel said that it is broken.

  /// Takes what completions there are.
  void Poll();
};

struct PairOptions {
  std::uint32_t send_slots = 256;
  std::uint32_t receive_slots = 64;
};

/// What came of connecting, at each end.
struct Connected {
  absl::StatusOr<std::unique_ptr<Channel>> connecting;
  absl::StatusOr<std::unique_ptr<Channel>> accepting;
};

/// Lets the virtual time of a sim fabric pass, from event to event, while tests poll, sleep and wait as on any other.
/// Of the fabric's methods other threads may meanwhile use what its channels and transports do, not its clock.
class VirtualTime {
 public:
  explicit VirtualTime(std::shared_ptr<SimFabric> fabric);
  VirtualTime(const VirtualTime&) = delete;
  VirtualTime& operator=(const VirtualTime&) = delete;
  ~VirtualTime();

 private:
  void Run() const;

  const std::shared_ptr<SimFabric> fabric_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// Two transports and a channel between them.
class ChannelPair {
 public:
  explicit ChannelPair(const Setup& setup, const PairOptions& options = {});
  ChannelPair(const ChannelPair&) = delete;
  ChannelPair& operator=(const ChannelPair&) = delete;
  ~ChannelPair();

  Endpoint initiator;
  Endpoint target;

  /// One more channel between the two transports.
  Connected Connect(const ChannelOptions& initiator_options, const ChannelOptions& target_options) const;
  /// Polls both ends until `done`; false when patience ends.
  bool PollUntil(const std::function<bool()>& done);
  /// Posts, polling until there is room, and fails the test if the channel is broken.
  void Post(std::span<const WorkRequest> chain);
  /// Posts one signalled request and waits for its completion.
  Completion Run(WorkRequest request);

 private:
  std::string listen_address_;
  std::shared_ptr<SimFabric> virtual_fabric_;  // Null: there are listeners.
  std::unique_ptr<VirtualTime> time_;
};

/// Accepts in the background while it connects, over the last of the transport's rails.
Connected ConnectPair(Transport& connecting, Transport& accepting, const std::string& listen_address,
                      const ChannelOptions& connect_options, const ChannelOptions& accept_options,
                      const PrivateData& private_data = {});

WorkRequest WriteRequest(const Memory& local, std::size_t local_offset, const Memory& remote, std::size_t remote_offset,
                         std::uint32_t length);
WorkRequest ReadRequest(const Memory& local, std::size_t local_offset, const Memory& remote, std::size_t remote_offset,
                        std::uint32_t length);
WorkRequest SendRequest(const Memory& local, std::size_t local_offset, std::uint32_t length);
WorkRequest Signaled(WorkRequest request, std::uint64_t id);

}  // namespace farfault

#endif  // FARFAULT_TEST_CONFORMANCE_CHANNEL_PAIR_H_
