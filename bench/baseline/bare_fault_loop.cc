#include "bench/baseline/bare_fault_loop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "lib/util/mapping.h"

namespace farfault::bench {
namespace {

UniqueFd OpenUserfaultfd() {
  const int flags = O_CLOEXEC | O_NONBLOCK;
  const UniqueFd device(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (!device.valid()) return UniqueFd(static_cast<int>(syscall(SYS_userfaultfd, flags)));
  return UniqueFd(ioctl(device.get(), USERFAULTFD_IOC_NEW, flags));
}

absl::Status Populate(const Region& region) {
  const absl::StatusOr<Mapping> alias = Mapping::Map({.length = region.length,
                                                      .protection = PROT_READ | PROT_WRITE,
                                                      .flags = MAP_SHARED,
                                                      .fd = region.fd,
                                                      .offset = region.file_offset});
  if (!alias.ok()) return alias.status();
  if (madvise(alias->data(), region.length, MADV_POPULATE_WRITE) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "populating the bare loop's memory");
}

absl::Status Arm(int faults, const Region& region) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_MINOR_SHMEM;
  if (ioctl(faults, UFFDIO_API, &api) != 0) return absl::ErrnoToStatus(errno, "UFFDIO_API with MINOR_SHMEM");
  uffdio_register range{};
  range.range = {.start = reinterpret_cast<std::uint64_t>(region.base), .len = region.length};
  range.mode = UFFDIO_REGISTER_MODE_MINOR;
  if (ioctl(faults, UFFDIO_REGISTER, &range) != 0) return absl::ErrnoToStatus(errno, "UFFDIO_REGISTER for MINOR");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<BareFaultLoop>> BareFaultLoop::Start(const Region& region, std::chrono::nanoseconds spin,
                                                                    Fetch fetch) {
  if (absl::Status status = Populate(region); !status.ok()) return status;
  UniqueFd faults = OpenUserfaultfd();
  if (!faults.valid()) return absl::ErrnoToStatus(errno, "userfaultfd (root, or vm.unprivileged_userfaultfd=1)");
  if (absl::Status status = Arm(faults.get(), region); !status.ok()) return status;
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  const auto base = reinterpret_cast<std::uint64_t>(region.base);
  return std::unique_ptr<BareFaultLoop>(
      new BareFaultLoop(std::move(faults), std::move(stop), spin, base, std::move(fetch)));
}

BareFaultLoop::BareFaultLoop(UniqueFd faults, UniqueFd stop, std::chrono::nanoseconds spin, std::uint64_t base,
                             Fetch fetch)
    : faults_(std::move(faults)),
      stop_(std::move(stop)),
      spin_(spin),
      base_(base),
      fetch_(std::move(fetch)),
      thread_([this] { Run(); }) {}

BareFaultLoop::~BareFaultLoop() {
  const std::uint64_t one = 1;
  if (write(stop_.get(), &one, sizeof(one)) != sizeof(one)) std::abort();  // An eventfd at 0 takes a 1.
  thread_.join();
}

bool BareFaultLoop::AnswerWaiting() {
  uffd_msg message;
  if (read(faults_.get(), &message, sizeof(message)) != sizeof(message)) return false;
  uffdio_continue answer{};
  answer.range = {.start = message.arg.pagefault.address & ~(kSmallPage - 1), .len = kSmallPage};
  if (fetch_) fetch_(answer.range.start - base_);
  while (ioctl(faults_.get(), UFFDIO_CONTINUE, &answer) != 0 && errno == EAGAIN) {
  }
  return true;
}

void BareFaultLoop::Run() {
  using Clock = std::chrono::steady_clock;
  std::array<pollfd, 2> sources = {pollfd{faults_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
  while (sources[1].revents == 0) {
    auto last = Clock::now();
    do {
      if (AnswerWaiting()) last = Clock::now();
    } while (Clock::now() - last < spin_);
    if (poll(sources.data(), sources.size(), -1) < 0 && errno != EINTR) return;
  }
}

}  // namespace farfault::bench
