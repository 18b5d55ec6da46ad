#include "lib/runtime/engine_thread.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "lib/util/deadline.h"
#include "lib/util/start_thread.h"

namespace farfault {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kTick = std::chrono::milliseconds(100);
constexpr std::chrono::microseconds kNap{100};

inline void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

absl::StatusOr<std::unique_ptr<EngineThread>> EngineThread::Create(Options options, Sleeper sleeper) {
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) {
    return absl::ResourceExhaustedError(fmt::format(
        "no eventfd for the session's thread: {}; raise the limit of open files (ulimit -n)", std::strerror(errno)));
  }
  sleeper.AddFd(wake.get());
  return std::unique_ptr<EngineThread>(new EngineThread(std::move(options), std::move(sleeper), std::move(wake)));
}

EngineThread::EngineThread(Options options, Sleeper sleeper, UniqueFd wake)
    : options_(std::move(options)), sleeper_(std::move(sleeper)), wake_(std::move(wake)) {}

absl::Status EngineThread::Start() {
  const MutexLock lock(&mutex_);
  auto thread = StartThread(options_.name, [this] { Run(); });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  running_ = true;
  return absl::OkStatus();
}

void EngineThread::Stop() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  Wake();
  thread_.join();
}

void EngineThread::Wake() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the thread wakes anyway.
  static_cast<void>(!write(wake_.get(), &one, sizeof(one)));
}

void EngineThread::Call(absl::FunctionRef<void()> function) {
  PendingCall call{function, {}};
  {
    const MutexLock lock(&mutex_);
    if (!running_) {
      function();
      return;
    }
    calls_.push_back(&call);
    calls_waiting_.store(true, std::memory_order_release);
  }
  Wake();
  call.ran.Wait();
}

bool EngineThread::WaitUntil(absl::FunctionRef<bool()> done, Deadline deadline) {
  Waiter waiter{done, {}};
  Call([&] {
    if (done()) {
      waiter.satisfied.Notify();
    } else {
      waiters_.push_back(&waiter);
    }
  });
  if (waiter.satisfied.WaitUntil(deadline)) return true;
  Call([&] { std::erase(waiters_, &waiter); });
  return waiter.satisfied.HasBeenNotified();
}

void EngineThread::RunCalls() {
  std::vector<PendingCall*> calls;
  {
    const MutexLock lock(&mutex_);
    calls.swap(calls_);
    calls_waiting_.store(false, std::memory_order_relaxed);
  }
  for (PendingCall* call : calls) {
    call->function();
    call->ran.Notify();
  }
}

void EngineThread::AskWaiters() {
  std::erase_if(waiters_, [](Waiter* waiter) {
    if (!waiter->done()) return false;
    waiter->satisfied.Notify();
    return true;
  });
}

void EngineThread::Sleep() {
  absl::Duration most = absl::FromChrono(kTick);
  if (options_.rest && options_.rest()) most = absl::InfiniteDuration();
  if (options_.nap && options_.nap()) most = absl::FromChrono(kNap);
  sleeper_.Sleep(most);
  // Always: a caller may write after its call has run, and that would cut every later sleep short.
  std::uint64_t count = 0;
  static_cast<void>(!read(wake_.get(), &count, sizeof(count)));
}

void EngineThread::Run() {
  const auto spin = absl::ToChronoNanoseconds(options_.spin);
  SteadyClock::time_point last_urgent = SteadyClock::now();
  SteadyClock::time_point next_tick = last_urgent + kTick;
  while (!stop_.load(std::memory_order_acquire)) {
    const bool called = calls_waiting_.load(std::memory_order_acquire);
    if (called) RunCalls();
    const Round round = options_.poll();
    const bool progress = round != Round::kIdle || called;
    if (progress && !waiters_.empty()) AskWaiters();
    const SteadyClock::time_point now = SteadyClock::now();
    if (now >= next_tick) {
      options_.tick();
      // A condition may come true without progress, by a failure for example.
      AskWaiters();
      next_tick = now + kTick;
    }
    if (round == Round::kUrgent) last_urgent = now;
    if (progress) continue;
    if (now - last_urgent < spin) {
      CpuRelax();
    } else {
      Sleep();
    }
  }
  const MutexLock lock(&mutex_);
  running_ = false;
  for (PendingCall* call : calls_) {
    call->function();
    call->ran.Notify();
  }
  calls_.clear();
}

}  // namespace farfault
