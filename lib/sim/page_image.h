#ifndef FARFAULT_LIB_SIM_PAGE_IMAGE_H_
#define FARFAULT_LIB_SIM_PAGE_IMAGE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "farfault/page.h"
#include "lib/page/page_layout.h"

namespace farfault::sim {

/// One side's guest memory, region after region, zeros at first. Every version of a page has bytes of its own, so that
/// one look tells whose they are.
class PageImage {
 public:
  explicit PageImage(const PageLayout& layout) : layout_(layout) {
    for (const PageLayout::RegionPages& region : layout.regions()) {
      regions_.emplace_back(region.pages.count * region.page_size / sizeof(std::uint64_t));
    }
  }

  std::span<std::byte> region(std::size_t index) { return std::as_writable_bytes(std::span(regions_[index])); }

  std::span<std::byte> page(PageIndex page) {
    const std::size_t index = layout_.RegionOf(page);
    const PageLayout::RegionPages& region_pages = layout_.regions()[index];
    return region(index).subspan((page - region_pages.pages.first) * region_pages.page_size, region_pages.page_size);
  }

  /// The page that holds the address, if it is in this image.
  std::optional<PageIndex> PageAt(const std::byte* address) {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      const std::span<std::byte> bytes = region(i);
      if (address < bytes.data() || address >= bytes.data() + bytes.size()) continue;
      const PageLayout::RegionPages& region_pages = layout_.regions()[i];
      return region_pages.pages.first + static_cast<std::uint64_t>(address - bytes.data()) / region_pages.page_size;
    }
    return std::nullopt;
  }

  void Write(PageIndex index, std::uint64_t version) {
    const std::span<std::byte> bytes = page(index);
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = Word(index, version, at);
      std::memcpy(bytes.data() + at, &word, sizeof(word));
    }
  }
  void Clear(PageIndex index) { std::ranges::fill(page(index), std::byte{0}); }

  bool Holds(PageIndex index, std::uint64_t version) {
    const std::span<std::byte> bytes = page(index);
    std::uint64_t differences = 0;
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, sizeof(word));
      differences |= word ^ Word(index, version, at);
    }
    return differences == 0;
  }

  static bool IsZero(std::span<const std::byte> bytes) {
    return bytes.empty() ||
           (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
  }

 private:
  static std::uint64_t Word(PageIndex page, std::uint64_t version, std::size_t at) {
    return (((page + 1) * 0x9e3779b97f4a7c15u) ^ ((version + 1) * 0xbf58476d1ce4e5b9u)) + at;
  }

  const PageLayout& layout_;
  std::vector<std::vector<std::uint64_t>> regions_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_PAGE_IMAGE_H_
