#ifndef FARFAULT_LIB_SESSION_PEER_H_
#define FARFAULT_LIB_SESSION_PEER_H_

#include <cstdint>
#include <vector>

#include "lib/page/extent_table.h"

namespace farfault {

/// Memory of the other side that a one-sided request may name.
struct RemoteMemory {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
  std::uint32_t key = 0;
};

/// What the destination knows of the source.
struct SourcePeer {
  ExtentTable memory;   ///< Pages that may be READ. At the switchover all others are holes.
  RemoteMemory tables;  ///< See SourceTableLayout.
};

/// What the source knows of the destination.
struct DestinationPeer {
  ExtentTable frames;                 ///< Pages that are WRITTEN in place; all others are staged.
  std::vector<RemoteMemory> staging;  ///< One ring per push channel when any page is staged.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_PEER_H_
