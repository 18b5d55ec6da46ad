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
  // Somebody may still have the old file mapped: a new one in its place.
  static_cast<void>(unlink(path.c_str()));
  auto file = Map(path, O_CREAT | O_EXCL, sizeof(Header) + memory.total_pages());
  if (file.ok()) {
    file->header() = Header{.pages = memory.total_pages(), .layout = LayoutHash(memory)};
  }
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
  if (header.running == 0) {
    return absl::FailedPreconditionError(
        fmt::format("the guest of the state file '{}' never ran: begin anew, without taking it over", path));
  }
  return file;
}

}  // namespace farfault
