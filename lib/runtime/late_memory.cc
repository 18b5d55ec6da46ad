#include "lib/runtime/late_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "lib/util/deadline.h"
#include "lib/util/start_thread.h"
#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(200);
// Looking takes longer the more has got data: at most a twentieth of the time.
constexpr int kPausePerLook = 20;

}  // namespace

void LateMemory::Start() {
  if (memory_.complete()) return;
  auto thread = StartThread("ff-late-memory", [this] { Run(); });
  if (thread.ok()) catch_up_ = *std::move(thread);
}

void LateMemory::Stop() {
  {
    const MutexLock lock(&stop_mutex_);
    stop_ = true;
    stopped_.NotifyAll();
  }
  if (catch_up_.joinable()) catch_up_.join();
}

bool LateMemory::guest_runs_here() {
  bool here = false;
  thread_.Call([&] { here = engine_.phase() == SourceEngine::Phase::kPrePaging; });
  return here;
}

void LateMemory::Run() {
  absl::Duration pause = kPause;
  bool told = false;
  for (;;) {
    {
      const MutexLock lock(&stop_mutex_);
      const auto stop = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stop_; };
      if (stopped_.WaitUntil(&stop_mutex_, Deadline::After(pause), stop)) return;
    }
    if (!guest_runs_here()) return;
    const absl::Status status = CatchUp(Guest::kRuns);
    pause = PauseAfterLook();
    if (status.ok() || std::exchange(told, true)) continue;
    core_.events.Send(
        EventKind::kHint,
        fmt::format(
            "the guest has populated more memory than can be registered, and cannot be handed over like this: {}",
            StatusText(status)));
  }
}

absl::Duration LateMemory::PauseAfterLook() {
  const MutexLock lock(&mutex_);
  return std::max(kPause, kPausePerLook * looking_);
}

absl::Status LateMemory::CatchUp(Guest guest) {
  const MutexLock lock(&mutex_);
  if (memory_.complete()) return absl::OkStatus();
  const Stopwatch watch;
  auto pages = memory_.FindLate(guest == Guest::kRuns);
  looking_ = watch.Elapsed();
  if (!pages.ok()) return pages.status();
  if (pages->empty()) return absl::OkStatus();
  auto late = memory_.RegisterLate(*core_.transport, *std::move(pages));
  if (!late.ok()) return late.status();
  thread_.Call([&] {
    // What the destination does not learn of is a hole, here as well.
    if (engine_.phase() == SourceEngine::Phase::kPrePaging) engine_.Offer(memory_.Adopt(*std::move(late)));
  });
  return absl::OkStatus();
}

std::vector<PageRun> LateMemory::Missing() {
  const MutexLock lock(&mutex_);
  return memory_.local().Missing();
}

}  // namespace farfault
