#include "lib/transport/sim/immediate_connection.h"

#include <fmt/format.h>

#include <utility>

#include "lib/transport/sim/copy_bytes.h"

namespace farfault::sim {

ImmediateConnection::End::End(EndOptions end_options, MemoryTable& table)
    : options(std::move(end_options)),
      memory(table),
      completions(options.channel.send_slots + options.channel.receive_slots),
      waiting(options.channel.send_slots),
      receives(options.channel.receive_slots) {}

ImmediateConnection::ImmediateConnection(MemoryTable& memory, FaultScript& script, const Clock& clock, EndOptions first,
                                         EndOptions second)
    : memory_(memory),
      script_(script),
      clock_(clock),
      ends_{End(std::move(first), memory), End(std::move(second), memory)} {}

absl::Status ImmediateConnection::failure() const {
  const MutexLock lock(&failure_mutex_);
  return failure_;
}

void ImmediateConnection::MarkBroken(const absl::Status& reason) {
  const MutexLock lock(&failure_mutex_);
  if (broken_.load(std::memory_order_relaxed)) return;
  failure_ = reason;
  broken_.store(true, std::memory_order_seq_cst);
}

void ImmediateConnection::Break(const absl::Status& reason) {
  MarkBroken(reason);
  Flush();
}

void ImmediateConnection::Flush() {
  for (std::size_t side = 0; side < 2; ++side) {
    End& from = ends_[side];
    End& to = ends_[1 - side];
    const MutexLock lock(&from.execution);
    for (; from.waiting_count > 0; --from.waiting_count) {
      Complete(from, from.waiting[from.waiting_head].request, CompletionStatus::kFlushed);
      from.waiting_head = (from.waiting_head + 1) % from.waiting.size();
    }
    while (const PostedReceive* receive = to.receives.front()) {
      const std::uint64_t id = receive->id;
      to.receives.TakeFront();
      to.completions.Push({.id = id, .opcode = Opcode::kReceive, .status = CompletionStatus::kFlushed}, 0);
    }
  }
  for (End& end : ends_) end.completions.Wake();
}

void ImmediateConnection::Complete(End& from, const WorkRequest& request, CompletionStatus status) {
  if (!request.signaled) {
    ++from.unsignaled;
    return;
  }
  const std::uint32_t retired = std::exchange(from.unsignaled, 0) + 1;
  from.completions.Push({.id = request.id, .opcode = request.opcode, .status = status, .length = request.length},
                        retired);
}

void ImmediateConnection::MarkBroken(const End& from, std::string_view what) {
  MarkBroken(absl::InternalError(fmt::format("sim channel \"{}\" is broken: {}", from.options.name, what)));
}

ImmediateConnection::Outcome ImmediateConnection::Fail(End& from, const WorkRequest& request, std::string_view what) {
  MarkBroken(from, what);
  Complete(from, request, CompletionStatus::kError);
  return Outcome::kFailed;
}

ImmediateConnection::Outcome ImmediateConnection::Execute(End& from, End& to, const WorkRequest& request,
                                                          const std::byte* local) {
  const ReaderLock lock(&memory_.mutex());
  if (const char* error = LocalError(memory_, from.options.domain, request)) return Fail(from, request, error);
  if (request.opcode == Opcode::kSend) return ExecuteSend(from, to, request, local);
  const bool read = request.opcode == Opcode::kRead;
  if (request.length > 0) {
    std::byte* remote = memory_.FindRemote(to.options.domain, request.remote_key, request.remote_address,
                                           request.length, read ? RemoteAccess::kRead : RemoteAccess::kWrite);
    if (remote == nullptr) return Fail(from, request, "the remote key does not allow the access");
    if (read) {
      // A WRITE that was posted before is visible before the READ looks: what Dekker's algorithm stands on.
      std::atomic_thread_fence(std::memory_order_seq_cst);
      CopyBytes(request.local, remote, request.length);
    } else {
      CopyBytes(remote, local, request.length);
    }
  }
  Complete(from, request, CompletionStatus::kOk);
  return Outcome::kDone;
}

ImmediateConnection::Outcome ImmediateConnection::ExecuteSend(End& from, End& to, const WorkRequest& request,
                                                              const std::byte* local) {
  const PostedReceive* receive = to.receives.front();
  if (receive == nullptr) {
    // Whoever adds a receive looks at the mark after that; whoever sets the mark looks for a receive after that.
    to.starved.store(true, std::memory_order_seq_cst);
    receive = to.receives.front();
    if (receive == nullptr) return Outcome::kNoReceive;
  }
  const PostedReceive taken = *receive;
  to.receives.TakeFront();
  const bool fits = request.length <= taken.buffer.size() &&
                    (request.length == 0 ||
                     memory_.ContainsLocal(to.options.domain, taken.local_key, taken.buffer.data(), request.length));
  if (fits && request.length > 0) CopyBytes(taken.buffer.data(), local, request.length);
  constexpr std::string_view kTooLong = "a message does not fit the buffer that was posted for it";
  if (!fits) MarkBroken(from, kTooLong);
  to.completions.Push({.id = taken.id,
                       .opcode = Opcode::kReceive,
                       .status = fits ? CompletionStatus::kOk : CompletionStatus::kError,
                       .length = fits ? request.length : 0},
                      0);
  if (!fits) return Fail(from, request, kTooLong);
  Complete(from, request, CompletionStatus::kOk);
  return Outcome::kDone;
}

PostResult ImmediateConnection::Post(int side, std::span<const WorkRequest> chain) {
  End& from = ends_[Index(side)];
  End& to = ends_[1 - Index(side)];
  if (script_.active() && script_.OnPost(from.options.name, chain.size(), clock_.Now())) {
    Break(absl::UnavailableError("the script broke the channel"));
  }
  bool failed = false;
  {
    const MutexLock lock(&from.execution);
    if (broken()) return PostResult::kBroken;
    for (const WorkRequest& request : chain) {
      if (failed) {
        Complete(from, request, CompletionStatus::kFlushed);
        continue;
      }
      const Outcome outcome = from.waiting_count > 0 ? Outcome::kNoReceive : Execute(from, to, request, request.local);
      failed = outcome == Outcome::kFailed;
      if (outcome != Outcome::kNoReceive) continue;
      from.waiting[(from.waiting_head + from.waiting_count++) % from.waiting.size()].Store(request);
    }
  }
  if (failed) Flush();
  return PostResult::kOk;
}

void ImmediateConnection::ExecuteWaiting(int side) {
  End& from = ends_[Index(side)];
  End& to = ends_[1 - Index(side)];
  bool failed = false;
  {
    const MutexLock lock(&from.execution);
    to.starved.store(false, std::memory_order_seq_cst);
    while (from.waiting_count > 0 && !failed && !broken()) {
      const StoredRequest& stored = from.waiting[from.waiting_head];
      const Outcome outcome = Execute(from, to, stored.request, stored.local());
      if (outcome == Outcome::kNoReceive) break;
      failed = outcome == Outcome::kFailed;
      from.waiting_head = (from.waiting_head + 1) % from.waiting.size();
      --from.waiting_count;
    }
  }
  if (failed) Flush();
}

PostResult ImmediateConnection::PostReceive(int side, const PostedReceive& receive) {
  if (broken()) return PostResult::kBroken;
  End& end = ends_[Index(side)];
  end.receives.Add(receive);
  if (end.starved.load(std::memory_order_seq_cst)) ExecuteWaiting(1 - side);
  // Whoever broke the channel in between may have looked for receives before this one was there.
  if (broken()) Flush();
  return PostResult::kOk;
}

}  // namespace farfault::sim
