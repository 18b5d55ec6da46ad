#include "test/conformance/channel_pair.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

// splitmix64's finalizer: no two offsets look alike.
std::byte PatternByte(std::uint64_t seed, std::size_t offset) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15u + offset;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::byte>(x >> 56);
}

std::unique_ptr<Transport> NewTransport(const std::string& address) {
  auto transport = MakeTransport(address);
  REQUIRE(transport.ok());
  return *std::move(transport);
}

// Those that there are.
std::vector<ChannelPair*>& Pairs() {
  static std::vector<ChannelPair*> pairs;
  return pairs;
}

// What the control channel of a session does.
void TellKeys(Transport& from, Transport& to) {
  if (from.key_exchange() == nullptr) return;
  std::uint64_t since = 0;
  to.key_exchange()->Learn(from.key_exchange()->Registered(since));
}

void TellPeer(Transport& owner) {
  for (ChannelPair* const pair : Pairs()) {
    if (pair->initiator.transport.get() == &owner) TellKeys(owner, *pair->target.transport);
    if (pair->target.transport.get() == &owner) TellKeys(owner, *pair->initiator.transport);
  }
}

}  // namespace

Memory::Memory(Transport& transport, std::size_t size, RemoteAccess access)
    : bytes_(static_cast<std::byte*>(::operator new[](size, std::align_val_t{4096}))), size_(size) {
  std::memset(bytes_.get(), 0, size);
  auto registered = transport.Register({bytes_.get(), size}, access);
  REQUIRE(registered.ok());
  registered_ = *std::move(registered);
  TellPeer(transport);
}

void Memory::FillRange(std::uint64_t seed, std::size_t offset, std::size_t length) const {
  for (std::size_t i = offset; i < offset + length; ++i) bytes_[i] = PatternByte(seed, i - offset);
}

bool Memory::Holds(std::uint64_t seed, std::size_t offset, std::size_t length) const {
  for (std::size_t i = offset; i < offset + length; ++i) {
    if (bytes_[i] != PatternByte(seed, i - offset)) return false;
  }
  return true;
}

void Endpoint::Poll() {
  std::array<Completion, 16> completions;
  const std::size_t count = channel->Poll(completions);
  for (const Completion& completion : std::span(completions).first(count)) {
    if (completion.status != CompletionStatus::kOk && !channel->broken()) ++failed_early;
    (completion.opcode == Opcode::kReceive ? received : sent).push_back(completion);
  }
}

Connected ConnectPair(Transport& connecting, Transport& accepting, const std::string& listen_address,
                      const ChannelOptions& connect_options, const ChannelOptions& accept_options,
                      const PrivateData& private_data) {
  auto listener = accepting.Listen(listen_address);
  REQUIRE(listener.ok());
  Connected connected{absl::UnknownError("not run"), absl::UnknownError("not run")};
  const Deadline deadline = Deadline::After(kPatience);
  std::thread accept([&] {
    auto incoming = (*listener)->Accept(deadline);
    connected.accepting = incoming.ok() ? (*incoming)->Accept(accept_options) : incoming.status();
  });
  ChannelOptions options = connect_options;
  options.rail = connecting.rails() - 1;
  connected.connecting = connecting.Connect((*listener)->address(), private_data, options, deadline);
  if (!connected.connecting.ok()) (*listener)->Close();
  accept.join();
  return connected;
}

VirtualTime::VirtualTime(std::shared_ptr<SimFabric> fabric) : fabric_(std::move(fabric)), thread_([this] { Run(); }) {}

VirtualTime::~VirtualTime() {
  over_.store(true);
  thread_.join();
}

void VirtualTime::Run() const {
  while (!over_.load()) {
    const Nanos next = fabric_->next_event();
    if (next != std::numeric_limits<Nanos>::max()) {
      fabric_->AdvanceTo(next);
    } else {
      absl::SleepFor(absl::Microseconds(5));
    }
  }
}

