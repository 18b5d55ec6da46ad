#include "lib/runtime/memory_offers.h"

#include <optional>
#include <utility>

#include "farfault/session.h"
#include "lib/runtime/check_options.h"
#include "lib/runtime/event_sink.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

absl::StatusOr<std::vector<RemoteRegion>> ReceiveRegions(ControlLink& link, Deadline deadline) {
  const auto message = ExpectMessage(link, MessageType::kRegions, "list of regions", deadline);
  if (!message.ok()) return message.status();
  return DecodeRegions(message->payload);
}

}  // namespace

absl::StatusOr<Rendezvous::Agreement> AgreeOnRegions(ControlLink& link, const GuestMemory& memory, Deadline deadline) {
  const auto regions = ReceiveRegions(link, deadline);
  if (!regions.ok()) return regions.status();
  if (absl::Status same = CompareRegions(*regions, memory); !same.ok()) return same;
  link.Send(MessageType::kRegionsAccepted);
  return Rendezvous::Agreement::kSession;
}

absl::StatusOr<SourceOffer> ReceiveSourceOffer(ControlLink& link, const PageLayout& layout, Deadline deadline) {
  SourceOffer offer;
  offer.source.memory = ExtentTable(layout);
  for (;;) {
    const auto message = WaitForMessage(link, "addresses", deadline);
    if (!message.ok()) return message.status();
    if (message->type == MessageType::kSourceMemory) {
      const auto tables = DecodeSourceTables(message->payload, layout);
      if (!tables.ok()) return tables.status();
      offer.source.tables = *tables;
      return offer;
    }
    if (message->type == MessageType::kExtents) {
      if (absl::Status added = AddExtents(message->payload, offer.source.memory); !added.ok()) return added;
      continue;
    }
    const auto holes = message->type == MessageType::kInitialHoles ? DecodeRuns(message->payload) : std::nullopt;
    if (!holes) return absl::DataLossError("the source sent something else than its holes and addresses");
    for (const PageRun& run : *holes) {
      const bool sound = run.count > 0 && layout.Contains(run) && offer.holes.size() < layout.total_pages();
      if (!sound) return absl::DataLossError("the source sent holes outside the memory");
      offer.holes.push_back(run);
    }
  }
}

absl::StatusOr<DestinationPeer> ReceiveDestinationOffer(ControlLink& link, const PageLayout& layout,
                                                        std::size_t push_channels, Deadline deadline) {
  DestinationPeer destination;
  destination.frames = ExtentTable(layout);
  for (;;) {
    const auto message = WaitForMessage(link, "memory to be prepared", deadline);
    if (!message.ok()) return message.status();
    if (message->type == MessageType::kDestinationMemory) {
      auto staging = DecodeStaging(message->payload, layout, destination.frames, push_channels);
      if (!staging.ok()) return staging.status();
      destination.staging = *std::move(staging);
      return destination;
    }
    if (message->type != MessageType::kExtents) {
      return absl::DataLossError("the destination sent something else than its addresses");
    }
    if (absl::Status added = AddExtents(message->payload, destination.frames); !added.ok()) return added;
  }
}

absl::StatusOr<std::vector<RemoteRegion>> DescribeSource(const SessionOptions& options) {
  if (absl::Status checked = CheckOptions(options); !checked.ok()) return checked;
  if (options.connect.empty()) {
    return absl::InvalidArgumentError("DescribeSource asks a source that listens: set connect to its address");
  }
  EventSink events(options.on_event);
  auto rendezvous = Rendezvous::Create(Role::kDestination, options, /*spin=*/false, events);
  if (!rendezvous.ok()) return rendezvous.status();
  std::vector<RemoteRegion> regions;
  auto connection = (*rendezvous)->Meet([&](Connection& peer) -> absl::StatusOr<Rendezvous::Agreement> {
    const Deadline deadline = Deadline::After(options.handshake_timeout);
    auto received = ReceiveRegions(*peer.link, deadline);
    if (!received.ok()) return received.status();
    regions = *std::move(received);
    peer.link->Send(MessageType::kDescribed);
    // The source hangs up as soon as it has read this, perhaps before we learn that it has.
    FlushLink(*peer.link, deadline).IgnoreError();
    return Rendezvous::Agreement::kEnough;
  });
  if (!connection.ok()) return connection.status();
  return regions;
}

}  // namespace farfault
