#include "lib/page/register_extents.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "lib/util/parallel.h"
#include "lib/util/status_text.h"

namespace farfault {

absl::StatusOr<RegisteredExtents> RegisterExtents(
    Transport& transport, std::span<const std::span<std::byte>> ranges, RemoteAccess access, std::size_t threads,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  std::uint64_t total = 0;
  for (const std::span<std::byte>& range : ranges) total += range.size();
  std::atomic<std::uint64_t> done{0};
  RegisteredExtents registered(ranges.size());
  const auto register_one = [&](std::size_t index) -> absl::Status {
    auto memory = transport.Register(ranges[index], access);
    if (!memory.ok()) return memory.status();
    registered[index] = *std::move(memory);
    done.fetch_add(ranges[index].size(), std::memory_order_relaxed);
    return absl::OkStatus();
  };
  absl::Status status;
  if (transport.pins_memory()) {
    std::function<void()> tick;
    if (progress) tick = [&] { progress(done.load(std::memory_order_relaxed), total); };
    status = RunInParallel(ranges.size(), ThreadCount(threads), register_one, tick);
  } else {
    for (std::size_t i = 0; i < ranges.size() && status.ok(); ++i) status = register_one(i);
    if (progress && status.ok()) progress(total, total);
  }
  if (status.ok()) return registered;
  return absl::Status(status.code(), fmt::format("{} ({} bytes, that is {} MiB, are to be registered here in all; {} had "
                                                 "been, and are released)",
                                                 StatusText(status), total, total >> 20, done.load()));
}

}  // namespace farfault
