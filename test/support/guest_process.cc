#include "test/support/guest_process.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstring>

#include "farfault/guest_memory.h"

namespace farfault {
namespace {

bool ReadAll(int fd, void* to, std::size_t bytes) {
  auto* at = static_cast<std::byte*>(to);
  while (bytes > 0) {
    const ssize_t got = read(fd, at, bytes);
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool WriteAll(int fd, const void* from, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const ssize_t wrote = write(fd, at, bytes);
    if (wrote <= 0) return false;
    at += wrote;
    bytes -= static_cast<std::size_t>(wrote);
  }
  return true;
}

}  // namespace

std::uint64_t HashPage(std::span<const std::byte> page) {
  std::uint64_t hash = 1469598103934665603u;
  for (const std::byte byte : page) hash = (hash ^ static_cast<std::uint64_t>(byte)) * 1099511628211u;
  return hash;
}

void SendFd(int socket, int fd) {
  char byte = 1;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  static_cast<void>(!sendmsg(socket, &message, MSG_NOSIGNAL));
}

UniqueFd ReceiveFd(int socket) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return {};
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

ForkedGuest::ForkedGuest(const Spec& spec) : spec_(spec) {
  std::uint64_t total = 0;
  for (const std::uint64_t part : spec_.parts) total += part;
  if (spec_.shared) {
    file_.reset(memfd_create("guest", MFD_CLOEXEC));
    REQUIRE(ftruncate(file_.get(), static_cast<off_t>(total)) == 0);
  }
  int sockets[2] = {};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  socket_.reset(sockets[0]);
  pid_ = fork();
  if (pid_ == 0) Serve(sockets[1]);
  const UniqueFd theirs(sockets[1]);
  mappings_.resize(spec_.parts.size());
  userfaultfd_ = ReceiveFd(socket_.get());
  REQUIRE(userfaultfd_.valid());
  REQUIRE(ReadAll(socket_.get(), mappings_.data(), mappings_.size() * sizeof(GuestMapping)));
}

ForkedGuest::~ForkedGuest() { Kill(); }

void ForkedGuest::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

// Only system calls and memory of its own: the parent may have had threads.
void ForkedGuest::Serve(int socket) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int uffd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  uffdio_api api{.api = UFFD_API, .features = spec_.features, .ioctls = 0};
  if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0) _exit(2);
  std::uint64_t offset = 0;
  for (const std::uint64_t length : spec_.parts) {
    // Aligned to 2 MiB, and a gap before each.
    auto* const reserved = static_cast<std::byte*>(
        mmap(nullptr, length + 4 * kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    auto* const base = reserved + 2 * kHugePage - reinterpret_cast<std::uint64_t>(reserved) % kHugePage;
    const int flags = MAP_FIXED | (spec_.shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) |
                      (spec_.huge ? MAP_HUGETLB | static_cast<int>(MFD_HUGE_2MB) : 0);
    if (mmap(base, length, PROT_READ | PROT_WRITE, flags, file_.get(), static_cast<off_t>(offset)) == MAP_FAILED)
      _exit(3);
    if (!spec_.shared && !spec_.huge) madvise(base, length, MADV_NOHUGEPAGE);
    uffdio_register range{
        .range = {reinterpret_cast<std::uint64_t>(base), length}, .mode = spec_.register_modes, .ioctls = 0};
    if (spec_.register_modes != 0 && ioctl(uffd, UFFDIO_REGISTER, &range) != 0) _exit(4);
    mappings_.push_back({reinterpret_cast<std::uint64_t>(base), length});
    offset += length;
  }
  SendFd(socket, uffd);
  WriteAll(socket, mappings_.data(), mappings_.size() * sizeof(GuestMapping));
  for (Order order; ReadAll(socket, &order, sizeof(order));) {
    std::byte* const page = PageAt(order.page);
    std::uint64_t answer = 0;
    if (order.what == 's') answer = HashPage({page, kSmallPage});
    if (order.what == 'w') std::memcpy(page, &order.value, sizeof(order.value));
    if (order.what == 'h' && !ServeHandOver(socket, uffd)) _exit(5);
    for (std::uint64_t i = 0; order.what == 'e' && i < order.value; ++i) {
      madvise(page + i * kSmallPage, kSmallPage, MADV_DONTNEED);
    }
    if (order.what == 'd') madvise(page, order.value * kSmallPage, MADV_DONTNEED);
    if (!WriteAll(socket, &answer, sizeof(answer))) break;
  }
  _exit(0);
}

bool ForkedGuest::ServeHandOver(int socket, int uffd) const {
  struct {
    sockaddr_un address;
    std::uint64_t pieces;
    bool hang_up;
  } order{};
  if (!ReadAll(socket, &order, sizeof(order))) return false;
  const int pager = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(pager, reinterpret_cast<const sockaddr*>(&order.address), sizeof(order.address)) != 0) return false;
  for (std::uint64_t i = 0; i < order.pieces; ++i) {
    std::array<std::uint32_t, 3> head{};
    if (!ReadAll(socket, head.data(), sizeof(head))) return false;
    std::string bytes(head[0], '\0');
    if (!ReadAll(socket, bytes.data(), bytes.size())) return false;
    usleep(head[2] * 1000);
    const std::array<int, 2> fds{uffd, file_.get()};
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (head[1] > 0) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(head[1] * sizeof(int));
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(head[1] * sizeof(int));
      std::memcpy(CMSG_DATA(header), fds.data(), head[1] * sizeof(int));
    }
    // A pager that sends us away is what some tests want.
    static_cast<void>(!sendmsg(pager, &message, MSG_NOSIGNAL));
  }
  if (order.hang_up) close(pager);
  return true;
}

