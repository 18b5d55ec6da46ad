#ifndef FARFAULT_LIB_PUSH_PUSH_ORDER_H_
#define FARFAULT_LIB_PUSH_PUSH_ORDER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "farfault/page.h"
#include "farfault/predictor.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"

namespace farfault {

/// The order in which pages are pushed: what the predictor says, without what is settled already; what is left in
/// ascending order when it has no opinion. One thread; nothing allocates after construction.
class PushOrder {
 public:
  /// `settled` marks the pages that need no push any more; it is read here and written by the pusher.
  PushOrder(const PageLayout& layout, const PageBitmap& settled, Predictor& predictor);

  /// Re-aims: what the predictor said before this fault is dropped.
  void OnFault(PageIndex page, absl::Time when);

  /// The next run of unsettled pages, inside one region and at most `max_bytes` long (but at least one page). Empty
  /// when all pages are settled. The same run comes again until it has been settled.
  PageRun Next(std::uint64_t max_bytes);

  std::uint64_t predictor_out_of_range() const { return out_of_range_; }

 private:
  PageRun FromCandidates(std::uint64_t max_pages);
  bool AskPredictor();
  PageRun FromSweep(std::uint64_t max_pages);

  const PageLayout& layout_;
  const PageBitmap& settled_;
  Predictor& predictor_;
  std::array<PageRun, 64> candidates_;
  std::size_t next_candidate_ = 0;
  std::size_t candidate_count_ = 0;
  PageIndex sweep_ = 0;
  std::uint64_t out_of_range_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PUSH_PUSH_ORDER_H_
