#include "test/support/scripted_channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace farfault {

std::vector<ScriptedChannel::Posted> ScriptedChannel::TakePosted() { return std::exchange(posted_, {}); }

PostResult ScriptedChannel::Post(std::span<const WorkRequest> chain) {
  if (broken_) return PostResult::kBroken;
  if (post_result_ != PostResult::kOk) return post_result_;
  if (slots_in_use_ + chain.size() > limits_.send_slots) return PostResult::kFull;
  for (const WorkRequest& request : chain) {
    Posted posted{request, {}, chains_};
    if (request.opcode != Opcode::kRead) posted.bytes.assign(request.local, request.local + request.length);
    posted_.push_back(posted);
    outstanding_.push_back(std::move(posted));
  }
  slots_in_use_ += static_cast<std::uint32_t>(chain.size());
  ++chains_;
  return PostResult::kOk;
}

void ScriptedChannel::Execute(const Posted& posted) const {
  const WorkRequest& request = posted.request;
  if (hook_) hook_(request);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): remote addresses are local ones here.
  auto* const remote = reinterpret_cast<std::byte*>(request.remote_address);
  if (request.opcode == Opcode::kRead) std::memcpy(request.local, remote, request.length);
  if (request.opcode == Opcode::kWrite) {
    // What is not inline is read when it is sent, not when it is posted.
    std::memcpy(remote, request.inline_data ? posted.bytes.data() : request.local, request.length);
  }
}

void ScriptedChannel::Complete(std::size_t most) {
  for (; most > 0 && !outstanding_.empty(); --most) {
    const Posted posted = std::move(outstanding_.front());
    outstanding_.pop_front();
    Execute(posted);
    ++slots_executed_;
    if (!posted.request.signaled) continue;
    completions_.push_back({posted.request.id, posted.request.opcode, CompletionStatus::kOk, 0});
    slots_of_completions_.push_back(std::exchange(slots_executed_, 0));
  }
}

void ScriptedChannel::CompleteWith(CompletionStatus status) {
  while (!outstanding_.empty()) {
    const WorkRequest request = outstanding_.front().request;
    outstanding_.pop_front();
    ++slots_executed_;
    if (!request.signaled) continue;
    completions_.push_back({request.id, request.opcode, status, 0});
    slots_of_completions_.push_back(std::exchange(slots_executed_, 0));
    return;
  }
}

bool ScriptedChannel::Deliver(std::span<const std::byte> message) {
  if (receives_.empty() || receives_.front().buffer.size() < message.size()) return false;
  const Receive receive = receives_.front();
  receives_.pop_front();
  std::copy(message.begin(), message.end(), receive.buffer.begin());
  completions_.push_back(
      {receive.id, Opcode::kReceive, CompletionStatus::kOk, static_cast<std::uint32_t>(message.size())});
  slots_of_completions_.push_back(0);
  return true;
}

void ScriptedChannel::Break() {
  if (broken_) return;
  broken_ = true;
  for (const Posted& posted : outstanding_) {
    if (!posted.request.signaled) continue;
    completions_.push_back({posted.request.id, posted.request.opcode, CompletionStatus::kFlushed, 0});
    slots_of_completions_.push_back(0);
  }
  for (const Receive& receive : receives_) {
    completions_.push_back({receive.id, Opcode::kReceive, CompletionStatus::kFlushed, 0});
    slots_of_completions_.push_back(0);
  }
  outstanding_.clear();
  receives_.clear();
}

PostResult ScriptedChannel::PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t) {
  if (broken_) return PostResult::kBroken;
  if (receives_.size() >= limits_.receive_slots) return PostResult::kFull;
  receives_.push_back({id, buffer});
  return PostResult::kOk;
}

std::size_t ScriptedChannel::Poll(std::span<Completion> out) {
  std::size_t count = 0;
  for (; count < out.size() && !completions_.empty(); ++count) {
    out[count] = completions_.front();
    completions_.pop_front();
    slots_in_use_ -= slots_of_completions_.front();
    slots_of_completions_.pop_front();
  }
  return count;
}

absl::Status ScriptedChannel::failure() const {
  return broken_ ? absl::UnavailableError("the test broke the channel") : absl::OkStatus();
}

}  // namespace farfault
