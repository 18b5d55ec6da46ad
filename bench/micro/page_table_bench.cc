#include <benchmark/benchmark.h>

#include "lib/page/page_bitmap.h"
#include "lib/page/page_table.h"

namespace farfault {
namespace {

constexpr std::uint64_t kPages = 1u << 18;  // 1 GiB of guest.

// The way of a page that is read on demand; per page.
void PageTableDemandedPage(benchmark::State& state) {
  PageTable table(kPages);
  PageIndex page = 0;
  for (auto _ : state) {
    bool moved = table.Move(page, PageState::kWanted);
    moved = moved && table.Move(page, PageState::kLanded);
    moved = moved && table.Move(page, PageState::kMapped);
    moved = moved && table.Move(page, PageState::kAbsent);
    benchmark::DoNotOptimize(moved);
    page = (page + 4099) % kPages;
  }
}
BENCHMARK(PageTableDemandedPage)->Name("page_table/demanded_page");

// A search for landed pages when none is there, as the background mapping does; per 4 KiB page passed over.
void PageTableScan(benchmark::State& state) {
  const PageTable table(kPages);
  for (auto _ : state) benchmark::DoNotOptimize(table.NextRun(PageState::kLanded, 0, kPages, 64));
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::uint64_t>(state.iterations()) * kPages));
}
BENCHMARK(PageTableScan)->Name("page_table/scan_per_page");

// One clear page in `range` set ones.
void BitmapNextClear(benchmark::State& state) {
  PageBitmap bitmap(kPages);
  bitmap.SetRun({0, kPages});
  const auto stride = static_cast<PageIndex>(state.range(0));
  for (PageIndex page = stride - 1; page < kPages; page += stride) bitmap.Clear(page);
  PageIndex from = 0;
  for (auto _ : state) {
    PageRun run = bitmap.NextClear(from, kPages);
    if (run.count == 0) run = bitmap.NextClear(0, kPages);
    benchmark::DoNotOptimize(run);
    from = run.end();
  }
}
BENCHMARK(BitmapNextClear)->Name("bitmap/next_clear")->Arg(8)->Arg(512)->Arg(65536);

void BitmapSetRun(benchmark::State& state) {
  PageBitmap bitmap(kPages);
  const auto count = static_cast<std::uint64_t>(state.range(0));
  PageIndex first = 0;
  for (auto _ : state) {
    bitmap.SetRun({first, count});
    benchmark::ClobberMemory();
    first = (first + 4099) % (kPages - count);
  }
}
BENCHMARK(BitmapSetRun)->Name("bitmap/set_run")->Arg(1)->Arg(64)->Arg(4096);

void BitmapCount(benchmark::State& state) {
  PageBitmap bitmap(kPages);
  bitmap.SetRun({77, kPages / 2});
  for (auto _ : state) benchmark::DoNotOptimize(bitmap.Count());
  state.SetItemsProcessed(static_cast<std::int64_t>(static_cast<std::uint64_t>(state.iterations()) * kPages));
}
BENCHMARK(BitmapCount)->Name("bitmap/count_per_page");

}  // namespace
}  // namespace farfault
