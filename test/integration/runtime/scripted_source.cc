#include "test/integration/runtime/scripted_source.h"

#include <catch2/catch_test_macros.hpp>
#include <span>
#include <utility>

#include "lib/page/claim.h"
#include "lib/page/extent_table.h"
#include "lib/session/extent_messages.h"
#include "lib/session/handshake.h"

namespace farfault {

std::vector<SourceStep> SourceSteps(SourceStep first, SourceStep last) {
  std::vector<SourceStep> steps;
  for (int step = static_cast<int>(first); step <= static_cast<int>(last); ++step) {
    steps.push_back(static_cast<SourceStep>(step));
  }
  return steps;
}

ScriptedSource::ScriptedSource(GuestImage& image)
    : image_(image), listens_(true), pages_(image.bytes().size() / kSmallPage), peer_(Role::kSource) {}

ScriptedSource::ScriptedSource(GuestImage& image, const std::string& address)
    : image_(image), listens_(false), pages_(image.bytes().size() / kSmallPage), peer_(address, Role::kSource) {}

void ScriptedSource::Describe() {
  peer_.Accept();
  peer_.SayHello();
  peer_.Prove();
  peer_.link().Send(MessageType::kRegions, EncodeRegions(image_.memory()));
  peer_.Expect(MessageType::kDescribed);
  peer_.HangUp();
}

void ScriptedSource::Play(SourceStep last) {
  if (listens_) peer_.Accept();
  for (const SourceStep step : SourceSteps(SourceStep::kGreeted, last)) Take(step);
  if (last != SourceStep::kConnected) peer_.Flush();
}

void ScriptedSource::Take(SourceStep step) {
  ControlLink& link = peer_.link();
  switch (step) {
    case SourceStep::kConnected:
      break;
    case SourceStep::kGreeted:
      return peer_.SayHello();
    case SourceStep::kProved:
      return peer_.Prove();
    case SourceStep::kToldRegions:
      link.Send(MessageType::kRegions, EncodeRegions(image_.memory()));
      return peer_.Expect(MessageType::kRegionsAccepted);
    case SourceStep::kOpenedDemandChannel:
      demand_ = peer_.OpenDataChannel(ChannelKind::kDemand);
      return;
    case SourceStep::kOpenedPushChannel:
      push_ = peer_.OpenDataChannel(ChannelKind::kPush);
      return;
    case SourceStep::kToldHoles: {
      const PageRun hole{pages_ / 2, pages_ / 2};
      return link.SendRuns(MessageType::kInitialHoles, std::span(&hole, 1));
    }
    case SourceStep::kToldMemory:
      return TellMemory();
    case SourceStep::kToldTables:
      return TellTables();
    case SourceStep::kHeardPrepared:
      return peer_.Expect(MessageType::kDestinationMemory, MessageType::kExtents);
    case SourceStep::kHeardMayActivate:
      return peer_.Expect(MessageType::kMayActivate);
    case SourceStep::kToldDirtyRuns: {
      const PageRun dirty{0, 1};
      return link.SendRuns(MessageType::kDirtyRuns, std::span(&dirty, 1));
    }
  }
}

void ScriptedSource::TellMemory() {
  auto memory = peer_.transport().Register(image_.bytes(), RemoteAccess::kRead);
  REQUIRE(memory.ok());
  memory_ = *std::move(memory);
  const Extent extent{{0, pages_}, memory_->remote_address(), memory_->remote_key()};
  SendExtents(peer_.link(), std::span(&extent, 1));
}

void ScriptedSource::TellTables() {
  auto tables =
      RegisteredBuffer::Create(peer_.transport(), SourceTableLayout{pages_}.total_bytes(), RemoteAccess::kReadWrite);
  REQUIRE(tables.ok());
  tables_ = *std::move(tables);
  peer_.link().Send(MessageType::kSourceMemory,
                    EncodeSourceTables({tables_.remote_address(), tables_.bytes().size(), tables_.remote_key()}));
}

}  // namespace farfault
