#include "lib/page/page_state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "lib/page/page_state.h"
#include "lib/util/unique_fd.h"

namespace farfault {

struct PageStateFile::Header {
  static constexpr std::array<char, 8> kMagic = {'f', 'f', 'p', 'a', 'g', 'e', 's', '1'};
  std::array<char, 8> magic = kMagic;
  std::uint64_t pages = 0;
  std::uint64_t layout = 0;  // LayoutHash of the memory.
  std::uint8_t running = 0;
  std::array<std::uint8_t, 4071> reserved{};
};

namespace {

// Names and sizes: what both ends of a session agree on, and not where it is mapped.
std::uint64_t LayoutHash(const GuestMemory& memory) {
  std::uint64_t hash = 1469598103934665603u;
  const auto add = [&hash](const void* data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
    }
  };
  for (const Region& region : memory.regions()) {
    add(region.name.c_str(), region.name.size() + 1);
    add(&region.length, sizeof(region.length));
    add(&region.page_size, sizeof(region.page_size));
  }
  return hash;
}

}  // namespace

PageStateFile::Header& PageStateFile::header() const { return *reinterpret_cast<Header*>(mapping_.data()); }

std::span<std::uint8_t> PageStateFile::states() const {
  if (mapping_.size() == 0) return {};
  return {reinterpret_cast<std::uint8_t*>(mapping_.data()) + sizeof(Header), mapping_.size() - sizeof(Header)};
}

void PageStateFile::MarkRunning() {
  if (mapping_.size() > 0) std::atomic_ref(header().running).store(1, std::memory_order_release);
}

bool PageStateFile::guest_ran() const {
  return mapping_.size() > 0 && std::atomic_ref(header().running).load(std::memory_order_acquire) != 0;
}

PageStateFile& PageStateFile::operator=(PageStateFile&& other) noexcept {
  if (this == &other) return *this;
  Discard();
  mapping_ = std::move(other.mapping_);
  path_ = std::exchange(other.path_, {});
  draft_ = std::exchange(other.draft_, {});
  return *this;
}

void PageStateFile::Discard() {
  if (!draft_.empty()) static_cast<void>(unlink(draft_.c_str()));
  draft_.clear();
}

absl::Status PageStateFile::Publish() {
  if (draft_.empty()) return absl::OkStatus();
  if (rename(draft_.c_str(), path_.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("the state file '{}' cannot be put in its place", path_));
  }
  draft_.clear();
  return absl::OkStatus();
}

// With `bytes` the file gets that length first.
absl::StatusOr<PageStateFile> PageStateFile::Map(const std::string& path, int flags, std::uint64_t bytes) {
  static_assert(sizeof(Header) == 4096);
  const auto failed = [&path](const char* what) {
    return absl::ErrnoToStatus(errno, fmt::format("the state file '{}' cannot be {}", path, what));
  };
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | flags, 0600));
  if (!fd.valid()) return failed("opened");
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return failed("examined");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(fmt::format("'{}' is not a regular file", path));
  // Its blocks, too: running out of them later would be a SIGBUS.
  if (bytes > 0) {
    if (const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0) {
      errno = error;
      return failed("given its length");
    }
  }
  const std::uint64_t length = bytes > 0 ? bytes : static_cast<std::uint64_t>(info.st_size);
  if (length <= sizeof(Header)) return absl::DataLossError(fmt::format("'{}' is not a state file", path));
  auto mapping =
      Mapping::Map({.length = length, .protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = fd.get()});
  if (!mapping.ok()) {
    return absl::ResourceExhaustedError(
        fmt::format("the state file '{}' cannot be mapped: {}", path, std::string(mapping.status().message())));
  }
  return PageStateFile(*std::move(mapping));
}

absl::StatusOr<PageStateFile> PageStateFile::Create(const std::string& path, const GuestMemory& memory) {
  const std::string draft = DraftOf(path);
  // Of a process that was killed.
  static_cast<void>(unlink(draft.c_str()));
  auto file = Map(draft, O_CREAT | O_EXCL, sizeof(Header) + memory.total_pages());
  if (!file.ok()) return file;
  file->path_ = path;
  file->draft_ = draft;
  file->header() = Header{.pages = memory.total_pages(), .layout = LayoutHash(memory)};
  return file;
}

absl::StatusOr<PageStateFile> PageStateFile::Reopen(const std::string& path, const GuestMemory& memory) {
  auto file = Map(path, 0, 0);
  if (!file.ok()) return file;
  const Header& header = file->header();
  const std::span<const std::uint8_t> states = file->states();
  const bool sound = header.magic == Header::kMagic && header.pages == states.size() &&
                     std::all_of(states.begin(), states.end(), [](std::uint8_t state) { return state < kPageStates; });
  if (!sound) return absl::DataLossError(fmt::format("'{}' is not a state file, or damaged", path));
  if (header.layout != LayoutHash(memory)) {
    return absl::FailedPreconditionError(fmt::format("the state file '{}' is of other memory, of {} pages; this has {}",
                                                     path, header.pages, memory.total_pages()));
  }
  return file;
}

}  // namespace farfault
