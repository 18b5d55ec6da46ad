#include "lib/cli/pager/paged_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "lib/cli/pager/working_set.h"
#include "lib/cli/peer_advice.h"
#include "lib/util/parallel.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(200);
constexpr std::string_view kLongerWait = "wait longer with --wait";

}  // namespace

SessionOptions PagedGuest::CommonOptions() {
  SessionOptions common;
  common.connect = options_.from;
  common.listen = options_.listen;
  common.pre_shared_key = options_.key;
  common.peer_timeout = options_.wait;
  common.on_event = [this](const Event& event) {
    switch (event.kind) {
      case EventKind::kListening:
        bar_.Say(fmt::format("waiting for a source at {} (Ctrl-C to stop)", event.text));
        break;
      case EventKind::kWaitingForPeer:
        if (options_.listen.empty() && !std::exchange(told_waiting_, true)) {
          bar_.Say(fmt::format("waiting for a source at {} (Ctrl-C to stop)", options_.from));
        }
        break;
      case EventKind::kConnected:
        met_ = true;
        break;
      case EventKind::kPreparing:
        bar_.Update(met_ ? "preparing memory" : "taking memory", event.done, event.total);
        break;
      case EventKind::kMoving:
        bar_.Update("paging", event.done, event.total);
        break;
      case EventKind::kHint:
        bar_.Say("hint: " + event.text);
        break;
      default:
        break;
    }
  };
  return common;
}

absl::StatusOr<std::vector<RemoteRegion>> PagedGuest::FindSource(const std::string& name, std::uint64_t bytes,
                                                                 std::uint64_t page_size) {
  if (options_.from.empty()) {
    return std::vector<RemoteRegion>{{.name = name.empty() ? "ram" : name, .length = bytes, .page_size = page_size}};
  }
  auto regions = DescribeSource(CommonOptions());
  if (!regions.ok()) return AdviseInstead(regions.status(), kLongerWait);
  return regions;
}

absl::Status PagedGuest::Attach(GuestMemory memory, const std::string& state_file) {
  pages_ = memory.total_pages();
  page_size_ = memory.regions().front().page_size;
  DestinationOptions options;
  static_cast<SessionOptions&>(options) = CommonOptions();
  options.record_faults = !options_.record.empty();
  options.state_file = state_file;
  options.populate_early = options_.populate;
  // One processor is left to the guests that run here meanwhile.
  options.prepare_threads = std::max<std::size_t>(2, ThreadCount(0)) - 1;
  told_waiting_ = false;
  auto session = DestinationSession::Create(std::move(memory), std::move(options));
  if (absl::IsResourceExhausted(session.status())) {
    return absl::ResourceExhaustedError(
        fmt::format("{}; then start its hypervisor again, which hands it over once", StatusText(session.status())));
  }
  if (!session.ok()) return AdviseInstead(session.status(), kLongerWait);
  session_ = *std::move(session);
  if (absl::Status prepared = session_->Prepare(); !prepared.ok()) return prepared;
  if (absl::Status activated = session_->Activate(options_.wait); !activated.ok()) return activated;
  bar_.Say("the guest may run");
  return Prefetch();
}

absl::Status PagedGuest::Prefetch() {
  if (!options_.working_set.empty()) {
    auto working_set = ReadWorkingSet(options_.working_set);
    absl::Status status = working_set.status();
    if (status.ok()) status = CheckWorkingSet(*working_set, pages_, page_size_);
    if (status.ok()) status = session_->Fetch(std::move(working_set->order));
    // The guest runs, and without it only more slowly.
    if (!status.ok()) bar_.Say(fmt::format("going without the working set: {}", std::string(status.message())));
  }
  return options_.rest ? session_->FetchRest() : absl::OkStatus();
}

absl::Status PagedGuest::Page(const std::function<bool()>& stopped) {
  absl::Status end;
  do {
    end = session_->WaitUntilResident(kLook);
  } while (absl::IsDeadlineExceeded(end) && !stopped());
  if (absl::IsDeadlineExceeded(end)) {
    end = absl::CancelledError("the pager was told to stop; the guest waits for pages that are missing");
  }
  const absl::Status recorded = Record();
  // A guest that has ended has no more use for its memory, but its record may be just what was wanted.
  if (!recorded.ok()) bar_.Say(std::string(recorded.message()));
  return end;
}

absl::Status PagedGuest::Record() const {
  if (options_.record.empty()) return absl::OkStatus();
  return WriteWorkingSet(options_.record, {pages_, page_size_, RunsOf(session_->FaultOrder())});
}

}  // namespace farfault
