#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_TRANSPORT_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_TRANSPORT_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/transport/tcp/memory_table.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// One-sided requests over TCP sockets, one socket per channel, `tcp://HOST:PORT`.
class TcpTransport final : public Transport {
 public:
  std::string_view scheme() const override { return "tcp"; }
  absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory, RemoteAccess access) override;
  absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view address, const PrivateData& private_data,
                                                   const ChannelOptions& options, Deadline deadline) override;
  absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) override;

 private:
  MemoryTable memory_;
};

/// kInvalidArgument for a bad address.
absl::StatusOr<std::unique_ptr<Transport>> MakeTcpTransport(std::string_view address);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_TRANSPORT_H_
