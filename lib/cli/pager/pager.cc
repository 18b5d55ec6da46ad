#include "lib/cli/pager/pager.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "absl/time/clock.h"
#include "lib/cli/commands.h"
#include "lib/cli/pager/guest_plan.h"
#include "lib/prepage/pagemap.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

constexpr absl::Duration kFarewell = absl::Seconds(5);

}  // namespace

StopSignal::StopSignal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  fd_.reset(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool StopSignal::given() const {
  pollfd stop{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return poll(&stop, 1, 0) == 1;
}

Pager::~Pager() {
  for (Served& served : served_) {
    if (served.thread.joinable()) served.thread.join();
  }
}

bool Pager::Busy() const {
  return std::any_of(served_.begin(), served_.end(), [](const Served& served) { return !served.ended; });
}

bool Pager::HasGuest() const {
  return std::any_of(served_.begin(), served_.end(), [](const Served& served) { return !served.vacated; });
}

absl::StatusOr<std::optional<TakenOver>> Pager::FindKept() const {
  if (options_.state.empty()) return std::nullopt;
  auto taken_over = AskKeeper(keeper_path(), options_.patience);
  if (absl::IsNotFound(taken_over.status())) return std::nullopt;
  if (!taken_over.ok()) return taken_over.status();
  if (HasNeverRun(taken_over->guest.handshake)) taken_over->guest.handshake.taken_over = false;
  return *std::move(taken_over);
}

// The state file is made before the guest may run, and its keeper is named after it. That none of its pages is mapped
// is looked at as for any new guest, if that can be.
bool Pager::HasNeverRun(const Handshake& handshake) const {
  return handshake.shared_file && !handshake.running && access(options_.state.c_str(), F_OK) != 0 && errno == ENOENT &&
         Pagemap::Open(handshake.pid).ok();
}

absl::Status Pager::Run() {
  auto kept = FindKept();
  if (!kept.ok()) return kept.status();
  auto desk = FrontDesk::Open(options_.socket, options_.patience,
                              [this](const absl::Status& why) { bar_.Say(std::string(StatusText(why))); });
  if (!desk.ok()) return desk.status();
  if (*kept) {
    bar_.Say(fmt::format("taking over the guest of process {}", (*kept)->guest.handshake.pid));
    Begin(std::move((*kept)->guest), std::move((*kept)->kept));
  } else {
    bar_.Say(fmt::format("waiting for a hypervisor at {} (Ctrl-C to stop)", options_.socket));
  }
  while (!options_.once || served_.empty()) {
    auto arrival = desk->Next(stop_.fd());
    if (absl::IsCancelled(arrival.status())) break;
    if (!arrival.ok()) return arrival.status();
    if (!options_.state.empty() && HasGuest()) {
      bar_.Say(
          fmt::format("sent the guest of process {} away: with --state a pager has one guest; start another pager, "
                      "with a socket and a state file of its own",
                      arrival->handshake.pid));
      continue;
    }
    Begin(*std::move(arrival), KeptGuest());
  }
  unlink(options_.socket.c_str());
  // One that still waits for its source cannot be called back.
  const Deadline deadline = Deadline::After(kFarewell);
  while (Busy() && (!stop_.given() || !deadline.Passed())) absl::SleepFor(absl::Milliseconds(20));
  if (Busy()) {
    bar_.Clear();
    std::fflush(nullptr);
    _exit(kExitFailed);
  }
  return options_.once && !served_.empty() ? served_.front().end : absl::OkStatus();
}

void Pager::Begin(Arrival::Guest arrival, KeptGuest kept) {
  std::erase_if(served_, [](Served& served) {
    if (served.ended && served.thread.joinable()) served.thread.join();
    return served.ended.load();
  });
  Served& served = served_.emplace_back();
  served.arrival = std::move(arrival);
  served.kept = std::move(kept);
  // Before there are threads that would have to be forked around.
  served.end = Keep(served);
  served.thread = std::thread([this, &served] { Serve(served); });
}

absl::Status Pager::Keep(Served& served) const {
  if (options_.state.empty() || served.kept.held()) return absl::OkStatus();
  auto kept = StartKeeper(keeper_path(), options_.state, served.arrival.handshake);
  if (!kept.ok()) return kept.status();
  served.kept = *std::move(kept);
  return absl::OkStatus();
}

void Pager::Serve(Served& served) {
  const Stopwatch watch;
  PagedGuest guest(options_, bar_);
  if (served.end.ok()) served.end = Page(served, guest);
  if (served.kept.held() && !MayNeedPages(served, guest)) {
    served.kept.Dismiss();
    unlink(options_.state.c_str());
  }
  // A guest that comes because its predecessor is said to have gone must not be sent away.
  served.vacated = true;
  Report(served, guest, watch.Elapsed());
  served.ended = true;
}

// Then it is left to the next pager. One that runs, or came from a keeper and so has run, needs one whether or not its
// source was there this time.
bool Pager::MayNeedPages(const Served& served, const PagedGuest& guest) {
  if (served.end.ok() || absl::IsAborted(served.end)) return false;
  const Handshake& handshake = served.arrival.handshake;
  return handshake.running || handshake.taken_over || guest.session() != nullptr;
}

absl::Status Pager::Page(Served& served, PagedGuest& guest) {
  const Handshake& handshake = served.arrival.handshake;
  auto source = guest.FindSource(handshake.name, handshake.total_bytes(), handshake.page_size());
  if (!source.ok()) return source.status();
  auto regions = PlanGuest(handshake, *source);
  if (!regions.ok()) return regions.status();
  auto memory = GuestMemory::CreateExternal(*std::move(regions), ProcessOf(handshake));
  if (!memory.ok()) return memory.status();
  if (absl::Status attached = guest.Attach(*std::move(memory), options_.state); !attached.ok()) return attached;
  return guest.Page([this] { return stop_.given(); });
}

void Pager::Report(const Served& served, const PagedGuest& guest, absl::Duration elapsed) {
  const PagerReport report{.guest = fmt::format("process {}", served.arrival.handshake.pid),
                           .source = options_.from.empty() ? options_.listen : options_.from,
                           .stats = guest.Stats(),
                           .elapsed = elapsed,
                           .taken_over = served.arrival.handshake.taken_over,
                           .end = served.end};
  bar_.Clear();
  if (!served.end.ok()) {
    bar_.Say(
        fmt::format("the guest of process {}: {}", served.arrival.handshake.pid, std::string(StatusText(served.end))));
  }
  if (options_.json) {
    fmt::print("{}\n", ReportAsJson(report));
    std::fflush(stdout);
  } else if (guest.session() != nullptr) {
    bar_.Say(ReportAsTable(report));
  }
}

}  // namespace farfault
