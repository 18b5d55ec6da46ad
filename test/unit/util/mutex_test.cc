#include "lib/util/mutex.h"

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "lib/util/deadline.h"
#include "lib/util/notification.h"

namespace farfault {
namespace {

TEST_CASE("a wait for a condition ends when it holds", "[util][mutex]") {
  Mutex mutex;
  CondVar changed;
  int turn = 0;
  constexpr int kTurns = 1000;
  const auto play = [&](int parity) {
    for (int i = parity; i < kTurns; i += 2) {
      const MutexLock lock(&mutex);
      changed.WaitUntil(&mutex, Deadline::Never(), [&] { return turn == i; });
      ++turn;
      changed.NotifyAll();
    }
  };
  std::thread odd(play, 1);
  play(0);
  odd.join();
  CHECK(turn == kTurns);
}

TEST_CASE("a wait for a condition ends at its deadline, with the mutex held", "[util][mutex]") {
  Mutex mutex;
  CondVar changed;
  bool held = false;
  for (const Deadline deadline : {Deadline::Now(), Deadline::After(absl::Milliseconds(20))}) {
    int asked = 0;
    {
      const MutexLock lock(&mutex);
      held = true;
      CHECK(!changed.WaitUntil(&mutex, deadline, [&] { return ++asked == 0; }));
      CHECK(deadline.Passed());
      CHECK(held);
      std::thread other([&] {
        const MutexLock second(&mutex);
        held = false;
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      CHECK(held);
      held = true;
      mutex.Unlock();
      other.join();
      mutex.Lock();
      CHECK(!held);
    }
    CHECK(asked >= 1);
  }
  const MutexLock lock(&mutex);
  CHECK(changed.WaitUntil(&mutex, Deadline::Now(), [] { return true; }));
}

TEST_CASE("readers share, a writer does not", "[util][mutex]") {
  SharedMutex mutex;
  Notification both_read;
  int value = 0;
  {
    const ReaderLock lock(&mutex);
    std::thread reader([&] {
      const ReaderLock second(&mutex);
      both_read.Notify();
    });
    both_read.Wait();
    reader.join();
  }
  const auto count = [&] {
    for (int i = 0; i < 10'000; ++i) {
      const WriterLock lock(&mutex);
      ++value;
    }
  };
  std::thread writer(count);
  count();
  writer.join();
  CHECK(value == 20'000);
}

TEST_CASE("a notification is seen by all, with what came before it", "[util][notification]") {
  int before = 0;
  Notification notification;
  CHECK(!notification.HasBeenNotified());
  CHECK(!notification.WaitUntil(Deadline::After(absl::Milliseconds(5))));
  std::vector<std::thread> waiters;
  std::vector<int> seen(4);
  for (int& mine : seen) {
    waiters.emplace_back([&] {
      notification.Wait();
      mine = before;
    });
  }
  before = 7;
  notification.Notify();
  for (std::thread& waiter : waiters) waiter.join();
  CHECK(seen == std::vector<int>(4, 7));
  CHECK(notification.HasBeenNotified());
  CHECK(notification.WaitUntil(Deadline::Now()));
}

TEST_CASE("a notification may go as soon as it was seen", "[util][notification]") {
  for (int i = 0; i < 1'000; ++i) {
    auto notification = std::make_unique<Notification>();
    std::thread notifier([&seen = *notification] { seen.Notify(); });
    notification->Wait();
    notification.reset();
    notifier.join();
  }
}

}  // namespace
}  // namespace farfault
