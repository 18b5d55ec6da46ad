#ifndef FARFAULT_LIB_FAULT_MAPPER_H_
#define FARFAULT_LIB_FAULT_MAPPER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "farfault/page.h"
#include "lib/page/page_layout.h"
#include "lib/page/page_table.h"
#include "lib/page/placement.h"

namespace farfault {

/// Makes landed pages visible to the guest: at once where a thread waits, in slices in the background otherwise, and in
/// huge chunks where all of a chunk has landed. One thread; nothing allocates after construction.
class Mapper {
 public:
  Mapper(const PageLayout& layout, PageTable& table, PagePlacement& placement, std::size_t map_around_pages);

  /// The bytes of this page have landed (or it is known to be zeros and mapped): counts towards its chunk.
  void OnArrived(PageIndex page);
  /// The bytes have become out of date.
  void OnForgotten(PageIndex page);

  /// Maps a landed page and its landed neighbours, and wakes whoever waits there. kRetry: nothing is lost, call again.
  MapStatus MapAround(PageIndex page);

  /// One slice of background work: a finished chunk, or, with `sweep`, some landed pages wherever they are. True when
  /// it did something.
  bool MapSome(bool sweep);

  /// kOk, or why mapping can't go on.
  MapStatus status() const { return status_; }
  std::uint64_t chunks_collapsed() const { return chunks_collapsed_; }
  std::uint64_t collapses_declined() const { return collapses_declined_; }
  std::size_t size_bytes() const {
    return arrived_.size() * sizeof(std::uint16_t) + finished_.size() * sizeof(std::uint32_t);
  }

 private:
  struct RegionChunks {
    std::uint32_t pages = 0;  // Per chunk; 0: none.
    std::uint64_t first = 0;  // Index of the region's first chunk.
  };

  std::uint64_t ChunkOf(std::size_t region, PageIndex page) const {
    return chunks_[region].first + (page - layout_.regions()[region].pages.first) / chunks_[region].pages;
  }
  PageRun PagesOfChunk(std::uint64_t chunk) const;
  bool Collapse(PageRun chunk);
  std::uint64_t MostPages(PageIndex first) const;
  MapStatus MapRun(PageRun run);
  bool SetMapped(PageRun run);

  const PageLayout& layout_;
  PageTable& table_;
  PagePlacement& placement_;
  std::size_t map_around_pages_;
  std::vector<RegionChunks> chunks_;
  std::vector<std::uint16_t> arrived_;   // Per chunk: pages that have arrived, and whether it is in the ring.
  std::vector<std::uint32_t> finished_;  // Ring of chunks that are whole and not collapsed yet; each fits once.
  std::size_t finished_head_ = 0;
  std::size_t finished_count_ = 0;
  PageIndex sweep_ = 0;
  MapStatus status_ = MapStatus::kOk;
  std::uint64_t chunks_collapsed_ = 0;
  std::uint64_t collapses_declined_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_FAULT_MAPPER_H_
