#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>

#include "test/integration/runtime/whole_sessions.h"

namespace {

std::atomic<bool> no_look = false;

}  // namespace

// In the place of the C library's: what the kernel may say when it is short of memory.
extern "C" int mincore(void* address, std::size_t length, unsigned char* pages) noexcept {
  if (no_look) {
    errno = EAGAIN;
    return -1;
  }
  return static_cast<int>(syscall(SYS_mincore, address, length, pages));
}

namespace farfault {
namespace {

TEST_CASE("a dirty log that was read counts, though the last look behind it failed") {
  RequireUserfaultfd();
  RequireDirtyTracking();
  GuestImage source(OneRegion(/*shared=*/true));
  source.Fill(9);
  GuestImage destination(OneRegion(/*shared=*/true));
  // A writer that only the log sees.
  auto* const other = static_cast<std::byte*>(
      mmap(nullptr, kImage, PROT_READ | PROT_WRITE, MAP_SHARED, source.memory().regions()[0].fd, 0));
  REQUIRE(other != MAP_FAILED);
  std::vector<PageRun> log;
  SourceOptions options;
  options.dirty_log = [&log](std::vector<PageRun>* written) {
    written->insert(written->end(), log.begin(), log.end());
    log.clear();
    return absl::OkStatus();
  };
  const SessionPair pair = MakePair(source, std::move(options), destination, {});
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  REQUIRE(pair.source->PrePage(budget).ok());
  other[5 * kSmallPage] ^= std::byte{0xff};
  log.push_back({5, 1});
  // A page that is in the file and not mapped has to be asked about.
  REQUIRE(madvise(source.bytes().data() + 20 * kSmallPage, kSmallPage, MADV_DONTNEED) == 0);
  no_look = true;
  const absl::Status failed = pair.source->SwitchOver();
  no_look = false;
  INFO(failed.ToString());
  CHECK_FALSE(failed.ok());
  CHECK(log.empty());
  CHECK(pair.source->state() == SessionState::kPrepared);
  pair.SwitchOver();
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
  CHECK(destination.FirstDifference(source).empty());
  munmap(other, kImage);
}

}  // namespace
}  // namespace farfault
