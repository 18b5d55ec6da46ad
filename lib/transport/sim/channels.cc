#include "lib/transport/sim/channels.h"

#include <poll.h>

#include <utility>

namespace farfault::sim {
namespace {

absl::Status ClosedStatus() { return absl::CancelledError("the channel was closed by one of its ends"); }

}  // namespace

PostResult EndChannel::Post(std::span<const WorkRequest> chain) {
  if (broken()) return PostResult::kBroken;
  if (chain.size() > limits_.send_slots - sends_in_use_) return PostResult::kFull;
  sends_in_use_ += static_cast<std::uint32_t>(chain.size());
  return PostChain(chain);
}

PostResult EndChannel::PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) {
  if (broken()) return PostResult::kBroken;
  if (receives_in_use_ == limits_.receive_slots) return PostResult::kFull;
  const PostResult result = AddReceive({id, buffer, local_key});
  if (result == PostResult::kOk) ++receives_in_use_;
  return result;
}

std::size_t EndChannel::Poll(std::span<Completion> out) {
  CatchUp();
  std::uint32_t retired = 0;
  const std::size_t count = completions_.Pop(out, retired);
  sends_in_use_ -= retired;
  for (const Completion& completion : out.first(count)) {
    if (completion.opcode == Opcode::kReceive) --receives_in_use_;
  }
  return count;
}

WaitHandle EndChannel::wait_handle() const { return {completions_.wait_fd(), POLLIN}; }

ImmediateChannel::ImmediateChannel(std::shared_ptr<SimFabric> fabric, std::shared_ptr<ImmediateConnection> connection,
                                   int side)
    : EndChannel(std::move(fabric), connection->completions(side), connection->options(side).limits()),
      connection_(std::move(connection)),
      side_(side) {}

bool ImmediateChannel::PrepareToSleep() { return completions().PrepareToSleep() && !broken(); }

void ImmediateChannel::Close() { connection_->Break(ClosedStatus()); }

TimedChannel::TimedChannel(std::shared_ptr<SimFabric> fabric, TimedConnection& connection, int side)
    : EndChannel(std::move(fabric), connection.completions(side), connection.options(side).limits()),
      connection_(connection),
      side_(side) {}

TimedChannel::~TimedChannel() {
  const MutexLock lock(&connection_.wire().mutex());
  connection_.Break(ClosedStatus());
  connection_.Release();
}

bool TimedChannel::PrepareToSleep() { return completions().PrepareToSleep() && !broken(); }

absl::Status TimedChannel::failure() const {
  const MutexLock lock(&connection_.wire().mutex());
  return connection_.failure();
}

void TimedChannel::Close() {
  const MutexLock lock(&connection_.wire().mutex());
  connection_.Break(ClosedStatus());
}

PostResult TimedChannel::PostChain(std::span<const WorkRequest> chain) {
  fabric().AdvanceToClock();
  const MutexLock lock(&connection_.wire().mutex());
  return connection_.Post(side_, chain);
}

PostResult TimedChannel::AddReceive(const PostedReceive& receive) {
  const MutexLock lock(&connection_.wire().mutex());
  return connection_.PostReceive(side_, receive);
}

}  // namespace farfault::sim
