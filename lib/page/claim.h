#ifndef FARFAULT_LIB_PAGE_CLAIM_H_
#define FARFAULT_LIB_PAGE_CLAIM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "farfault/page.h"
#include "lib/util/interleave.h"

namespace farfault {

/// What the source has decided about pushing a page. Read remotely.
enum class Claim : std::uint8_t {
  kFree = 0,
  kClaiming = 1,  ///< About to look at `want` once more.
  kYielded = 2,   ///< The destination was first; never pushed.
  kPosted = 3,    ///< A WRITE is out, or has arrived.
};

/// The memory that the source exposes for the claim protocol, in this order: `want` (one byte per page, written by the
/// destination), `claim` (one byte per page, written by the source's CPU), the hint ring and one credit word per push
/// channel (both written by the destination). Both sides compute the same offsets from the number of pages.
struct SourceTableLayout {
  static constexpr std::uint64_t kHintSlots = 1024;
  static constexpr std::uint64_t kCreditWords = 8;
  static constexpr std::uint64_t kLine = 64;

  std::uint64_t pages = 0;

  std::uint64_t want_offset() const { return 0; }
  std::uint64_t claim_offset() const { return RoundUp(pages); }
  std::uint64_t hint_offset() const { return 2 * RoundUp(pages); }
  std::uint64_t credit_offset() const { return hint_offset() + kHintSlots * sizeof(std::uint64_t); }
  std::uint64_t total_bytes() const { return credit_offset() + kCreditWords * sizeof(std::uint64_t); }

 private:
  static std::uint64_t RoundUp(std::uint64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
};

/// The source's view of its own tables. The bytes are shared with the transport, so every access is atomic.
class SourceTables {
 public:
  /// `memory` holds SourceTableLayout{pages}.total_bytes() zeroed bytes, 64-byte aligned, and outlives this object.
  SourceTables(std::span<std::byte> memory, std::uint64_t pages) : memory_(memory.data()), layout_{pages} {}

  bool wanted(PageIndex page) const {
    InterleavePoint();
    return std::atomic_ref(Byte(layout_.want_offset() + page)).load(std::memory_order_acquire) != 0;
  }
  void set_claim(PageIndex page, Claim claim) const {
    InterleavePoint();
    std::atomic_ref(Byte(layout_.claim_offset() + page))
        .store(static_cast<std::uint8_t>(claim), std::memory_order_release);
  }
  std::uint64_t hint(std::uint64_t position) const {
    return std::atomic_ref(Word(layout_.hint_offset() + position % SourceTableLayout::kHintSlots * 8))
        .load(std::memory_order_acquire);
  }
  std::uint64_t credit(std::size_t channel) const {
    return std::atomic_ref(Word(layout_.credit_offset() + channel * 8)).load(std::memory_order_acquire);
  }

 private:
  std::uint8_t& Byte(std::uint64_t offset) const { return *reinterpret_cast<std::uint8_t*>(memory_ + offset); }
  std::uint64_t& Word(std::uint64_t offset) const { return *reinterpret_cast<std::uint64_t*>(memory_ + offset); }

  std::byte* memory_;
  SourceTableLayout layout_;
};

/// One entry of the hint ring: the page, and the low bits of the hint's number so that the reader can tell a new entry
/// from one of an earlier lap. Advisory: a mix-up after 2^24 hints costs a wrong guess, nothing else.
struct Hint {
  static constexpr unsigned kPageBits = 40;
  static constexpr std::uint64_t kPageMask = (std::uint64_t{1} << kPageBits) - 1;
  static constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << (64 - kPageBits)) - 1;

  /// Hints are numbered from 1.
  static std::uint64_t Encode(PageIndex page, std::uint64_t number) {
    return (page & kPageMask) | (number & kNumberMask) << kPageBits;
  }
  static PageIndex Page(std::uint64_t entry) { return entry & kPageMask; }
  static std::uint64_t Number(std::uint64_t entry) { return entry >> kPageBits; }
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_CLAIM_H_
