#include "lib/cli/demo/judge.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"

namespace farfault {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t RoundUp(std::uint64_t value) { return (value + kPage - 1) / kPage * kPage; }

absl::Status SystemError(std::string_view what) {
  return absl::InternalError(fmt::format("{} for the demo's bookkeeping failed: {}", what, std::strerror(errno)));
}

}  // namespace

Judge::Sections Judge::SectionsOf(const GuestPlan& plan) {
  Sections sections;
  sections.ledger = kPage;  // After the epoch.
  const std::uint64_t entries = plan.threads * Ledger::EntriesNeeded(plan.shard_bytes());
  sections.digests = sections.ledger + RoundUp(entries * sizeof(std::uint32_t));
  sections.timelines = sections.digests + RoundUp(plan.pages() * sizeof(std::uint64_t));
  sections.end = sections.timelines + RoundUp(2 * plan.threads * kSlices * sizeof(std::uint32_t));
  return sections;
}

absl::StatusOr<Judge> Judge::Create(const GuestPlan& plan) {
  const int fd = memfd_create("farfault-demo", MFD_CLOEXEC);
  if (fd < 0) return SystemError("memfd_create");
  if (ftruncate(fd, static_cast<off_t>(SectionsOf(plan).end)) != 0) {
    absl::Status status = SystemError("ftruncate");
    close(fd);
    return status;
  }
  absl::StatusOr<Judge> judge = Open(fd, plan, View::kSource);
  close(fd);
  return judge;
}

absl::StatusOr<Judge> Judge::Open(int fd, const GuestPlan& plan, View view) {
  Judge judge;
  judge.plan_ = plan;
  judge.sections_ = SectionsOf(plan);
  judge.fd_ = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (judge.fd_ < 0) return SystemError("duplicating a descriptor");
  void* base = mmap(nullptr, judge.sections_.end, PROT_READ | PROT_WRITE, MAP_SHARED, judge.fd_, 0);
  if (base == MAP_FAILED) return SystemError("mmap");
  judge.base_ = static_cast<std::byte*>(base);
  if (view == View::kSource) return judge;
  void* ledger =
      mmap(judge.base_ + judge.sections_.ledger, judge.sections_.digests - judge.sections_.ledger,
           PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, judge.fd_, static_cast<off_t>(judge.sections_.ledger));
  if (ledger == MAP_FAILED) return SystemError("mmap");
  return judge;
}

Judge::Judge(Judge&& other) noexcept { *this = std::move(other); }

Judge& Judge::operator=(Judge&& other) noexcept {
  std::swap(plan_, other.plan_);
  std::swap(sections_, other.sections_);
  std::swap(fd_, other.fd_);
  std::swap(base_, other.base_);
  return *this;
}

Judge::~Judge() {
  if (base_ != nullptr) munmap(base_, sections_.end);
  if (fd_ >= 0) close(fd_);
}

Ledger Judge::ledger(std::size_t shard) const {
  const std::uint64_t entries = Ledger::EntriesNeeded(plan_.shard_bytes());
  auto* const first = reinterpret_cast<std::uint32_t*>(base_ + sections_.ledger) + shard * entries;
  return Ledger::Over({first, entries}, plan_.shard_bytes());
}

std::span<std::byte> Judge::ledger_bytes() const {
  return {base_ + sections_.ledger, sections_.digests - sections_.ledger};
}

std::span<std::uint64_t> Judge::page_digests() const {
  return {reinterpret_cast<std::uint64_t*>(base_ + sections_.digests), plan_.pages()};
}

Timeline Judge::timeline(Side side, std::size_t thread) const {
  auto* const first = reinterpret_cast<std::atomic<std::uint32_t>*>(base_ + sections_.timelines);
  const std::size_t index = (side == Side::kSource ? 0 : plan_.threads) + thread;
  return {epoch_ptr(), {first + index * kSlices, kSlices}};
}

void Judge::RestartTimelines() {
  // A hole reads as zeros and gives the memory back.
  madvise(base_ + sections_.timelines, sections_.end - sections_.timelines, MADV_REMOVE);
  epoch_ptr()->store(MonotonicNanos());
}

std::vector<std::uint64_t> Judge::OperationsPerSlice(Side side) const {
  std::vector<std::uint64_t> sums(kSlices);
  std::size_t used = 0;
  for (std::size_t thread = 0; thread < plan_.threads; ++thread) {
    const std::span<std::atomic<std::uint32_t>> slices = timeline(side, thread).slices();
    for (std::size_t i = 0; i < slices.size(); ++i) {
      sums[i] += slices[i].load(std::memory_order_relaxed);
      if (sums[i] > 0) used = std::max(used, i + 1);
    }
  }
  sums.resize(used);
  return sums;
}

}  // namespace farfault
