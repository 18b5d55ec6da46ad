#include "lib/cli/qemu/ram_server.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "lib/cli/peer_advice.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

// Of huge pages, as the pager's QEMU has them on its side.
std::uint64_t PageSizeOf(int fd) {
  struct statfs about{};
  return fstatfs(fd, &about) == 0 && about.f_type == HUGETLBFS_MAGIC ? kHugePage : kSmallPage;
}

// Between two attempts to meet a pager that took the guest over.
constexpr absl::Duration kPause = absl::Milliseconds(200);

}  // namespace

void RamServer::Hint(std::string text) const {
  if (options_.on_event) options_.on_event({.kind = EventKind::kHint, .done = 0, .total = 0, .text = std::move(text)});
}

absl::StatusOr<std::unique_ptr<SourceSession>> RamServer::Meet(GuestMemory memory, bool track_dirty,
                                                               absl::Duration patience) {
  auto met = Begin(std::move(memory), track_dirty, patience);
  if (!met.ok()) return AdviseInstead(met.status(), "run this again once it listens");
  return met;
}

absl::StatusOr<std::unique_ptr<SourceSession>> RamServer::Begin(GuestMemory memory, bool track_dirty,
                                                                absl::Duration patience) {
  auto predictor = MakePredictor(options_.predictor);
  if (!predictor.ok()) return predictor.status();
  SourceOptions session;
  session.connect = options_.pager;
  session.pre_shared_key = options_.key;
  session.peer_timeout = patience;
  session.prepare_timeout = options_.prepare_timeout;
  session.predictor = *std::move(predictor);
  session.push.enabled = options_.push;
  session.track_dirty = track_dirty;
  session.track_history = false;
  if (options_.on_event) {
    session.on_event = [listener = options_.on_event, told = told_to_wait_](const Event& event) {
      if (!told || event.kind != EventKind::kWaitingForPeer) listener(event);
    };
  }
  return SourceSession::Create(std::move(memory), std::move(session));
}

absl::StatusOr<GuestMemory> RamServer::MapFile(const std::string& path) {
  auto file = OwnedRegion::OpenFile(path);
  if (!file.ok()) {
    return absl::Status(
        file.status().code(),
        fmt::format("the source's RAM file: {}. Run this on the source's host, as a user who may read it",
                    StatusText(file.status())));
  }
  file_ = *std::move(file);
  Region region = file_.region();
  region.name = kRegionName;
  region.page_size = PageSizeOf(region.fd);
  return GuestMemory::Create({region});
}

// The only copy of what is missing at the destination is here.
absl::StatusOr<SessionStats> RamServer::Drain(std::unique_ptr<SourceSession> session, const std::string& path) {
  for (;;) {
    while (session == nullptr) {
      auto another = MeetAnother(path, Deadline::After(options_.reconnect_timeout));
      if (!another.ok()) return another.status();
      session = *std::move(another);
    }
    const absl::Status status = session->WaitUntilDrained(absl::Minutes(1));
    if (status.ok()) return session->Stats();
    if (absl::IsDeadlineExceeded(status) && session->state() != SessionState::kFailed) continue;
    Hint(fmt::format(
        "{}. The guest waits at the destination for its missing pages: start the pager again with the same --state "
        "within {}",
        StatusText(status), absl::FormatDuration(options_.reconnect_timeout)));
    told_to_wait_ = true;
    session.reset();
  }
}

absl::StatusOr<std::unique_ptr<SourceSession>> RamServer::MeetAnother(const std::string& path, Deadline deadline) {
  absl::Status why = absl::DeadlineExceededError("no time was left to wait for one");
  for (absl::Duration left = deadline.Left(); left > absl::ZeroDuration(); left = deadline.Left()) {
    auto memory = MapFile(path);
    if (!memory.ok()) return memory.status();
    auto session = HandOverAgain(*std::move(memory), left);
    if (session.ok()) return session;
    why = session.status();
    absl::SleepFor(std::min(kPause, deadline.Left()));
  }
  return absl::DataLossError(
      fmt::format("no pager came back for the guest: {}; its memory is still in {}, and nothing may change it until "
                  "`farfault qemu-migrate --resume` has served it to another. Should the guest's QEMU at the "
                  "destination be gone for good, cont at the source goes on from the moment at which it was stopped",
                  StatusText(why), path));
}

absl::StatusOr<std::unique_ptr<SourceSession>> RamServer::HandOverAgain(GuestMemory memory, absl::Duration patience) {
  auto session = Begin(std::move(memory), false, patience);
  if (!session.ok()) return AdviseInstead(session.status(), "wait longer with --reconnect-timeout");
  if (absl::Status status = (*session)->SwitchOver(); !status.ok()) return status;
  return session;
}

}  // namespace farfault
