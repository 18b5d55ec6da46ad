#include "lib/page/register_extents.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "lib/util/parallel.h"
#include "lib/util/status_text.h"

namespace farfault {

absl::StatusOr<RegisteredExtents> RegisterExtents(
    Transport& transport, std::span<const ExtentMemory> extents, RemoteAccess access, std::size_t threads,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  std::uint64_t total = 0;
  for (const ExtentMemory& extent : extents) total += extent.bytes.size();
  std::atomic<std::uint64_t> done{0};
  RegisteredExtents registered(extents.size());
  const auto register_one = [&](std::size_t index) -> absl::Status {
    const ExtentMemory& extent = extents[index];
    auto memory = transport.Register(extent.bytes, access);
    if (!memory.ok()) {
      return absl::Status(memory.status().code(),
                          fmt::format("region '{}': {}", extent.region, StatusText(memory.status())));
    }
    registered[index] = *std::move(memory);
    done.fetch_add(extent.bytes.size(), std::memory_order_relaxed);
    return absl::OkStatus();
  };
  absl::Status status;
  if (transport.pins_memory()) {
    std::function<void()> tick;
    if (progress) tick = [&] { progress(done.load(std::memory_order_relaxed), total); };
    status = RunInParallel(extents.size(), ThreadCount(threads), register_one, tick);
  } else {
    for (std::size_t i = 0; i < extents.size() && status.ok(); ++i) status = register_one(i);
    if (progress && status.ok()) progress(total, total);
  }
  if (status.ok()) return registered;
  return absl::Status(status.code(),
                      fmt::format("{} ({} bytes, that is {} MiB, are to be registered here in all; {} had "
                                  "been, and are released)",
                                  StatusText(status), total, total >> 20, done.load()));
}

}  // namespace farfault
