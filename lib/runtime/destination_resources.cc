#include "lib/runtime/destination_resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/demand/demand_reader.h"
#include "lib/push/run_list_receiver.h"

namespace farfault {
namespace {

// Why a guest's memory cannot be populated before there is a peer; empty: it can.
std::string_view WhyNotEarly(const GuestMemory& memory) {
  const auto regions = memory.regions();
  if (std::none_of(regions.begin(), regions.end(), [](const Region& region) { return region.fd >= 0; })) {
    return "private memory is populated as pages come";
  }
  const ExternalGuest* const guest = memory.external();
  if (guest == nullptr) return "";
  if (guest->running || guest->taken_over) return "the guest may run already, and would feel it";
  // What it touches until it is armed could be overlooked afterwards.
  return guest->registered ? "" : "the guest's process has not armed its memory";
}

// All but what is known only when there is a peer.
GuestPlacementOptions PlacementOptions(SessionCore& core, const DestinationOptions& options) {
  GuestPlacementOptions placement;
  placement.demand_slots = static_cast<std::uint32_t>(options.max_outstanding_faults);
  placement.staging_bytes = options.staging_bytes;
  placement.collapse_huge_pages = options.collapse_huge_pages;
  placement.threads = options.prepare_threads;
  placement.progress = [&core](std::uint64_t done, std::uint64_t total) {
    core.events.Progress(EventKind::kPreparing, done, total);
  };
  placement.hint = [&core](std::string hint) { core.events.Send(EventKind::kHint, std::move(hint)); };
  return placement;
}

}  // namespace

absl::Status DestinationResources::PopulateEarly(SessionCore& core, const DestinationOptions& options) {
  if (const std::string_view why = WhyNotEarly(core.memory); !why.empty()) {
    core.events.Send(EventKind::kHint, fmt::format("no memory is populated before the source is there: {}", why));
    return absl::OkStatus();
  }
  if (absl::Status opened = OpenPlacement(core, options); !opened.ok()) return opened;
  return placement_->PopulateEarly(PlacementOptions(core, options));
}

absl::Status DestinationResources::OpenPlacement(const SessionCore& core, const DestinationOptions& options) {
  auto opened = GuestPlacement::Open(core.memory, core.layout, options.collapse_huge_pages);
  if (!opened.ok()) return opened.status();
  placement_ = *std::move(opened);
  return absl::OkStatus();
}

absl::Status DestinationResources::MakePlacement(SessionCore& core, const DestinationOptions& options,
                                                 std::span<const PageRun> holes) {
  if (placement_ == nullptr) {
    if (absl::Status opened = OpenPlacement(core, options); !opened.ok()) return opened;
  }
  GuestPlacementOptions placement = PlacementOptions(core, options);
  placement.push_channels = core.connection.push.size();
  placement.holes = holes;
  absl::Status set_up = placement_->SetUp(*core.transport, placement);
  if (!set_up.ok()) placement_.reset();
  return set_up;
}

absl::Status DestinationResources::OpenStateFile(const GuestMemory& memory, const std::string& path) {
  const bool taken_over = memory.external() != nullptr && memory.external()->taken_over;
  const auto regions = memory.regions();
  const bool needed =
      taken_over && std::any_of(regions.begin(), regions.end(), [](const Region& r) { return r.fd >= 0; });
  if (path.empty()) {
    if (!needed) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "memory with a file can only be taken over with the state_file of the session before: what its pages hold "
        "does not tell whether the guest has them");
  }
  auto file = taken_over ? PageStateFile::Reopen(path, memory) : PageStateFile::Create(path, memory);
  // Of private memory the kernel tells the same.
  if (absl::IsNotFound(file.status()) && taken_over && !needed) file = PageStateFile::Create(path, memory);
  if (!file.ok()) return file.status();
  state_file_ = *std::move(file);
  return absl::OkStatus();
}

