#ifndef FARFAULT_TEST_QEMU_SLOW_RELAY_H_
#define FARFAULT_TEST_QEMU_SLOW_RELAY_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <thread>

#include "lib/util/unique_fd.h"

namespace farfault {

/// A link of at most 32 MiB/s each way and connection, between whoever connects here and a TCP port of this host: what
/// would be over in an instant lasts for seconds.
class SlowRelay {
 public:
  /// `target` is a session's address, "tcp://127.0.0.1:40123".
  explicit SlowRelay(const std::string& target);
  SlowRelay(const SlowRelay&) = delete;
  SlowRelay& operator=(const SlowRelay&) = delete;
  ~SlowRelay();

  const std::string& address() const { return address_; }

 private:
  struct Way {
    UniqueFd socket;
    std::string pending;  // For this socket.
  };
  struct Link {
    Way client;
    Way server;
  };

  void Run();
  void Accept();
  static bool Move(Way& from, Way& to);

  std::string address_;
  std::uint16_t target_port_ = 0;
  UniqueFd listener_;
  std::list<Link> links_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_QEMU_SLOW_RELAY_H_
