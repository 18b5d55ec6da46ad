#ifndef FARFAULT_LIB_RUNTIME_SOURCE_MEMORY_H_
#define FARFAULT_LIB_RUNTIME_SOURCE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/page/extent_table.h"
#include "lib/page/page_layout.h"
#include "lib/page/register_extents.h"
#include "lib/transport/transport.h"

namespace farfault {

/// The source's guest memory as its transport knows it: open for reading, and nothing else. Where registering pins
/// memory, holes are left out; what gets data in them later is found by FindLate and registered by RegisterLate and
/// Adopt.
class SourceMemory {
 public:
  /// What RegisterLate has registered.
  struct Late {
    std::vector<PageRun> pages;
    RegisteredExtents registered;
  };

  /// Both outlive this object.
  SourceMemory(const GuestMemory& memory, const PageLayout& layout)
      : memory_(memory), layout_(layout), local_(layout) {}

  /// Registers what is populated, in parallel. The guest runs. `progress` as for RegisterExtents. kResourceExhausted
  /// says how much may be locked and how much there is; then nothing stays registered.
  absl::Status Register(Transport& transport,
                        const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

  /// Extents for pages that have got data since. Neither this nor RegisterLate changes anything that others read. When
  /// the guest is stopped, whatever has no key after Adopt is a hole; while it runs, some may be overlooked.
  absl::StatusOr<std::vector<PageRun>> FindLate(bool guest_runs) const;
  absl::StatusOr<Late> RegisterLate(Transport& transport, std::vector<PageRun> pages) const;
  /// Gives back the extents with the peer's keys.
  std::vector<Extent> Adopt(Late late);

  /// Pages with this side's keys.
  const ExtentTable& local() const { return local_; }
  /// All that has been registered, with the peer's keys.
  std::vector<Extent> remote() const;
  bool complete() const { return local_.complete(); }

  /// Nobody may read the memory any more; its owner may free it.
  void Revoke() { registered_.clear(); }

 private:
  absl::StatusOr<Late> RegisterRuns(Transport& transport, std::vector<PageRun> runs,
                                    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) const;

  const GuestMemory& memory_;
  const PageLayout& layout_;
  ExtentTable local_;
  RegisteredExtents registered_;  // In the order of local_.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_SOURCE_MEMORY_H_