// Not before it is sure that this session gets the guest: the file of the one before may still be needed.
absl::Status DestinationResources::KeepStateFile(const GuestMemory& memory, const std::string& path) {
  if (state_file_.states().empty() || state_file_.is_new() || state_file_.guest_ran()) return state_file_.Publish();
  // The pager before this one ended before the switchover: it had mapped nothing, and what it had been sent may be out
  // of date by now.
  if (!placement_->mapped_before().empty()) {
    return absl::FailedPreconditionError(fmt::format(
        "pages are mapped in the guest's process, but the guest of the state file '{}' never ran: give the state_file "
        "of the session that the guest ran under, or begin anew, without taking it over",
        path));
  }
  auto file = PageStateFile::Create(path, memory);
  if (!file.ok()) return file.status();
  state_file_ = *std::move(file);
  return state_file_.Publish();
}

absl::StatusOr<Userfaultfd> DestinationResources::OpenUserfaultfd(const GuestMemory& memory) const {
  const ExternalGuest* const external = memory.external();
  if (external == nullptr) return Userfaultfd::Open(placement_->required_features());
  return Userfaultfd::AdoptDuplicate(external->userfaultfd, external->features);
}

absl::Status DestinationResources::Prepare(SessionCore& core, const DestinationOptions& options,
                                           std::span<const PageRun> holes) {
  if (absl::Status opened = OpenStateFile(core.memory, options.state_file); !opened.ok()) return opened;
  if (absl::Status made = MakePlacement(core, options, holes); !made.ok()) return made;
  auto uffd = OpenUserfaultfd(core.memory);
  if (!uffd.ok()) return uffd.status();
  uffd_ = *std::move(uffd);
  if (absl::Status armed = placement_->Arm(*uffd_); !armed.ok()) return armed;
  if (absl::Status kept = KeepStateFile(core.memory, options.state_file); !kept.ok()) return kept;
  feed_ = std::make_unique<UffdFaultFeed>(uffd_->fd(), core.memory);

  auto scratch = RegisteredBuffer::Create(*core.transport, options.max_outstanding_faults * DemandReader::kScratchBytes,
                                          RemoteAccess::kNone);
  if (!scratch.ok()) return scratch.status();
  scratch_ = *std::move(scratch);
  auto lists = RegisteredBuffer::Create(*core.transport, RunListReceiver::BufferBytes(core.connection.push.size()),
                                        RemoteAccess::kNone);
  if (!lists.ok()) return lists.status();
  run_lists_ = *std::move(lists);
  return absl::OkStatus();
}

DestinationEngine::World DestinationResources::MakeWorld(SessionCore& core, SourcePeer& source) {
  DestinationEngine::World world{.layout = core.layout,
                                 .source = source,
                                 .control = *core.connection.link,
                                 .demand_channels = {},
                                 .push = {.channels = {},
                                          .buffers = run_lists_->bytes(),
                                          .buffers_key = run_lists_->local_key(),
                                          .staging = placement_->staging()},
                                 .scratch = {scratch_->bytes(), scratch_->local_key()},
                                 .placement = *placement_,
                                 .faults = *feed_,
                                 .clock = core.clock,
                                 .page_states = state_file_.states(),
                                 .before_guest_runs = [this] { state_file_.MarkRunning(); }};
  for (const auto& channel : core.connection.demand) world.demand_channels.push_back(channel.get());
  for (const auto& channel : core.connection.push) world.push.channels.push_back(channel.get());
  return world;
}

Sleeper DestinationResources::MakeSleeper(SessionCore& core) const {
  Sleeper sleeper;
  sleeper.AddFd(uffd_->fd());
  sleeper.AddChannel(*core.connection.control);
  for (const auto& channel : core.connection.demand) sleeper.AddChannel(*channel);
  for (const auto& channel : core.connection.push) sleeper.AddChannel(*channel);
  return sleeper;
}

}  // namespace farfault
