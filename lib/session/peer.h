#ifndef FARFAULT_LIB_SESSION_PEER_H_
#define FARFAULT_LIB_SESSION_PEER_H_

#include <cstdint>
#include <vector>

namespace farfault {

/// Memory of the other side that a one-sided request may name.
struct RemoteMemory {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
  std::uint32_t key = 0;
};

/// What the destination knows of the source.
struct SourcePeer {
  std::vector<RemoteMemory> regions;  ///< One per region, in order.
  RemoteMemory tables;                ///< See SourceTableLayout.
};

/// What the source knows of the destination.
struct DestinationPeer {
  struct RegionFrames {
    bool direct = true;
    RemoteMemory frames;  ///< Direct regions only.
  };
  std::vector<RegionFrames> regions;
  std::vector<RemoteMemory> staging;  ///< One ring per push channel when any region is staged.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_PEER_H_
