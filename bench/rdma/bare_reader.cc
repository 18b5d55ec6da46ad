#include "bench/rdma/bare_reader.h"

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <thread>
#include <utility>

#include "lib/util/deadline.h"

namespace farfault::bench {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

}  // namespace

absl::Status BareReader::Open(End& end, const std::string& url, const Region& region, bool own_memory) {
  auto transport = MakeTransport(url);
  if (!transport.ok()) return transport.status();
  end.transport = *std::move(transport);
  auto memory =
      own_memory
          ? Mapping::Anonymous(region.length)
          : Mapping::Map(
                {.length = region.length, .protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = region.fd});
  if (!memory.ok()) return memory.status();
  end.memory = *std::move(memory);
  // Nothing of it is a hole, and every page has bytes of its own.
  std::memset(end.memory.data(), 1, region.length);
  auto registered = end.transport->Register({end.memory.data(), region.length},
                                            own_memory ? RemoteAccess::kRead : RemoteAccess::kNone);
  if (!registered.ok()) return registered.status();
  end.registered = *std::move(registered);
  return absl::OkStatus();
}

absl::Status BareReader::Meet(const std::string& url) {
  auto listener = far_.transport->Listen(url);
  if (!listener.ok()) return listener.status();
  const Deadline deadline = Deadline::After(kPatience);
  absl::StatusOr<std::unique_ptr<Channel>> accepted = absl::UnknownError("nobody has connected");
  std::thread accept([&] {
    auto incoming = (*listener)->Accept(deadline);
    accepted = incoming.ok() ? (*incoming)->Accept({}) : incoming.status();
  });
  auto connected = near_.transport->Connect((*listener)->address(), {}, {}, deadline);
  if (!connected.ok()) (*listener)->Close();
  accept.join();
  if (!connected.ok()) return connected.status();
  if (!accepted.ok()) return accepted.status();
  near_.channel = *std::move(connected);
  far_.channel = *std::move(accepted);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BareReader>> BareReader::Connect(const std::string& url, const Region& region) {
  std::unique_ptr<BareReader> reader(new BareReader);
  absl::Status status = Open(reader->far_, url, region, /*own_memory=*/true);
  if (status.ok()) status = Open(reader->near_, url, region, /*own_memory=*/false);
  if (status.ok()) status = reader->Meet(url);
  if (!status.ok()) return status;
  return reader;
}

void BareReader::Read(std::uint64_t offset) {
  if (!failure_.ok()) return;
  const WorkRequest request{.opcode = Opcode::kRead,
                            .signaled = true,
                            .local = near_.memory.data() + offset,
                            .length = static_cast<std::uint32_t>(kSmallPage),
                            .local_key = near_.registered->local_key(),
                            .remote_address = far_.registered->remote_address() + offset,
                            .remote_key = far_.registered->remote_key()};
  if (near_.channel->Post(request) == PostResult::kOk) {
    std::array<Completion, 1> done;
    std::size_t count = 0;
    while ((count = near_.channel->Poll(done)) == 0 && !near_.channel->broken()) {
    }
    if (count == 1 && done[0].status == CompletionStatus::kOk) return;
  }
  failure_ = near_.channel->failure();
  if (failure_.ok()) failure_ = absl::InternalError("a bare READ could not be posted");
}

}  // namespace farfault::bench
