#ifndef FARFAULT_LIB_C_API_PREDICTOR_H_
#define FARFAULT_LIB_C_API_PREDICTOR_H_

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "farfault/c/predictor.h"
#include "farfault/predictor.h"

namespace farfault {

/// A caller's `user_data` with the function that ends it, if there is one.
class CallerData {
 public:
  CallerData() = default;
  CallerData(void (*destroy)(void*), void* user_data) : destroy_(destroy), user_data_(user_data) {}
  CallerData(CallerData&& other) noexcept { *this = std::move(other); }
  CallerData& operator=(CallerData&& other) noexcept {
    std::swap(destroy_, other.destroy_);
    std::swap(user_data_, other.user_data_);
    return *this;
  }
  ~CallerData() {
    if (destroy_ != nullptr) destroy_(user_data_);
  }

 private:
  void (*destroy_)(void*) = nullptr;
  void* user_data_ = nullptr;
};

/// A caller's policy. Whose `user_data` it uses is not its affair.
class CallbackPredictor final : public Predictor {
 public:
  /// kInvalidArgument: callbacks that have to be there are not.
  static absl::StatusOr<std::unique_ptr<CallbackPredictor>> Create(const farfault_predictor_callbacks* given);

  explicit CallbackPredictor(const farfault_predictor_callbacks& callbacks) : callbacks_(callbacks) {}

  void OnLayout(std::span<const PageRun> regions) override;
  void OnHistory(std::span<const PageHeat> hottest_first) override;
  void OnFault(PageIndex page, absl::Time when) override;
  std::size_t Next(std::span<PageRun> out) override;

  const farfault_predictor_callbacks& callbacks() const { return callbacks_; }

 private:
  const farfault_predictor_callbacks callbacks_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_C_API_PREDICTOR_H_
