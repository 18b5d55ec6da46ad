#ifndef FARFAULT_LIB_TRANSPORT_TRANSPORT_H_
#define FARFAULT_LIB_TRANSPORT_TRANSPORT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/deadline.h"

// What carries channels. Every transport has the semantics of a reliable-connected queue pair:
//
//   - Requests of one channel are executed at the peer in the order in which they were posted: when a READ, WRITE or
//     SEND is executed, every WRITE posted before it on the same channel is visible there, to later READs of the
//     channel and, once the SEND has been received, to the peer's CPU.
//   - A READ executes after the WRITEs before it, and completes when its bytes are in local memory. A transport that
//     loses an answer executes that READ and the READs behind it again, as often as it takes, and then also after
//     requests that were posted behind them: what a READ brings is as of some moment between its first execution and
//     its completion, and until it completes bytes may land at any moment, more than once. After it nothing lands.
//   - A WRITE or a SEND is executed once, whatever is lost.
//   - Requests on different channels are not ordered at all.
//   - Reads and writes of exactly 1 or 8 naturally aligned bytes are single-copy atomic against the CPUs of both hosts.
//     WRITE a; READ b on one channel against a CPU that stores b, executes a full fence and loads a: at least one of
//     the two sees the other's store (Dekker), whichever execution of the READ it is that counts.
//   - Completions of one channel come in posting order. A signalled completion vouches for the unsignalled requests
//     before it: their effects are visible at the peer.
//   - A buffer belongs to the transport from Post until a completion vouches for it. Requests with `inline_data` are
//     copied out during Post.
//   - After an error nothing more is executed; every request that has not completed, signalled or not, is lost, and
//     each posted signalled request or receive completes with kFlushed or kError. What a lost request did at the peer
//     is unknown.

namespace farfault {

enum class Opcode : std::uint8_t { kRead, kWrite, kSend, kReceive };

enum class CompletionStatus : std::uint8_t {
  kOk,
  kError,    ///< This request failed (bad key, out of bounds, peer gone); broken() says so before this is polled.
  kFlushed,  ///< The channel broke or was closed before the request was executed.
};

enum class PostResult : std::uint8_t {
  kOk,
  kFull,    ///< Not enough free slots; nothing was posted. Poll completions, then post again.
  kBroken,  ///< The channel is broken or closed; nothing was posted.
};

/// What a peer may do with registered memory. This side may always send from it, and receive into it unless it is
/// kRead: what is only given away need not be writable.
enum class RemoteAccess : std::uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3 };

/// Memory that a transport may move bytes from and to. Destruction revokes the keys: it waits until no operation of a
/// peer is inside the range, and later ones fail. The memory itself is not owned and must outlive this object.
class RegisteredMemory {
 public:
  virtual ~RegisteredMemory() = default;
  RegisteredMemory(const RegisteredMemory&) = delete;
  RegisteredMemory& operator=(const RegisteredMemory&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }
  std::uint32_t local_key() const { return local_key_; }
  std::uint32_t remote_key() const { return remote_key_; }
  /// What the peer puts in `WorkRequest::remote_address` for the first byte.
  std::uint64_t remote_address() const { return reinterpret_cast<std::uint64_t>(bytes_.data()); }

 protected:
  RegisteredMemory(std::span<std::byte> bytes, std::uint32_t local_key, std::uint32_t remote_key)
      : bytes_(bytes), local_key_(local_key), remote_key_(remote_key) {}

 private:
  std::span<std::byte> bytes_;
  std::uint32_t local_key_;
  std::uint32_t remote_key_;
};

struct WorkRequest {
  Opcode opcode = Opcode::kSend;  ///< kRead, kWrite or kSend.
  bool signaled = false;
  /// Copy the local bytes during Post (at most `ChannelLimits::inline_bytes`; not for kRead); `local_key` is then
  /// unused.
  bool inline_data = false;
  std::uint64_t id = 0;  ///< Comes back in the completion.
  std::byte* local = nullptr;
  std::uint32_t length = 0;
  std::uint32_t local_key = 0;
  std::uint64_t remote_address = 0;  ///< kRead and kWrite only.
  std::uint32_t remote_key = 0;      ///< kRead and kWrite only.
};

