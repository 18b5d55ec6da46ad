#ifndef FARFAULT_LIB_PAGE_GUEST_ADDRESSES_H_
#define FARFAULT_LIB_PAGE_GUEST_ADDRESSES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "farfault/external_guest.h"
#include "farfault/page.h"

namespace farfault {

/// Where the pages of one region are mapped, in this process or in the guest's: addresses for userfaultfd. Thread-safe.
class GuestAddresses {
 public:
  struct Part {
    std::byte* address = nullptr;
    std::uint64_t pages = 0;
  };

  GuestAddresses() = default;
  /// `mappings` together hold the pages of `pages`, each of which has 1 << `page_shift` bytes.
  GuestAddresses(PageRun pages, std::span<const GuestMapping> mappings, unsigned page_shift) : page_shift_(page_shift) {
    PageIndex first = pages.first;
    for (const GuestMapping& mapping : mappings) {
      parts_.push_back({{first, mapping.length >> page_shift}, mapping.address});
      first += mapping.length >> page_shift;
    }
  }

  /// The address of the first page of `run`, and how many pages of it lie there one after the other.
  Part At(PageRun run) const {
    const auto behind = std::upper_bound(parts_.begin(), parts_.end(), run.first,
                                         [](PageIndex page, const Mapped& part) { return page < part.pages.first; });
    const Mapped& part = *std::prev(behind);
    return {reinterpret_cast<std::byte*>(part.address + ((run.first - part.pages.first) << page_shift_)),
            std::min(run.end(), part.pages.end()) - run.first};
  }
  std::byte* At(PageIndex page) const { return At(PageRun{page, 1}).address; }

 private:
  struct Mapped {
    PageRun pages;
    std::uint64_t address = 0;
  };

  std::vector<Mapped> parts_;
  unsigned page_shift_ = 12;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_GUEST_ADDRESSES_H_
