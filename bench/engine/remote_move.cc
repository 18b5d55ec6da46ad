#include "bench/engine/remote_move.h"

#include <thread>
#include <utility>

namespace farfault::bench {

absl::StatusOr<GuestMemory> RemoteMove::CreateMemory(const std::vector<RegionSpec>& regions) {
  std::vector<Region> guest;
  for (const RegionSpec& spec : regions) {
    auto memory = OwnedRegion::CreateShared(spec.name, spec.bytes);
    if (!memory.ok()) return memory.status();
    guest.push_back(memory->region());
    memory_.push_back(*std::move(memory));
  }
  return GuestMemory::Create(std::move(guest));
}

absl::StatusOr<std::unique_ptr<RemoteMove>> RemoteMove::Prepare(SourceHost& source,
                                                                const std::vector<RegionSpec>& regions,
                                                                const MoveSpec& spec, const TargetSpec& target) {
  std::unique_ptr<RemoteMove> move(new RemoteMove(source));
  absl::StatusOr<GuestMemory> guest = move->CreateMemory(regions);
  if (!guest.ok()) return guest.status();
  DestinationOptions options;
  options.listen = target.listen;
  options.spin = target.spin;
  absl::Status told;
  options.on_event = [&source, &spec, &told](const Event& event) {
    if (event.kind == EventKind::kListening) told = source.BeginMove(event.text, spec);
  };
  auto destination = DestinationSession::Create(*std::move(guest), std::move(options));
  if (!told.ok()) return told;
  if (!destination.ok()) return destination.status();
  move->destination_ = *std::move(destination);
  if (absl::Status status = move->destination_->Prepare(); !status.ok()) return status;
  if (absl::Status status = source.WaitUntilReady(); !status.ok()) return status;
  return move;
}

absl::Status RemoteMove::SwitchOver() {
  absl::Status activated;
  std::int64_t running_at = 0;
  std::thread guest_start([&] {
    activated = destination_->Activate(absl::Seconds(30));
    running_at = MonotonicNanos();
  });
  // Long enough for the destination to be waiting, whatever else the machine does.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  absl::Status begun = source_.BeginSwitchOver();
  guest_start.join();
  if (!begun.ok()) return begun;
  const auto stopped = source_.WaitUntilSwitchedOver();
  if (!stopped.ok()) return stopped.status();
  if (!activated.ok()) return activated;
  stopped_at_ = *stopped;
  downtime_ns_ = running_at - stopped_at_;
  return absl::OkStatus();
}

absl::Status RemoteMove::End(bool drain) {
  if (!drain) destination_->Cancel();
  const auto metadata = source_.EndMove(drain);
  if (!metadata.ok()) return metadata.status();
  source_metadata_per_page_ = *metadata;
  return absl::OkStatus();
}

}  // namespace farfault::bench