ChannelPair::ChannelPair(const Setup& setup, const PairOptions& options)
    : listen_address_(setup.fabric.listen_address) {
  if (setup.fabric.virtual_wire) {
    virtual_fabric_ = SimFabric::CreateVirtual(*setup.fabric.virtual_wire);
    time_ = std::make_unique<VirtualTime>(virtual_fabric_);
  }
  for (Endpoint* const end : {&initiator, &target}) {
    end->transport = virtual_fabric_ ? virtual_fabric_->MakeTransport() : NewTransport(listen_address_);
  }
  Pairs().push_back(this);
  const auto channel_options = [&](Service service, std::string_view name) {
    return ChannelOptions{
        .service = service, .send_slots = options.send_slots, .receive_slots = options.receive_slots, .name = name};
  };
  Connected connected = Connect(channel_options(setup.initiator, "initiator"), channel_options(setup.target, "target"));
  INFO(connected.connecting.status().ToString() << ", " << connected.accepting.status().ToString());
  REQUIRE(connected.connecting.ok());
  REQUIRE(connected.accepting.ok());
  initiator.channel = *std::move(connected.connecting);
  target.channel = *std::move(connected.accepting);
}

ChannelPair::~ChannelPair() {
  CHECK(initiator.failed_early + target.failed_early == 0);
  std::erase(Pairs(), this);
}

Connected ChannelPair::Connect(const ChannelOptions& initiator_options, const ChannelOptions& target_options) const {
  if (!virtual_fabric_) {
    return ConnectPair(*initiator.transport, *target.transport, listen_address_, initiator_options, target_options);
  }
  SimFabric::Pair pair =
      virtual_fabric_->ConnectPair(*initiator.transport, initiator_options, *target.transport, target_options);
  return {std::move(pair.first), std::move(pair.second)};
}

bool ChannelPair::PollUntil(const std::function<bool()>& done) {
  const Deadline deadline = Deadline::After(kPatience);
  for (;;) {
    if (initiator.channel) initiator.Poll();
    if (target.channel) target.Poll();
    if (done()) return true;
    if (deadline.Passed()) return false;
    std::this_thread::yield();
  }
}

void ChannelPair::Post(std::span<const WorkRequest> chain) {
  PostResult result = PostResult::kFull;
  REQUIRE(PollUntil([&] { return (result = initiator.channel->Post(chain)) != PostResult::kFull; }));
  INFO(initiator.channel->failure().ToString());
  REQUIRE(result == PostResult::kOk);
}

Completion ChannelPair::Run(WorkRequest request) {
  request.signaled = true;
  const std::size_t before = initiator.sent.size();
  Post(std::span(&request, 1));
  REQUIRE(PollUntil([&] { return initiator.sent.size() > before; }));
  return initiator.sent.back();
}

WorkRequest WriteRequest(const Memory& local, std::size_t local_offset, const Memory& remote, std::size_t remote_offset,
                         std::uint32_t length) {
  return {.opcode = Opcode::kWrite,
          .local = local.at(local_offset),
          .length = length,
          .local_key = local.local_key(),
          .remote_address = remote.remote(remote_offset),
          .remote_key = remote.remote_key()};
}

WorkRequest ReadRequest(const Memory& local, std::size_t local_offset, const Memory& remote, std::size_t remote_offset,
                        std::uint32_t length) {
  WorkRequest request = WriteRequest(local, local_offset, remote, remote_offset, length);
  request.opcode = Opcode::kRead;
  return request;
}

WorkRequest SendRequest(const Memory& local, std::size_t local_offset, std::uint32_t length) {
  return {.opcode = Opcode::kSend, .local = local.at(local_offset), .length = length, .local_key = local.local_key()};
}

WorkRequest Signaled(WorkRequest request, std::uint64_t id) {
  request.signaled = true;
  request.id = id;
  return request;
}

}  // namespace farfault
