#ifndef FARFAULT_TEST_SUPPORT_SESSION_PAIR_H_
#define FARFAULT_TEST_SUPPORT_SESSION_PAIR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "farfault/farfault.h"
#include "test/support/rdma.h"

namespace farfault {

/// The guest memory of one end: owned regions, and what a session takes.
class GuestImage {
 public:
  struct Spec {
    std::string name = "ram";
    std::uint64_t length = 0;
    std::uint64_t page_size = kSmallPage;
    bool shared = true;
  };

  /// Requires that the memory is there.
  explicit GuestImage(const std::vector<Spec>& specs);

  const GuestMemory& memory() const { return memory_; }
  std::span<std::byte> bytes(std::size_t region = 0) { return regions_[region].bytes(); }
  std::size_t regions() const { return regions_.size(); }

  /// Pseudo-random bytes that tell page and region apart.
  void Fill(std::uint64_t seed);
  /// The first page in which the two differ, as a text; empty when they are equal.
  std::string FirstDifference(GuestImage& other);

 private:
  std::vector<OwnedRegion> regions_;
  GuestMemory memory_;
};

/// One that is never destroyed: threads that wait for missing pages do not come back from them.
GuestImage& ImmortalImage(const std::vector<GuestImage::Spec>& specs);

/// A source and a destination of this process that have met over a transport.
struct SessionPair {
  std::unique_ptr<SourceSession> source;
  std::unique_ptr<DestinationSession> destination;

  /// Switches over on one thread and activates on another; requires that both succeed.
  void SwitchOver() const;
};

/// What came of making both ends.
struct PairOutcome {
  SessionPair pair;
  absl::Status source;
  absl::Status destination;
};

/// Makes both sessions at the same time, the destination listening on `listen`, and prepares the destination.
PairOutcome TryMakePair(GuestMemory source, SourceOptions source_options, GuestMemory destination,
                        DestinationOptions destination_options, const std::string& listen = SessionListenAddress());
PairOutcome TryMakePair(GuestImage& source, SourceOptions source_options, GuestImage& destination,
                        DestinationOptions destination_options, const std::string& listen = SessionListenAddress());
/// The same, and requires success.
SessionPair MakePair(GuestMemory source, SourceOptions source_options, GuestMemory destination,
                     DestinationOptions destination_options, const std::string& listen = SessionListenAddress());
SessionPair MakePair(GuestImage& source, SourceOptions source_options, GuestImage& destination,
                     DestinationOptions destination_options, const std::string& listen = SessionListenAddress());

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_SESSION_PAIR_H_
