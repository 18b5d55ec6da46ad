#ifndef FARFAULT_TEST_SUPPORT_SCRIPTED_FEED_H_
#define FARFAULT_TEST_SUPPORT_SCRIPTED_FEED_H_

#include <cstddef>
#include <deque>
#include <span>

#include "lib/fault/fault_feed.h"

namespace farfault {

/// Reports the faults that a test puts in.
class ScriptedFeed final : public FaultFeed {
 public:
  void Fault(PageIndex page) { events_.push_back({FeedEventKind::kFault, false, {page, 1}}); }
  void Discard(PageRun run) { events_.push_back({FeedEventKind::kDiscard, false, run}); }
  /// Drain answers this from now on, after what is waiting.
  void AnswerWith(FeedStatus status) { status_ = status; }
  bool empty() const { return events_.empty(); }

  FeedResult Drain(std::span<FeedEvent> out) override {
    std::size_t count = 0;
    for (; count < out.size() && !events_.empty(); ++count) {
      out[count] = events_.front();
      events_.pop_front();
    }
    return {status_, count};
  }

 private:
  std::deque<FeedEvent> events_;
  FeedStatus status_ = FeedStatus::kOk;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_SCRIPTED_FEED_H_
