#define _GNU_SOURCE
#include "test/c_api/guest.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/c_api/check.h"

struct order {
  uint64_t write;  // Or read.
  uint64_t page;
  uint64_t value;
};

/// A byte with a descriptor.
struct parcel {
  char byte;
  struct iovec data;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message;
};

static void Wrap(struct parcel* parcel) {
  memset(parcel, 0, sizeof *parcel);
  parcel->data = (struct iovec){&parcel->byte, 1};
  parcel->message.msg_iov = &parcel->data;
  parcel->message.msg_iovlen = 1;
  parcel->message.msg_control = parcel->control;
  parcel->message.msg_controllen = sizeof parcel->control;
}

static bool SendFd(int socket, int fd) {
  struct parcel parcel;
  Wrap(&parcel);
  struct cmsghdr* const header = CMSG_FIRSTHDR(&parcel.message);
  header->cmsg_len = CMSG_LEN(sizeof fd);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &parcel.message, MSG_NOSIGNAL) == 1;
}

static int ReceiveFd(int socket) {
  struct parcel parcel;
  Wrap(&parcel);
  int fd = -1;
  if (recvmsg(socket, &parcel.message, MSG_CMSG_CLOEXEC) != 1) return fd;
  struct cmsghdr* const header = CMSG_FIRSTHDR(&parcel.message);
  if (header != NULL && header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

// Messages here are shorter than what a socket takes or gives at once.
static bool Send(int socket, const void* from, size_t bytes) {
  return send(socket, from, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}
static bool Receive(int socket, void* to, size_t bytes) {
  return recv(socket, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static uint64_t* WordAt(const struct guest* guest, uint64_t page) {
  uint64_t offset = page * FARFAULT_SMALL_PAGE;
  const struct farfault_guest_mapping* part = guest->mappings;
  while (offset >= part->length) offset -= part++->length;
  return (uint64_t*)(uintptr_t)(part->address + offset);
}

static bool MapParts(struct guest* guest, uint64_t pages) {
  const size_t length = pages / kGuestParts * FARFAULT_SMALL_PAGE;
  const int kind = guest->file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  for (size_t i = 0; i < kGuestParts; ++i) {
    void* const part =
        mmap(NULL, length, PROT_READ | PROT_WRITE, kind, guest->file, guest->file < 0 ? 0 : (off_t)(i * length));
    if (part == MAP_FAILED) return false;
    if (guest->file < 0 && madvise(part, length, MADV_NOHUGEPAGE) != 0) return false;
    guest->mappings[i] = (struct farfault_guest_mapping){(uint64_t)(uintptr_t)part, length};
    struct uffdio_register range = {.range = {guest->mappings[i].address, length}, .mode = guest->register_modes};
    if (guest->register_modes != 0 && ioctl(guest->userfaultfd, UFFDIO_REGISTER, &range) != 0) return false;
  }
  return true;
}

// The guest's process: only system calls and memory of its own.
static _Noreturn void Run(struct guest* guest, uint64_t pages) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  guest->userfaultfd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  struct uffdio_api api = {.api = UFFD_API, .features = guest->features};
  if (guest->userfaultfd < 0 || ioctl(guest->userfaultfd, UFFDIO_API, &api) != 0) _exit(2);
  if (!MapParts(guest, pages)) _exit(3);
  if (!SendFd(guest->socket, guest->userfaultfd)) _exit(4);
  if (!Send(guest->socket, guest->mappings, sizeof guest->mappings)) _exit(5);
  struct order order;
  while (Receive(guest->socket, &order, sizeof order)) {
    volatile uint64_t* const word = WordAt(guest, order.page);
    if (order.write) *word = order.value;
    order.value = *word;
    if (!Send(guest->socket, &order.value, sizeof order.value)) break;
  }
  _exit(0);
}

int StartGuest(struct guest* guest, uint64_t pages, bool shared, uint64_t features, uint64_t register_modes) {
  int failures = 0;
  *guest = (struct guest){.userfaultfd = -1, .file = -1, .features = features, .register_modes = register_modes};
  if (shared) {
    guest->file = memfd_create("guest", MFD_CLOEXEC);
    CHECK(ftruncate(guest->file, (off_t)(pages * FARFAULT_SMALL_PAGE)) == 0);
  }
  int sockets[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  guest->pid = fork();
  guest->socket = sockets[guest->pid == 0];
  if (guest->pid == 0) Run(guest, pages);
  close(sockets[1]);
  CHECK(guest->pid > 0);
  guest->userfaultfd = ReceiveFd(guest->socket);
  CHECK(guest->userfaultfd >= 0);
  CHECK(Receive(guest->socket, guest->mappings, sizeof guest->mappings));
  return failures;
}

void EndGuest(struct guest* guest) {
  kill(guest->pid, SIGKILL);
  waitpid(guest->pid, NULL, 0);
  close(guest->socket);
  close(guest->userfaultfd);
  if (guest->file >= 0) close(guest->file);
}

struct farfault_external_guest ProcessOf(const struct guest* guest) {
  struct farfault_external_guest process;
  farfault_external_guest_init(&process, sizeof process);
  process.userfaultfd = guest->userfaultfd;
  process.features = guest->features;
  process.registered = guest->register_modes != 0;
  process.pid = guest->pid;
  return process;
}

int MakeExternalMemory(const struct guest* guest, const struct farfault_external_guest* process,
                       struct farfault_memory** memory) {
  int failures = 0;
  struct farfault_external_region region;
  farfault_external_region_init(&region, sizeof region);
  region.name = "ram";
  region.mappings = guest->mappings;
  region.mapping_count = kGuestParts;
  region.fd = guest->file;
  CHECK_OK(farfault_memory_create_external(&region, 1, process, memory));
  return failures;
}

static void Order(const struct guest* guest, struct order order) {
  if (!Send(guest->socket, &order, sizeof order)) abort();
}

void GuestBeginsToRead(const struct guest* guest, uint64_t page) { Order(guest, (struct order){.page = page}); }

uint64_t GuestHasRead(const struct guest* guest) {
  uint64_t value = 0;
  if (!Receive(guest->socket, &value, sizeof value)) abort();
  return value;
}

bool GuestIsParked(const struct guest* guest) {
  struct pollfd answer = {.fd = guest->socket, .events = POLLIN};
  return poll(&answer, 1, 100) == 0;
}

uint64_t GuestReads(const struct guest* guest, uint64_t page) {
  GuestBeginsToRead(guest, page);
  return GuestHasRead(guest);
}

void GuestWrites(const struct guest* guest, uint64_t page, uint64_t value) {
  Order(guest, (struct order){.write = 1, .page = page, .value = value});
  (void)GuestHasRead(guest);
}
