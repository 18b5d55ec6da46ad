#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "farfault/predictor.h"
#include "lib/page/claim.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/push/push_order.h"

namespace farfault {
namespace {

constexpr std::uint64_t kPages = 1u << 18;  // 1 GiB of guest.
constexpr std::uint64_t kBatchBytes = 256u << 10;

// What the pusher does to a run before it posts it: claim all, one fence, look at every want, post; per page.
void ClaimRun(benchmark::State& state) {
  const std::uint64_t bytes = SourceTableLayout{kPages}.total_bytes();
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), &std::free);
  std::fill_n(memory.get(), bytes, std::byte{0});
  const SourceTables tables({memory.get(), bytes}, kPages);
  const auto run = static_cast<std::uint64_t>(state.range(0));
  PageIndex first = 0;
  for (auto _ : state) {
    for (PageIndex page = first; page < first + run; ++page) tables.set_claim(page, Claim::kClaiming);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (PageIndex page = first; page < first + run; ++page) {
      tables.set_claim(page, tables.wanted(page) ? Claim::kYielded : Claim::kPosted);
    }
    first = (first + run) % (kPages - run);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::uint64_t>(state.iterations()) * run));
}
BENCHMARK(ClaimRun)->Name("claim/run_per_page")->Arg(1)->Arg(16)->Arg(64)->Arg(1024);

/// Pushes a whole guest, with a fault every `pages_per_fault` pages (0: none), and starts over when it is through.
class OrderedPush {
 public:
  OrderedPush(const std::string& predictor, std::uint64_t pages_per_fault)
      : name_(predictor), pages_per_fault_(pages_per_fault) {
    Restart();
  }

  /// The next run, settled at once; its pages.
  std::uint64_t Step() {
    if (pages_per_fault_ > 0 && since_fault_ >= pages_per_fault_) {
      since_fault_ = 0;
      fault_ = (fault_ * 6364136223846793005u + 1442695040888963407u);
      order_->OnFault(fault_ % kPages, absl::FromUnixNanos(++now_));
    }
    const PageRun run = order_->Next(kBatchBytes);
    if (run.count == 0) {
      Restart();
      return 0;
    }
    settled_.SetRun(run);
    since_fault_ += run.count;
    return run.count;
  }

 private:
  void Restart() {
    settled_.ClearAll();
    order_.reset();
    predictor_ = std::move(MakePredictor(name_)).value();
    const PageRun all{0, kPages};
    predictor_->OnLayout({&all, 1});
    order_ = std::make_unique<PushOrder>(layout_, settled_, *predictor_);
  }

  std::string name_;
  std::uint64_t pages_per_fault_;
  std::uint64_t since_fault_ = 0;
  PageIndex fault_ = 1;
  std::int64_t now_ = 0;
  PageLayout layout_{{{{0, kPages}, kSmallPage}}};
  PageBitmap settled_{kPages};
  std::unique_ptr<Predictor> predictor_;
  std::unique_ptr<PushOrder> order_;
};

// Per page that is put in order.
void PushOrderPages(benchmark::State& state, const char* predictor) {
  OrderedPush push(predictor, static_cast<std::uint64_t>(state.range(0)));
  std::uint64_t pages = 0;
  for (auto _ : state) pages += push.Step();
  state.SetItemsProcessed(static_cast<std::int64_t>(pages));
}
BENCHMARK_CAPTURE(PushOrderPages, none, "none")->Name("push_order/none_per_page")->Arg(0);
BENCHMARK_CAPTURE(PushOrderPages, sequential, "sequential")->Name("push_order/sequential_per_page")->Arg(0)->Arg(64);
BENCHMARK_CAPTURE(PushOrderPages, bubbling, "bubbling")->Name("push_order/bubbling_per_page")->Arg(0)->Arg(64)->Arg(8);

}  // namespace
}  // namespace farfault
