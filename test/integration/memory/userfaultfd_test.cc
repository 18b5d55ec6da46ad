#include "lib/fault/userfaultfd.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "farfault/guest_memory.h"
#include "lib/util/deadline.h"
#include "lib/util/mapping.h"
#include "test/support/fill.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kLength = 8 * kSmallPage;

struct Registered {
  Registered() : memory(*Mapping::Anonymous(kLength)) {
    if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
    auto opened = Userfaultfd::Open(0);
    REQUIRE(opened.ok());
    uffd.emplace(*std::move(opened));
    REQUIRE(uffd->Register(memory.data(), kLength, UFFDIO_REGISTER_MODE_MISSING).ok());
  }

  Mapping memory;
  std::optional<Userfaultfd> uffd;
};

// What `body` says in a process of its own.
std::string InChild(const std::function<std::string()>& body) {
  std::array<int, 2> pipe_ends{};
  REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
  const UniqueFd reader(pipe_ends[0]);
  UniqueFd writer(pipe_ends[1]);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string said = body();
    _exit(write(writer.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  writer.reset();
  std::string said;
  std::array<char, 4096> buffer{};
  for (ssize_t bytes = 0; (bytes = read(reader.get(), buffer.data(), buffer.size())) > 0;) {
    said.append(buffer.data(), static_cast<std::size_t>(bytes));
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return said;
}

bool BecomeNobody() {
  constexpr unsigned kNobody = 65534;
  return setgroups(0, nullptr) == 0 && setresgid(kNobody, kNobody, kNobody) == 0 &&
         setresuid(kNobody, kNobody, kNobody) == 0;
}

TEST_CASE("range operations stop where a page is mapped already and tell how far they came", "[memory][userfaultfd]") {
  Registered guest;
  std::array<std::byte, kLength> source;
  FillPattern(source, 1);
  REQUIRE(guest.uffd->Copy(guest.memory.data() + 3 * kSmallPage, source.data(), kSmallPage).status ==
          UffdStatus::kDone);
  UffdResult result = guest.uffd->Copy(guest.memory.data(), source.data(), kLength);
  CHECK(result.status == UffdStatus::kExists);
  CHECK(result.error == EEXIST);
  CHECK(result.bytes_done == 3 * kSmallPage);
  result = guest.uffd->ZeroPage(guest.memory.data(), kLength);
  CHECK(result.status == UffdStatus::kExists);
  CHECK(result.bytes_done == 0);
  result = guest.uffd->ZeroPage(guest.memory.data() + 4 * kSmallPage, 4 * kSmallPage);
  CHECK(result.status == UffdStatus::kDone);
  CHECK(result.bytes_done == 4 * kSmallPage);
}

TEST_CASE("a mapping made for later does not wake; Wake does", "[memory][userfaultfd]") {
  Registered guest;
  std::packaged_task<std::byte()> touch([&] { return *static_cast<volatile std::byte*>(guest.memory.data()); });
  auto seen = touch.get_future();
  const std::jthread thread(std::move(touch));
  CHECK(Parked(seen));
  std::array<std::byte, kSmallPage> source;
  FillPattern(source, 1);
  CHECK(guest.uffd->Copy(guest.memory.data(), source.data(), kSmallPage, UffdWake::kLater).status == UffdStatus::kDone);
  CHECK(Parked(seen));
  CHECK(guest.uffd->Wake(guest.memory.data(), kSmallPage).status == UffdStatus::kDone);
  CHECK(Done(seen));
  static_cast<void>(guest.uffd->Unregister(guest.memory.data(), kLength));
  CHECK(seen.get() == source[0]);
}

TEST_CASE("what may go wrong with a range", "[memory][userfaultfd]") {
  Registered guest;
  std::array<std::byte, kSmallPage> source{};
  SECTION("the range is not registered any more") {
    REQUIRE(guest.uffd->Unregister(guest.memory.data(), kLength).ok());
    CHECK(guest.uffd->Copy(guest.memory.data(), source.data(), kSmallPage).status == UffdStatus::kRangeGone);
  }
  SECTION("there is nothing in the file to go on with") {
    const UffdResult result = guest.uffd->Continue(guest.memory.data(), kSmallPage);
    CHECK(result.status == UffdStatus::kFailed);
    CHECK(result.error == EINVAL);
  }
  SECTION("the source cannot be read") {
    auto unreadable =
        Mapping::Map({.length = kSmallPage, .protection = PROT_NONE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
    REQUIRE(unreadable.ok());
    const UffdResult result = guest.uffd->Copy(guest.memory.data(), unreadable->data(), kSmallPage);
    CHECK(result.status == UffdStatus::kFailed);
    CHECK(result.error == EFAULT);
  }
  SECTION("somebody else holds it") {
    auto other = Userfaultfd::Open(0);
    REQUIRE(other.ok());
    const auto status = other->Register(guest.memory.data(), kLength, UFFDIO_REGISTER_MODE_MISSING).status();
    CHECK(absl::IsFailedPrecondition(status));
    CHECK_THAT(std::string(status.message()), ContainsSubstring("another session"));
  }
  SECTION("the memory is a file on disk") {
    const UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    auto mapped = Mapping::Map({.length = kSmallPage, .protection = PROT_READ, .flags = MAP_SHARED, .fd = file.get()});
    REQUIRE(mapped.ok());
    const auto status = guest.uffd->Register(mapped->data(), kSmallPage, UFFDIO_REGISTER_MODE_MISSING).status();
    CHECK_FALSE(status.ok());
    CHECK_THAT(std::string(status.message()), ContainsSubstring("userfaultfd does not take"));
  }
}

TEST_CASE("the guest's process is gone", "[memory][userfaultfd]") {
  if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
  // The child registers its memory and hands its userfaultfd over by way of a descriptor that both know.
  std::array<int, 2> gone{};
  REQUIRE(pipe2(gone.data(), O_CLOEXEC) == 0);
  const UniqueFd reader(gone[0]);
  UniqueFd writer(gone[1]);
  auto memory = Mapping::Anonymous(kLength);
  REQUIRE(memory.ok());
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto uffd = Userfaultfd::Open(0);
    if (!uffd.ok() || !uffd->Register(memory->data(), kLength, UFFDIO_REGISTER_MODE_MISSING).ok()) _exit(1);
    const int number = uffd->fd();
    if (write(writer.get(), &number, sizeof number) != sizeof number) _exit(1);
    pause();
    _exit(0);
  }
  int number = -1;
  REQUIRE(read(reader.get(), &number, sizeof number) == sizeof number);
  const UniqueFd process(static_cast<int>(syscall(434 /* pidfd_open */, child, 0)));
  UniqueFd descriptor(static_cast<int>(syscall(438 /* pidfd_getfd */, process.get(), number, 0)));
  const bool handed_over = descriptor.valid();
  auto uffd = Userfaultfd::Adopt(std::move(descriptor), 0);
  const std::array<std::byte, kSmallPage> source{};
  const bool alive = uffd.ok() && uffd->Copy(memory->data(), source.data(), kSmallPage).status == UffdStatus::kDone;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  if (!handed_over) SkipFor("pidfd_getfd is not allowed here");
  REQUIRE(alive);
  CHECK(uffd->Copy(memory->data() + kSmallPage, source.data(), kSmallPage).status == UffdStatus::kGuestGone);
  CHECK(uffd->Wake(memory->data(), kSmallPage).status != UffdStatus::kFailed);
}

TEST_CASE("only a userfaultfd that is ready is adopted", "[memory][userfaultfd]") {
  CHECK(absl::IsInvalidArgument(Userfaultfd::Adopt(UniqueFd(), 0).status()));
  CHECK(absl::IsInvalidArgument(Userfaultfd::Adopt(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)), 0).status()));
  Registered guest;
  auto adopted = Userfaultfd::Adopt(UniqueFd(dup(guest.uffd->fd())), 0);
  REQUIRE(adopted.ok());
  CHECK(adopted->ZeroPage(guest.memory.data(), kLength).status == UffdStatus::kDone);
}

TEST_CASE("a feature that the kernel lacks is named", "[memory][userfaultfd]") {
  if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
  const auto features = Userfaultfd::KernelFeatures();
  REQUIRE(features.ok());
  CHECK((*features & UFFD_FEATURE_MINOR_SHMEM) != 0);
  const std::uint64_t unknown = std::uint64_t{1} << 62;
  const absl::Status status = Userfaultfd::Open(unknown | UFFD_FEATURE_MINOR_SHMEM).status();
  CHECK(absl::IsUnimplemented(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("0x4000000000000000"));
  CHECK_THAT(std::string(status.message()), !ContainsSubstring("MINOR_SHMEM"));
  CHECK(UffdFeatureNames(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_SIGBUS) ==
        "UFFD_FEATURE_SIGBUS, UFFD_FEATURE_MINOR_SHMEM (Linux 5.14)");
}

TEST_CASE("without the right to userfaultfd the error names both ways and the remedies", "[memory][userfaultfd]") {
  if (geteuid() != 0) SkipFor("needs root, to give its rights away");
  const std::string said = InChild([]() -> std::string {
    if (!BecomeNobody()) return "cannot become nobody";
    const absl::Status status = Userfaultfd::Open(0).status();
    return absl::IsPermissionDenied(status) ? std::string(status.message()) : "allowed: " + status.ToString();
  });
  if (said.starts_with("allowed: OK")) SkipFor("this machine lets everybody use userfaultfd");
  CHECK_THAT(said, ContainsSubstring("/dev/userfaultfd: Permission denied"));
  CHECK_THAT(said, ContainsSubstring("userfaultfd(2): Operation not permitted"));
  CHECK_THAT(said, ContainsSubstring("sysctl -w vm.unprivileged_userfaultfd=1"));
  CHECK_THAT(said, ContainsSubstring("CAP_SYS_PTRACE"));
}

TEST_CASE("faults of user code alone need no privilege", "[memory][userfaultfd]") {
  if (geteuid() != 0) SkipFor("needs root, to give its rights away");
  const std::string said = InChild([]() -> std::string {
    if (!BecomeNobody()) return "cannot become nobody";
    auto uffd = Userfaultfd::Open(0, Userfaultfd::Scope::kUserFaultsOnly);
    if (!uffd.ok()) return uffd.status().ToString();
    auto memory = Mapping::Anonymous(kSmallPage);
    if (!memory.ok() || !uffd->Register(memory->data(), kSmallPage, UFFDIO_REGISTER_MODE_MISSING).ok())
      return "register";
    // A system call that touches the page is refused, not parked.
    const bool refused = access(reinterpret_cast<const char*>(memory->data()), F_OK) != 0 && errno == EFAULT;
    return refused ? "refused" : "not refused";
  });
  CHECK(said == "refused");
}

TEST_CASE("a thread that faults while its memory is unregistered goes on", "[memory][uffd]") {
  RequireUserfaultfd();
  constexpr std::uint32_t kRounds = 20'000;
  constexpr std::uint32_t kTouched = 64;
  auto uffd = Userfaultfd::Open(0);
  REQUIRE(uffd.ok());
  auto mapping = Mapping::Anonymous(kTouched * kSmallPage);
  REQUIRE(mapping.ok());
  std::byte* const memory = mapping->data();
  madvise(memory, mapping->size(), MADV_NOHUGEPAGE);
  std::atomic<std::uint32_t> asked = 0;
  std::atomic<std::uint32_t> done = 0;
  std::thread guest([&] {
    for (std::uint32_t round = 1; round <= kRounds; ++round) {
      while (asked.load() < round) std::this_thread::yield();
      std::atomic_ref(memory[round % kTouched * kSmallPage]).store(std::byte{1});
      done.store(round);
    }
  });
  std::uint32_t stuck = 0;
  std::minstd_rand random(1);
  for (std::uint32_t round = 1; round <= kRounds; ++round) {
    madvise(memory, mapping->size(), MADV_DONTNEED);
    stuck += uffd->Register(memory, mapping->size(), UFFDIO_REGISTER_MODE_MISSING).ok() ? 0u : 1u;
    asked.store(round);
    // The fault comes before, while or after.
    for (std::atomic<std::uint64_t> wait = random() % 3000; wait > 0;) wait.fetch_sub(1, std::memory_order_relaxed);
    stuck += uffd->Unregister(memory, mapping->size()).ok() ? 0u : 1u;
    const Deadline patience = Deadline::After(absl::Seconds(5));
    while (done.load() != round) {
      std::this_thread::yield();
      if (!patience.Passed()) continue;
      ++stuck;
      uffd->Wake(memory, mapping->size());
      absl::SleepFor(absl::Milliseconds(10));
    }
    std::array<uffd_msg, 16> events;
    while (read(uffd->fd(), events.data(), sizeof(events)) > 0) {
    }
  }
  guest.join();
  CHECK(stuck == 0);
}

}  // namespace
}  // namespace farfault
