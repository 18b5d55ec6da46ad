#include "lib/cli/workload/page_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/cli/workload/checksum.h"

namespace farfault {
namespace {

constexpr std::uint64_t kProgressBytes = 16 << 20;

absl::Status ReadPage(const Region& region, std::uint64_t offset, std::span<std::byte> page) {
  if (region.fd < 0) {
    std::memcpy(page.data(), region.base + offset, page.size());
    return absl::OkStatus();
  }
  // Not through the mapping: a load from a hole of a memfd would populate it.
  for (std::size_t done = 0; done < page.size();) {
    const ssize_t got = pread(region.fd, page.data() + done, page.size() - done,
                              static_cast<off_t>(region.file_offset + offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return absl::InternalError(
          fmt::format("reading region \"{}\" back at byte {} failed: {}", region.name, offset, std::strerror(errno)));
    }
    done += static_cast<std::size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DigestPages(const Region& region, std::span<std::uint64_t> digests,
                         const std::function<void(std::uint64_t)>& progress) {
  std::vector<std::byte> page(region.page_size);
  for (std::uint64_t offset = 0; offset < region.length; offset += region.page_size) {
    if (progress && offset % kProgressBytes == 0) progress(offset);
    if (absl::Status status = ReadPage(region, offset, page); !status.ok()) return status;
    digests[offset / region.page_size] = Checksum(page);
  }
  return absl::OkStatus();
}

PageCheck CheckPages(std::span<const std::byte> memory, std::uint64_t page_size, std::span<const std::uint64_t> digests,
                     std::vector<WriteJournal::Entry> undo, const std::function<void(std::uint64_t)>& progress) {
  std::sort(undo.begin(), undo.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  PageCheck check;
  std::vector<std::byte> page(page_size);
  auto next = undo.begin();
  for (std::uint64_t offset = 0; offset < memory.size(); offset += page_size) {
    if (progress && offset % kProgressBytes == 0) progress(offset);
    std::memcpy(page.data(), memory.data() + offset, page_size);
    for (; next != undo.end() && next->offset < offset + page_size; ++next) {
      std::memcpy(page.data() + (next->offset - offset), &next->before, sizeof(next->before));
    }
    ++check.verified;
    if (Checksum(page) != digests[offset / page_size]) ++check.wrong;
  }
  return check;
}

}  // namespace farfault
