#ifndef FARFAULT_BENCH_RDMA_BARE_READER_H_
#define FARFAULT_BENCH_RDMA_BARE_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "lib/transport/transport.h"
#include "lib/util/mapping.h"

namespace farfault::bench {

/// Pages by one READ each over the device, polled for without end: what a fault handler on this wire cannot do without.
/// No session, no tables. Both ends of the connection are in this process; the far one takes no part once it is made.
class BareReader {
 public:
  /// Reads come from memory of the reader's own, as large as `region`, into the file of `region`, which is shared
  /// memory.
  static absl::StatusOr<std::unique_ptr<BareReader>> Connect(const std::string& url, const Region& region);
  BareReader(const BareReader&) = delete;
  BareReader& operator=(const BareReader&) = delete;

  /// Reads the page at `offset`. After a failure nothing is read any more, and `failure()` says why.
  void Read(std::uint64_t offset);
  absl::Status failure() const { return failure_; }

 private:
  /// Destroyed in the reverse order: channels, then what they reach, then the device.
  struct End {
    std::unique_ptr<Transport> transport;
    Mapping memory;
    std::unique_ptr<RegisteredMemory> registered;
    std::unique_ptr<Channel> channel;
  };

  BareReader() = default;
  static absl::Status Open(End& end, const std::string& url, const Region& region, bool own_memory);
  absl::Status Meet(const std::string& url);

  End far_;
  End near_;
  absl::Status failure_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_RDMA_BARE_READER_H_
