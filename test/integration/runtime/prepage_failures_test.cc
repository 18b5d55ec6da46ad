#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "lib/util/status_text.h"
#include "lib/util/unique_fd.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

// Pre-paging that goes wrong must not leave the switchover with pages that are out of date, nor without an end.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kImage = 4u << 20;

TEST_CASE("what a failed round of pre-paging had collected is not taken for fresh") {
  RequireDirtyTracking();
  const std::vector<GuestImage::Spec> specs = {{.name = "low", .length = kImage}, {.name = "high", .length = kImage}};
  GuestImage source(specs);
  source.Fill(6);
  GuestImage destination(specs);
  const SessionPair pair = MakePair(source, {}, destination, {});
  PrePageBudget budget;
  budget.bytes = 4 * kImage;
  budget.observe = absl::ZeroDuration();
  REQUIRE(pair.source->PrePage(budget).ok());
  source.bytes(0)[3 * kSmallPage] ^= std::byte{0xff};
  // The same bytes, mapped anew: dirty tracking of the second region fails after the first has been collected.
  const Region& high = source.memory().regions()[1];
  REQUIRE(mmap(high.base, high.length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, high.fd,
               static_cast<off_t>(high.file_offset)) == high.base);
  CHECK_FALSE(pair.source->PrePage(budget).ok());
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
  CHECK(destination.FirstDifference(source).empty());
}

/// A destination in a process of its own, which can be stopped.
class StoppableDestination {
 public:
  explicit StoppableDestination(std::uint64_t bytes) {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    process_ = fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) Run(bytes, write_end.get());
    write_end.reset();
    std::array<char, 256> text{};
    const ssize_t length = read(read_end.get(), text.data(), text.size());
    REQUIRE(length > 0);
    address_.assign(text.data(), static_cast<std::size_t>(length));
  }
  StoppableDestination(const StoppableDestination&) = delete;
  StoppableDestination& operator=(const StoppableDestination&) = delete;
  ~StoppableDestination() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }

  const std::string& address() const { return address_; }
  void Stop() const { REQUIRE(kill(process_, SIGSTOP) == 0); }

 private:
  [[noreturn]] static void Run(std::uint64_t bytes, int address_pipe) {
    auto region = OwnedRegion::CreateShared("ram", bytes, {});
    if (!region.ok()) _exit(1);
    auto memory = GuestMemory::Create({region->region()});
    if (!memory.ok()) _exit(1);
    DestinationOptions options;
    options.listen = "tcp://127.0.0.1:0";
    options.on_event = [address_pipe](const Event& event) {
      if (event.kind != EventKind::kListening) return;
      if (write(address_pipe, event.text.data(), event.text.size()) < 0) _exit(1);
    };
    const auto session = DestinationSession::Create(*memory, std::move(options));
    if (!session.ok() || !(*session)->Prepare().ok()) _exit(1);
    for (;;) pause();
  }

  pid_t process_ = -1;
  std::string address_;
};

TEST_CASE("pre-paging with a limit of time comes to an end when the destination hangs") {
  RequireDirtyTracking();
  constexpr std::uint64_t kMuch = 64u << 20;  // More than socket buffers hold.
  const StoppableDestination destination(kMuch);
  GuestImage source(std::vector<GuestImage::Spec>{{.length = kMuch}});
  source.Fill(7);
  SourceOptions options;
  options.connect = destination.address();
  options.handshake_timeout = absl::Seconds(3);
  const auto session = SourceSession::Create(source.memory(), std::move(options));
  INFO(session.status().ToString());
  REQUIRE(session.ok());
  destination.Stop();
  PrePageBudget budget;
  budget.time = absl::Milliseconds(200);
  budget.observe = absl::ZeroDuration();
  const absl::Status status = (*session)->PrePage(budget).status();
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK_THAT(std::string(StatusText(status)), ContainsSubstring("go on at the source"));
  CHECK(absl::IsDeadlineExceeded((*session)->SwitchOver()));
}

TEST_CASE("pre-paging with a limit of bytes comes to an end when the destination hangs") {
  RequireDirtyTracking();
  constexpr std::uint64_t kMuch = 64u << 20;
  const StoppableDestination destination(kMuch);
  GuestImage source(std::vector<GuestImage::Spec>{{.length = kMuch}});
  source.Fill(8);
  SourceOptions options;
  options.connect = destination.address();
  options.handshake_timeout = absl::Seconds(3);
  const auto session = SourceSession::Create(source.memory(), std::move(options));
  INFO(session.status().ToString());
  REQUIRE(session.ok());
  destination.Stop();
  PrePageBudget budget;
  budget.bytes = kMuch;
  budget.observe = absl::ZeroDuration();
  const absl::Status status = (*session)->PrePage(budget).status();
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK_THAT(std::string(StatusText(status)), ContainsSubstring("go on at the source"));
}

}  // namespace
}  // namespace farfault
