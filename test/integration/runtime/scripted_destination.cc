#include "test/integration/runtime/scripted_destination.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <span>
#include <thread>
#include <utility>

#include "farfault/guest_memory.h"
#include "lib/page/extent_table.h"
#include "lib/session/extent_messages.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"

namespace farfault {

std::vector<DestinationStep> DestinationSteps(DestinationStep first, DestinationStep last) {
  std::vector<DestinationStep> steps;
  for (int step = static_cast<int>(first); step <= static_cast<int>(last); ++step) {
    steps.push_back(static_cast<DestinationStep>(step));
  }
  return steps;
}

ScriptedDestination::ScriptedDestination(std::size_t bytes)
    : listens_(true), frames_(bytes), peer_(Role::kDestination) {}

ScriptedDestination::ScriptedDestination(std::size_t bytes, const std::string& address)
    : listens_(false), frames_(bytes), peer_(address, Role::kDestination) {}

void ScriptedDestination::Play(DestinationStep last) {
  if (listens_) peer_.Accept();
  for (const DestinationStep step : DestinationSteps(DestinationStep::kGreeted, last)) Take(step);
  if (last != DestinationStep::kConnected) peer_.Flush();
}

void ScriptedDestination::Take(DestinationStep step) {
  ControlLink& link = peer_.link();
  switch (step) {
    case DestinationStep::kConnected:
      break;
    case DestinationStep::kGreeted:
      return peer_.SayHello();
    case DestinationStep::kProved:
      return peer_.Prove();
    case DestinationStep::kAcceptedRegions:
      peer_.Expect(MessageType::kRegions);
      return link.Send(MessageType::kRegionsAccepted);
    case DestinationStep::kOpenedDemandChannel:
      demand_ = peer_.OpenDataChannel(ChannelKind::kDemand);
      return;
    case DestinationStep::kOpenedPushChannel:
      push_ = peer_.OpenDataChannel(ChannelKind::kPush);
      return;
    case DestinationStep::kHeardMemory:
      return HearMemory();
    case DestinationStep::kToldFrames:
      return TellFrames();
    case DestinationStep::kPrepared:
      return link.Send(MessageType::kDestinationMemory, EncodeStaging({}));
    case DestinationStep::kMayActivate:
      return link.Send(MessageType::kMayActivate);
    case DestinationStep::kHeardSwitchOver:
      return peer_.Expect(MessageType::kSwitchOver);
  }
}

void ScriptedDestination::HearMemory() {
  for (;;) {
    const auto message = peer_.Next();
    INFO(message.status().ToString());
    REQUIRE(message.ok());
    if (message->type == MessageType::kSourceMemory) return;
    REQUIRE((message->type == MessageType::kInitialHoles || message->type == MessageType::kExtents));
    if (message->type != MessageType::kExtents || source_.count > 0) continue;
    REQUIRE(message->payload.size() >= sizeof(source_));
    std::memcpy(&source_, message->payload.data(), sizeof(source_));
  }
}

void ScriptedDestination::TellFrames() {
  auto memory = peer_.transport().Register(frames_, RemoteAccess::kWrite);
  REQUIRE(memory.ok());
  memory_ = *std::move(memory);
  const Extent extent{{0, frames_.size() / kSmallPage}, memory_->remote_address(), memory_->remote_key()};
  SendExtents(peer_.link(), std::span(&extent, 1));
}

void ScriptedDestination::BecomeResident() {
  peer_.link().Send(MessageType::kSwitchedOver);
  peer_.link().Send(MessageType::kResident);
  for (;;) {
    const auto message = peer_.Next();
    INFO(message.status().ToString());
    REQUIRE(message.ok());
    if (message->type == MessageType::kGoodbye) return;
    REQUIRE((message->type == MessageType::kHoles || message->type == MessageType::kPushComplete));
  }
}

CompletionStatus ScriptedDestination::ReadSource() {
  REQUIRE(source_.first == 0);
  const WorkRequest read{.opcode = Opcode::kRead,
                         .signaled = true,
                         .local = frames_.data(),
                         .length = kSmallPage,
                         .local_key = memory_->local_key(),
                         .remote_address = source_.address,
                         .remote_key = source_.key};
  if (demand_->Post(read) != PostResult::kOk) return CompletionStatus::kFlushed;
  const Deadline deadline = Deadline::After(absl::Seconds(20));
  Completion completion;
  while (demand_->Poll(std::span(&completion, 1)) == 0) {
    REQUIRE_FALSE(deadline.Passed());
    std::this_thread::yield();
  }
  return completion.status;
}

}  // namespace farfault
