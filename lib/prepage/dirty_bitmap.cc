#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "farfault/dirty_log.h"

namespace farfault {
namespace {

constexpr std::uint64_t kWordBits = 64;

absl::Status CheckBitmap(const GuestMemory& memory, const DirtyBitmap& bitmap) {
  if (bitmap.region >= memory.regions().size()) {
    return absl::InvalidArgumentError(fmt::format("a dirty bitmap of region {}, but the memory has {} regions",
                                                  bitmap.region, memory.regions().size()));
  }
  const Region& region = memory.regions()[bitmap.region];
  if (bitmap.offset % kSmallPage != 0 || bitmap.offset > region.length ||
      bitmap.pages > (region.length - bitmap.offset) / kSmallPage) {
    return absl::InvalidArgumentError(fmt::format(
        "a dirty bitmap of {} pages of {} bytes from offset {} on does not lie in the region '{}', which has "
        "{} bytes; the offset is a multiple of {}",
        bitmap.pages, kSmallPage, bitmap.offset, region.name, region.length, kSmallPage));
  }
  if (bitmap.words.size() < (bitmap.pages + kWordBits - 1) / kWordBits) {
    return absl::InvalidArgumentError(fmt::format("a dirty bitmap of {} pages needs {} words, but has {}", bitmap.pages,
                                                  (bitmap.pages + kWordBits - 1) / kWordBits, bitmap.words.size()));
  }
  return absl::OkStatus();
}

// The first bit from `from` on whose value is `value`; `bitmap.pages` when there is none.
std::uint64_t NextBit(const DirtyBitmap& bitmap, std::uint64_t from, bool value) {
  while (from < bitmap.pages) {
    const std::uint64_t word = bitmap.words[from / kWordBits];
    const std::uint64_t wanted = (value ? word : ~word) >> (from % kWordBits);
    if (wanted != 0) return std::min(bitmap.pages, from + static_cast<std::uint64_t>(std::countr_zero(wanted)));
    from = (from / kWordBits + 1) * kWordBits;
  }
  return bitmap.pages;
}

}  // namespace

absl::Status AppendDirtyPages(const GuestMemory& memory, const DirtyBitmap& bitmap, std::vector<PageRun>* written) {
  if (absl::Status checked = CheckBitmap(memory, bitmap); !checked.ok()) return checked;
  const std::uint64_t page_size = memory.regions()[bitmap.region].page_size;
  const PageIndex region_first = memory.pages_of(bitmap.region).first;
  const std::size_t from = written->size();
  for (std::uint64_t bit = NextBit(bitmap, 0, true); bit < bitmap.pages;) {
    const std::uint64_t end = NextBit(bitmap, bit, false);
    const PageIndex first = region_first + (bitmap.offset + bit * kSmallPage) / page_size;
    const PageIndex last = region_first + (bitmap.offset + (end - 1) * kSmallPage) / page_size;
    // Runs of small pages may meet in one large page.
    if (written->size() > from && written->back().end() >= first) {
      written->back().count = last + 1 - written->back().first;
    } else {
      written->push_back({first, last + 1 - first});
    }
    bit = NextBit(bitmap, end, true);
  }
  return absl::OkStatus();
}

}  // namespace farfault
