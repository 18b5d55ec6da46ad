#ifndef FARFAULT_LIB_UTIL_UNIQUE_FD_H_
#define FARFAULT_LIB_UTIL_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace farfault {

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    // Linux closes the descriptor whatever close() says.
    if (fd_ >= 0) static_cast<void>(close(fd_));
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_UNIQUE_FD_H_