struct Completion {
  std::uint64_t id = 0;
  Opcode opcode = Opcode::kSend;
  CompletionStatus status = CompletionStatus::kOk;
  std::uint32_t length = 0;  ///< Bytes received, for kReceive.
};

struct ChannelLimits {
  std::uint32_t send_slots = 0;
  std::uint32_t receive_slots = 0;
  std::uint32_t max_outstanding_reads = 0;  ///< More may be posted; they wait inside the transport.
  std::uint32_t inline_bytes = 0;           ///< At least 64.
  std::uint32_t mtu = 0;                    ///< Bytes of memory that one packet carries; 0 where nobody can tell.
};

/// What a thread waits on so that it wakes when `Poll` may have something: ppoll these, with the timeout.
struct WaitHandle {
  int fd = -1;       ///< -1: none.
  short events = 0;  ///< POLLIN, POLLOUT.
};

/// One ordered, reliable connection.
///
/// Thread contract: Post, PostReceive, Poll, PrepareToSleep and wait_handle are called by one thread at a time, the
/// owner. Close, broken and failure may be called by any thread. The peer's one-sided requests are executed without the
/// owner's help if the channel was made with Service::kThread, and only inside the owner's Poll if it was made with
/// Service::kPolled. Destruction closes the channel and waits until the peer's requests can no longer touch local
/// memory through it.
class Channel {
 public:
  virtual ~Channel() = default;

  /// Posts all of `chain`, in order, or nothing. Never blocks, never allocates.
  virtual PostResult Post(std::span<const WorkRequest> chain) = 0;
  PostResult Post(const WorkRequest& request) { return Post(std::span(&request, 1)); }

  /// Offers a buffer for one incoming SEND. A SEND that finds none waits (at the sender) until there is one. One that
  /// is longer than the buffer breaks the channel.
  virtual PostResult PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) = 0;

  /// Makes progress and moves up to out.size() completions to `out`, in order. Never blocks, never allocates.
  virtual std::size_t Poll(std::span<Completion> out) = 0;

  /// Call before sleeping on wait_handle(). False: there may be something already, poll again first.
  virtual bool PrepareToSleep() = 0;
  virtual WaitHandle wait_handle() const = 0;
  /// For transports that keep time (sim): when Poll has something new at the latest; Never otherwise.
  virtual Deadline next_event() const { return Deadline::Never(); }

  virtual ChannelLimits limits() const = 0;
  /// What carries this channel, for people: "RDMA device rxe0, port 1, GID 1". Empty where there is nothing to tell.
  virtual std::string path() const { return {}; }
  virtual bool broken() const = 0;
  /// OK until the channel is broken; then the reason.
  virtual absl::Status failure() const = 0;
  virtual void Close() = 0;
};

enum class Service : std::uint8_t { kPolled, kThread };

struct ChannelOptions {
  Service service = Service::kThread;
  /// Somebody waits for each request: what moves bulk bytes on other channels shall give way while there are any.
  bool urgent = false;
  /// A thread that serves the channel may wait a moment for more before it sleeps, at the price of CPU time.
  bool spin = true;
  std::uint32_t send_slots = 256;
  std::uint32_t receive_slots = 64;
  /// Which of the transport's rails to connect over. Who accepts has no choice: see IncomingChannel::rail.
  std::size_t rail = 0;
  /// For the names of threads and errors: "control", "demand", "push".
  std::string_view name = "channel";
};

/// Bytes that the connecting side tells with its connection request. 56 is what rdma_cm leaves to its users on every
/// transport (rdma_connect(3)).
inline constexpr std::size_t kPrivateDataBytes = 56;
using PrivateData = std::array<std::byte, kPrivateDataBytes>;

