#ifndef FARFAULT_LIB_CLI_PAGER_HANDSHAKE_H_
#define FARFAULT_LIB_CLI_PAGER_HANDSHAKE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

// What a hypervisor says when it hands its guest over: Firecracker's words and the keys that farfault adds, see
// README.md.
namespace farfault {

/// One mapping of guest memory in the hypervisor.
struct HandshakeRegion {
  std::uint64_t address = 0;      ///< base_host_virt_addr
  std::uint64_t size = 0;         ///< Bytes.
  std::uint64_t offset = 0;       ///< In the memory image, bytes.
  std::uint64_t page_size = 0;    ///< Bytes.
  std::uint64_t file_offset = 0;  ///< In the shared file, bytes.
};

struct Handshake {
  std::vector<HandshakeRegion> regions;  ///< By offset; without gaps from 0 on.
  bool shared_file = false;
  bool registered = true;
  bool running = true;
  bool taken_over = false;
  std::uint64_t features = 0;
  pid_t pid = 0;     ///< 0: whoever has sent it.
  std::string name;  ///< Of the region at a source that connects to us.
  std::string text;  ///< As it was received.
  UniqueFd userfaultfd;
  UniqueFd file;  ///< With shared_file.

  std::uint64_t total_bytes() const { return regions.back().offset + regions.back().size; }
  std::uint64_t page_size() const { return regions.front().page_size; }
};

/// The longest message and the most mappings that are accepted; Firecracker sends a handful.
inline constexpr std::size_t kMaxHandshakeBytes = 1u << 20;
inline constexpr std::size_t kMaxHandshakeRegions = 4096;

/// Null: the text is a beginning that may yet become a message. kInvalidArgument: it is none, and why. The descriptors
/// are not filled in.
absl::StatusOr<std::optional<Handshake>> ParseHandshake(std::string_view text);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_HANDSHAKE_H_
