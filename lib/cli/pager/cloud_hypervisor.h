#ifndef FARFAULT_LIB_CLI_PAGER_CLOUD_HYPERVISOR_H_
#define FARFAULT_LIB_CLI_PAGER_CLOUD_HYPERVISOR_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/cli/pager/paged_guest.h"
#include "lib/cli/pager/pager.h"

// Cloud Hypervisor's local live migration (vm-migration/src/protocol.rs) with farfault as the sender: it gives a file
// for the memory, and the receiver asks for pages on a connection of its own.
namespace farfault {

namespace cloud_hypervisor {

enum class Command : std::uint16_t {
  kStart = 1,
  kConfig = 2,
  kState = 3,
  kComplete = 5,
  kAbandon = 6,
  kMemoryFd = 7,
  kCompletePaused = 8,
  kPageFault = 9,
};

enum class Status : std::uint16_t { kOk = 1, kError = 2 };

/// What a connection that is not the first begins with.
inline constexpr std::uint16_t kFaultRole = 2;

struct Request {
  Command command = Command::kStart;
  std::uint16_t version = 0;  ///< Of kStart.
  std::uint32_t padding = 0;
  std::uint64_t length = 0;  ///< Of what follows.
};
static_assert(sizeof(Request) == 16 && offsetof(Request, length) == 8);

struct Response {
  Status status = Status::kOk;
  std::uint16_t padding[3] = {};
  std::uint64_t length = 0;
};
static_assert(sizeof(Response) == 16 && offsetof(Response, length) == 8);

struct MemoryRange {
  std::uint64_t gpa = 0;
  std::uint64_t length = 0;
};
static_assert(sizeof(MemoryRange) == 16);

/// A part of guest memory: `size` bytes of the memory file from `file_offset` on, at guest address `gpa`.
struct Slot {
  std::uint32_t slot = 0;
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  std::uint64_t file_offset = 0;
};

struct Migration {
  std::string config;  ///< With post-copy asked for.
  std::string state;
  std::string warning;      ///< What must not be done with the guest meanwhile; may be empty.
  std::vector<Slot> slots;  ///< By file offset, without gaps: one memory file.

  std::uint64_t total_bytes() const { return slots.back().file_offset + slots.back().size; }
};

/// kInvalidArgument says what is missing. kUnimplemented: memory in several files, or what `CheckVmConfig` refuses.
absl::StatusOr<Migration> ParseMigration(std::string_view config, std::string_view state);

}  // namespace cloud_hypervisor

/// Pages the guest of the Cloud Hypervisor that waits at `options.cloud_hypervisor`, until it hangs up.
absl::Status RunCloudHypervisor(const PagerOptions& options, ProgressBar& bar, const StopSignal& stop);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_CLOUD_HYPERVISOR_H_