void ForkedGuest::HandOver(const std::string& socket, const std::vector<Piece>& pieces, bool hang_up) {
  Send({'h', 0, 0});
  struct {
    sockaddr_un address;
    std::uint64_t pieces;
    bool hang_up;
  } order{};
  order.address.sun_family = AF_UNIX;
  REQUIRE(socket.size() < sizeof(order.address.sun_path));
  std::memcpy(order.address.sun_path, socket.data(), socket.size());
  order.pieces = pieces.size();
  order.hang_up = hang_up;
  REQUIRE(WriteAll(socket_.get(), &order, sizeof(order)));
  for (const Piece& piece : pieces) {
    const std::array<std::uint32_t, 3> head{static_cast<std::uint32_t>(piece.bytes.size()), piece.fds, piece.pause};
    REQUIRE(WriteAll(socket_.get(), head.data(), sizeof(head)));
    REQUIRE(WriteAll(socket_.get(), piece.bytes.data(), piece.bytes.size()));
  }
  static_cast<void>(Finish());
}

std::byte* ForkedGuest::PageAt(std::uint64_t page) const {
  std::uint64_t offset = page * kSmallPage;
  std::size_t part = 0;
  while (offset >= mappings_[part].length) offset -= mappings_[part++].length;
  return reinterpret_cast<std::byte*>(mappings_[part].address + offset);
}

void ForkedGuest::Send(const Order& order) const { REQUIRE(WriteAll(socket_.get(), &order, sizeof(order))); }

void ForkedGuest::BeginSum(std::uint64_t page) { Send({'s', page, 0}); }

std::uint64_t ForkedGuest::Finish() {
  std::uint64_t answer = 0;
  pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  REQUIRE(poll(&readable, 1, 100'000) == 1);
  REQUIRE(ReadAll(socket_.get(), &answer, sizeof(answer)));
  return answer;
}

bool ForkedGuest::finished() const {
  pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  return poll(&readable, 1, 0) == 1;
}

std::uint64_t ForkedGuest::Sum(std::uint64_t page) {
  BeginSum(page);
  return Finish();
}

void ForkedGuest::Write(std::uint64_t page, std::uint64_t value) {
  Send({'w', page, value});
  static_cast<void>(Finish());
}

void ForkedGuest::Discard(std::uint64_t page, std::uint64_t count) {
  Send({'d', page, count});
  static_cast<void>(Finish());
}

void ForkedGuest::DiscardEach(std::uint64_t page, std::uint64_t count) {
  Send({'e', page, count});
  static_cast<void>(Finish());
}

}  // namespace farfault
