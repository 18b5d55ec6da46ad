#ifndef FARFAULT_TEST_SUPPORT_NO_THREADS_H_
#define FARFAULT_TEST_SUPPORT_NO_THREADS_H_

#include <pthread.h>

#include <catch2/catch_test_macros.hpp>
#include <cstddef>

namespace farfault {

/// While it lives the process cannot start threads: their stacks do not fit into any address space.
class NoThreads {
 public:
  NoThreads() {
    pthread_attr_t huge;
    REQUIRE(pthread_getattr_default_np(&before_) == 0);
    REQUIRE(pthread_getattr_default_np(&huge) == 0);
    REQUIRE(pthread_attr_setstacksize(&huge, std::size_t{1} << 56) == 0);
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    pthread_attr_destroy(&huge);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_NO_THREADS_H_
