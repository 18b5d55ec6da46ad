#include "lib/runtime/source_resources.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "lib/page/claim.h"
#include "lib/prepage/holes.h"
#include "lib/runtime/memory_offers.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

// The destination leaves holes of this size unpopulated; smaller ones are not worth telling before the switchover.
constexpr std::uint64_t kLargeHole = 2u << 20;

}  // namespace

absl::Status SourceResources::Register() {
  Transport& transport = *core_.transport;
  const auto progress = [this](std::uint64_t done, std::uint64_t total) {
    core_.events.Progress(EventKind::kPreparing, done, total);
  };
  if (absl::Status registered = memory_.Register(transport, progress); !registered.ok()) return registered;
  auto tables = RegisteredBuffer::Create(transport, SourceTableLayout{core_.layout.total_pages()}.total_bytes(),
                                         RemoteAccess::kReadWrite);
  if (!tables.ok()) return tables.status();
  tables_ = *std::move(tables);
  auto lists =
      RegisteredBuffer::Create(transport, Pusher::ListBytes(core_.connection.push.size()), RemoteAccess::kNone);
  if (!lists.ok()) return lists.status();
  lists_ = *std::move(lists);
  return absl::OkStatus();
}

absl::Status SourceResources::Exchange(const SessionOptions& options) {
  // Where registering pins memory, the destination leaves out what is left out here.
  const auto holes = core_.transport->pins_memory() ? absl::StatusOr<std::vector<PageRun>>(memory_.local().Missing())
                                                    : FindLargeHoles(core_.memory, kLargeHole);
  if (!holes.ok()) return holes.status();
  ControlLink& link = *core_.connection.link;
  link.SendRuns(MessageType::kInitialHoles, *holes);
  SendExtents(link, memory_.remote());
  link.Send(MessageType::kSourceMemory,
            EncodeSourceTables({tables_->remote_address(), tables_->bytes().size(), tables_->remote_key()}));
  auto destination = ReceiveDestinationOffer(link, core_.layout, core_.connection.push.size(),
                                             Deadline::After(options.prepare_timeout));
  if (!destination.ok()) return destination.status();
  destination_ = *std::move(destination);
  return absl::OkStatus();
}

SourceEngine::World SourceResources::MakeWorld(Predictor& predictor) {
  Pusher::Resources push{
      .memory = memory_.local(), .channels = {}, .lists = lists_->bytes(), .lists_key = lists_->local_key()};
  for (const auto& channel : core_.connection.push) push.channels.push_back(channel.get());
  return {.layout = core_.layout,
          .destination = destination_,
          .control = *core_.connection.link,
          .tables = SourceTables(tables_->bytes(), core_.layout.total_pages()),
          .push = std::move(push),
          .predictor = predictor,
          .clock = core_.clock};
}

Sleeper SourceResources::MakeSleeper() const {
  Sleeper sleeper;
  sleeper.AddChannel(*core_.connection.control);
  for (const auto& channel : core_.connection.push) sleeper.AddChannel(*channel);
  return sleeper;
}

}  // namespace farfault
