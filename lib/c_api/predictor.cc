#include "lib/c_api/predictor.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "lib/c_api/convert.h"
#include "lib/c_api/handles.h"
#include "lib/c_api/structs.h"

namespace farfault {
namespace {

// On the stack of the thread that pushes, which allocates nothing.
constexpr std::size_t kRunsPerCall = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<CallbackPredictor>> CallbackPredictor::Create(
    const farfault_predictor_callbacks* given) {
  farfault_predictor_callbacks callbacks{};
  if (absl::Status read = ReadStruct(given, "custom_predictor", &callbacks); !read.ok()) return read;
  if (callbacks.on_fault == nullptr || callbacks.next == nullptr) {
    return absl::InvalidArgumentError("custom_predictor: on_fault and next have to be set");
  }
  return std::make_unique<CallbackPredictor>(callbacks);
}

void CallbackPredictor::OnLayout(std::span<const PageRun> regions) {
  if (callbacks_.on_layout == nullptr) return;
  const std::vector<farfault_page_run> runs = RunsForC(regions);
  callbacks_.on_layout(callbacks_.user_data, runs.data(), runs.size());
}

void CallbackPredictor::OnHistory(std::span<const PageHeat> hottest_first) {
  if (callbacks_.on_history == nullptr) return;
  std::vector<farfault_page_heat> pages;
  pages.reserve(hottest_first.size());
  for (const PageHeat& heat : hottest_first) pages.push_back({heat.page, heat.rounds_touched, 0});
  callbacks_.on_history(callbacks_.user_data, pages.data(), pages.size());
}

void CallbackPredictor::OnFault(PageIndex page, absl::Time when) {
  callbacks_.on_fault(callbacks_.user_data, page, absl::ToUnixNanos(when));
}

std::size_t CallbackPredictor::Next(std::span<PageRun> out) {
  std::array<farfault_page_run, kRunsPerCall> runs{};
  const std::size_t capacity = std::min(out.size(), runs.size());
  const std::size_t count = std::min(callbacks_.next(callbacks_.user_data, runs.data(), capacity), capacity);
  for (std::size_t i = 0; i < count; ++i) out[i] = {runs[i].first, runs[i].count};
  return count;
}

}  // namespace farfault

using farfault::Guarded;
using farfault::NotNull;

enum farfault_status farfault_predictor_create(const char* specification, farfault_predictor** predictor) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = NotNull(specification, "specification", predictor, "predictor"); !set.ok()) return set;
    auto made = farfault::MakePredictor(specification);
    if (!made.ok()) return made.status();
    *predictor = new farfault_predictor{*std::move(made)};
    return absl::OkStatus();
  });
}

void farfault_predictor_destroy(farfault_predictor* predictor) { delete predictor; }

enum farfault_status farfault_predictor_on_layout(farfault_predictor* predictor, const farfault_page_run* regions,
                                                  size_t count) {
  return Guarded([&]() -> absl::Status {
    const auto runs = farfault::RunsFromC(regions, count, "regions");
    if (!runs.ok()) return runs.status();
    predictor->predictor->OnLayout(*runs);
    return absl::OkStatus();
  });
}

enum farfault_status farfault_predictor_on_history(farfault_predictor* predictor,
                                                   const farfault_page_heat* hottest_first, size_t count) {
  return Guarded([&]() -> absl::Status {
    if (count > 0) {
      if (absl::Status set = NotNull(hottest_first, "hottest_first"); !set.ok()) return set;
    }
    std::vector<farfault::PageHeat> pages;
    for (size_t i = 0; i < count; ++i) pages.push_back({hottest_first[i].page, hottest_first[i].rounds_touched});
    predictor->predictor->OnHistory(pages);
    return absl::OkStatus();
  });
}

void farfault_predictor_on_fault(farfault_predictor* predictor, uint64_t page, int64_t when_ns) {
  Guarded([&] {
    predictor->predictor->OnFault(page, absl::FromUnixNanos(when_ns));
    return absl::OkStatus();
  });
}

size_t farfault_predictor_next(farfault_predictor* predictor, farfault_page_run* runs, size_t capacity) {
  return farfault::GuardedValue(size_t{0}, [&] {
    std::array<farfault::PageRun, farfault::kRunsPerCall> out{};
    const size_t most = std::min(capacity, out.size());
    const size_t count = std::min(predictor->predictor->Next(std::span(out).first(most)), most);
    for (size_t i = 0; i < count; ++i) runs[i] = {out[i].first, out[i].count};
    return count;
  });
}

namespace {

const std::vector<farfault::PredictorDescription>& Known() {
  static const auto& known = *new std::vector<farfault::PredictorDescription>(farfault::KnownPredictors());
  return known;
}

const char* TextOfKnown(size_t index, std::string farfault::PredictorDescription::* text) {
  return farfault::GuardedValue(static_cast<const char*>(nullptr), [&]() -> const char* {
    return index < Known().size() ? (Known()[index].*text).c_str() : nullptr;
  });
}

}  // namespace

size_t farfault_predictor_known_count(void) {
  return farfault::GuardedValue(size_t{0}, [] { return Known().size(); });
}
const char* farfault_predictor_known_name(size_t index) {
  return TextOfKnown(index, &farfault::PredictorDescription::name);
}
const char* farfault_predictor_known_summary(size_t index) {
  return TextOfKnown(index, &farfault::PredictorDescription::summary);
}
