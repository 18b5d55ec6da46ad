#include "agent.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace farfault_qemu {
namespace {

struct Agent {
  GuestRam ram;
  int listener = -1;
};

// Newer than Debian 12's headers.
constexpr uint64_t kWpUnpopulated = 1u << 13;
constexpr uint64_t kWpAsync = 1u << 15;
constexpr uint64_t kTracking =
    UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | kWpUnpopulated | kWpAsync;

bool IsAllowed(int client) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

void Answer(const GuestRam& ram, int client) {
  Description description;
  if (!IsAllowed(client)) {
    description.Print(R"({"error":"only root and QEMU's own user may move this guest"})");
    static_cast<void>(SendWithDescriptors(client, description, nullptr, 0));
    return;
  }
  Description why;
  const int userfaultfd = OpenUserfaultfd(kTracking, &why);
  if (userfaultfd == -1) {
    description.Print(R"({"error":"%s"})", why.text);
    static_cast<void>(SendWithDescriptors(client, description, nullptr, 0));
    return;
  }
  char keys[96];
  std::snprintf(keys, sizeof keys, R"("uffd_features":%llu,"registered":false,"pid":%d)",
                static_cast<unsigned long long>(kTracking), static_cast<int>(getpid()));
  ram.Describe(&description, keys);
  const int descriptors[] = {userfaultfd, ram.fd};
  static_cast<void>(SendWithDescriptors(client, description, descriptors, 2));
  close(userfaultfd);  // The tracker's alone: with it the protection ends.
}

void* Serve(void* argument) {
  const auto* const agent = static_cast<Agent*>(argument);
  for (;;) {
    const int client = accept4(agent->listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client == -1) {
      if (errno != EINTR && errno != ECONNABORTED) usleep(100'000);  // Out of descriptors, perhaps for a while.
      continue;
    }
    Answer(agent->ram, client);
    close(client);
  }
}

int Listen(const char* path) {
  const UnixAddress address = MakeUnixAddress("FARFAULT_AGENT", path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1) Die("a socket for the agent: %s", std::strerror(errno));
  struct stat about{};
  if (lstat(path, &about) == 0 && S_ISSOCK(about.st_mode)) unlink(path);  // An earlier QEMU's.
  if (bind(fd, reinterpret_cast<const sockaddr*>(address.bytes), address.length) != 0 || chmod(path, 0600) != 0 ||
      listen(fd, 4) != 0) {
    Die("the agent cannot listen at %s: %s", path, std::strerror(errno));
  }
  return fd;
}

}  // namespace

void StartAgent(const GuestRam& ram, const char* socket_path) {
  static Agent agent;
  agent = {.ram = ram, .listener = Listen(socket_path)};
  // QEMU's signals are for QEMU's threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, Serve, &agent);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) Die("no thread for the agent: %s", std::strerror(error));
  pthread_detach(thread);
}

}  // namespace farfault_qemu
