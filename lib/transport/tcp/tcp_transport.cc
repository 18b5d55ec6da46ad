#include "lib/transport/tcp/tcp_transport.h"

#include "lib/transport/tcp/tcp_address.h"
#include "lib/transport/tcp/tcp_channel.h"
#include "lib/transport/tcp/tcp_connect.h"
#include "lib/transport/tcp/tcp_listener.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

class TcpMemory final : public RegisteredMemory {
 public:
  TcpMemory(MemoryTable& table, std::span<std::byte> memory, std::uint32_t key)
      : RegisteredMemory(memory, key, key), table_(table) {}
  ~TcpMemory() override { table_.Revoke(local_key()); }

 private:
  MemoryTable& table_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RegisteredMemory>> TcpTransport::Register(std::span<std::byte> memory,
                                                                         RemoteAccess access) {
  if (memory.empty()) return absl::InvalidArgumentError("memory of 0 bytes cannot be registered");
  const absl::StatusOr<std::uint32_t> key = memory_.Add(memory, access);
  if (!key.ok()) return key.status();
  return std::make_unique<TcpMemory>(memory_, memory, *key);
}

absl::StatusOr<std::unique_ptr<Channel>> TcpTransport::Connect(std::string_view address,
                                                               const PrivateData& private_data,
                                                               const ChannelOptions& options, Deadline deadline) {
  const absl::StatusOr<TcpAddress> parsed = ParseTcpAddress(address);
  if (!parsed.ok()) return parsed.status();
  absl::StatusOr<TcpConnection> connection = ConnectTcp(*parsed, private_data, deadline);
  if (!connection.ok()) return connection.status();
  return TcpChannel::Create(std::move(connection->socket), connection->peer, options, memory_);
}

absl::StatusOr<std::unique_ptr<Listener>> TcpTransport::Listen(std::string_view address) {
  const absl::StatusOr<TcpAddress> parsed = ParseTcpAddress(address);
  if (!parsed.ok()) return parsed.status();
  return TcpListener::Create(*parsed, memory_);
}

absl::StatusOr<std::unique_ptr<Transport>> MakeTcpTransport(std::string_view address) {
  if (const auto parsed = ParseTcpAddress(address); !parsed.ok()) return parsed.status();
  return std::make_unique<TcpTransport>();
}

}  // namespace farfault
