#ifndef FARFAULT_TEST_SUPPORT_GUEST_PROCESS_H_
#define FARFAULT_TEST_SUPPORT_GUEST_PROCESS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "farfault/external_guest.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// A hypervisor's part: a process of its own with guest memory and a userfaultfd, which does what it is told. Killed
/// with this object. Make it before the first session, since it is forked. One thread.
class ForkedGuest {
 public:
  struct Spec {
    /// Each mapped on its own.
    std::vector<std::uint64_t> parts;
    /// On a memfd, mapped shared; otherwise private anonymous memory.
    bool shared = false;
    /// Private memory on huge pages of 2 MiB.
    bool huge = false;
    /// UFFD_FEATURE_* bits.
    std::uint64_t features = 0;
    /// UFFDIO_REGISTER_MODE_* bits; 0: does not register.
    std::uint64_t register_modes = 0;
  };

  explicit ForkedGuest(const Spec& spec);
  ForkedGuest(const ForkedGuest&) = delete;
  ForkedGuest& operator=(const ForkedGuest&) = delete;
  ~ForkedGuest();

  pid_t pid() const { return pid_; }
  int userfaultfd() const { return userfaultfd_.get(); }
  int file() const { return file_.get(); }
  std::span<const GuestMapping> mappings() const { return mappings_; }
  ExternalGuest external() const {
    return {.userfaultfd = userfaultfd_.get(),
            .features = spec_.features,
            .registered = spec_.register_modes != 0,
            .pid = pid_};
  }

  /// Has the guest begin something; Finish waits until it is done. Pages count through all parts.
  void BeginSum(std::uint64_t page);
  /// The sum is HashPage of what the guest sees.
  std::uint64_t Finish();
  bool finished() const;
  std::uint64_t Sum(std::uint64_t page);
  void Write(std::uint64_t page, std::uint64_t value);
  /// MADV_DONTNEED.
  void Discard(std::uint64_t page, std::uint64_t count);
  /// The same, one page at a time and as fast as it goes.
  void DiscardEach(std::uint64_t page, std::uint64_t count);
  void Kill();

  /// A part of what is sent to a pager, in one sendmsg.
  struct Piece {
    std::string bytes;
    /// Descriptors that go with it: the userfaultfd, then the file.
    std::uint32_t fds = 0;
    /// Milliseconds to wait before.
    std::uint32_t pause = 0;
  };
  /// Has the guest's process connect to a pager and say this; it keeps the connection open unless `hang_up`.
  void HandOver(const std::string& socket, const std::vector<Piece>& pieces, bool hang_up = false);

 private:
  struct Order {
    char what = 0;
    std::uint64_t page = 0;
    std::uint64_t value = 0;
  };

  [[noreturn]] void Serve(int socket);
  bool ServeHandOver(int socket, int uffd) const;
  std::byte* PageAt(std::uint64_t page) const;
  void Send(const Order& order) const;

  Spec spec_;
  std::vector<GuestMapping> mappings_;
  UniqueFd file_;
  UniqueFd userfaultfd_;
  UniqueFd socket_;
  pid_t pid_ = -1;
};

std::uint64_t HashPage(std::span<const std::byte> page);

/// One byte and a descriptor over a UNIX socket.
void SendFd(int socket, int fd);
UniqueFd ReceiveFd(int socket);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_GUEST_PROCESS_H_