/// A connection request that has arrived. Destruction without Accept rejects it.
class IncomingChannel {
 public:
  virtual ~IncomingChannel() = default;
  virtual const PrivateData& private_data() const = 0;
  /// The peer's address, for messages.
  virtual std::string peer() const = 0;
  /// The rail of the listening end that it came in over.
  virtual std::size_t rail() const { return 0; }
  virtual absl::StatusOr<std::unique_ptr<Channel>> Accept(const ChannelOptions& options) = 0;
};

/// Thread contract: one thread at a time, but Close from any.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The address with the real port: "tcp://127.0.0.1:40123".
  virtual std::string address() const = 0;
  /// The next well-formed request. Garbage, silence and half-open connections cost the listener nothing and delay
  /// nobody. kDeadlineExceeded; kCancelled after Close.
  virtual absl::StatusOr<std::unique_ptr<IncomingChannel>> Accept(Deadline deadline) = 0;
  virtual void Close() = 0;
};

/// The most rails that a transport can have.
inline constexpr std::size_t kMaxRails = 8;

/// A key, and the keys that it stands for on each rail.
struct RailKeys {
  std::uint32_t key = 0;
  std::array<std::uint32_t, kMaxRails> on_rail{};
};

/// How the two ends of a session with several rails learn what each other's keys stand for: one device knows none of
/// another's. What the one end has `Registered` goes to the other's `Learn` before anything that names such a key.
/// Thread-safe.
class KeyExchange {
 public:
  virtual ~KeyExchange() = default;
  /// The memory that has been opened to the peer after `since`, as far as it has not been closed again. 0: from the
  /// beginning; `since` is moved on.
  virtual std::vector<RailKeys> Registered(std::uint64_t& since) const = 0;
  /// What the peer's keys stand for. Nonsense costs the peer its own requests only: every device checks its keys.
  virtual void Learn(std::span<const RailKeys> keys) = 0;
};

/// What has gone over one rail.
struct RailTraffic {
  std::string address;  ///< This end's, or where it connects to.
  /// In one-sided requests that channels of this end have taken.
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
};

/// One side's share of a fabric: channels and memory of one Transport belong together (a protection domain); a key is
/// valid only on channels of the same Transport. Outlives everything made by it. Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual std::string_view scheme() const = 0;

  /// Registering makes memory present and keeps it from being swapped out: register no holes, and not everything in one
  /// call. Otherwise Register costs nothing, whatever the size.
  virtual bool pins_memory() const { return false; }

  virtual absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory,
                                                                     RemoteAccess access) = 0;

  /// `address` is a full URL. kUnavailable when nobody listens there (IsNobodyListens) or cannot be reached now, both
  /// worth a retry, kInvalidArgument for a bad address, kPermissionDenied when the peer rejected the request,
  /// kFailedPrecondition when this end cannot connect any more, kDeadlineExceeded.
  virtual absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view address, const PrivateData& private_data,
                                                           const ChannelOptions& options, Deadline deadline) = 0;

  /// kAlreadyExists when the address is in use.
  virtual absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) = 0;

  /// How many ways to the peer there are, which channels choose from (ChannelOptions::rail). Memory is registered for
  /// all of them. Both ends must have as many, in the same order.
  virtual std::size_t rails() const { return 1; }
  /// Null where keys mean the same to both ends.
  virtual KeyExchange* key_exchange() { return nullptr; }
  /// One for each rail, or none where there is only one.
  virtual std::vector<RailTraffic> Traffic() const { return {}; }

  /// What is wrong at this end and may mend itself, such as a link that is down, and what the user can do. Empty: all
  /// is well. Cheap enough to be asked ten times a second.
  virtual std::string Trouble() { return {}; }
};

/// Picks the transport by the address's scheme and makes this side's share of it: one with rails where the address
/// names some (rails/rail_address.h). kInvalidArgument names the schemes that this build knows.
absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(std::string_view address);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TRANSPORT_H_
