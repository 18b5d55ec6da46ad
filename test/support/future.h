#ifndef FARFAULT_TEST_SUPPORT_FUTURE_H_
#define FARFAULT_TEST_SUPPORT_FUTURE_H_

#include <chrono>
#include <future>

namespace farfault {

/// True as soon as the thread has got on; false when it has not for so long that it never will.
template <typename T>
bool Done(const std::future<T>& future) {
  return future.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
}

/// True when the thread has not got on for a moment.
template <typename T>
bool Parked(const std::future<T>& future) {
  return future.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout;
}

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_FUTURE_H_
