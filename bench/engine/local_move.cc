#include "bench/engine/local_move.h"

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "bench/engine/image.h"

namespace farfault::bench {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

absl::StatusOr<std::unique_ptr<SourceSession>> HandOver(const OwnedRegion& memory, const std::string& address) {
  absl::StatusOr<GuestMemory> guest = GuestMemory::Create({memory.region()});
  if (!guest.ok()) return guest.status();
  SourceOptions options;
  options.connect = address;
  options.push.enabled = false;
  options.track_dirty = false;
  options.track_history = false;
  auto session = SourceSession::Create(*std::move(guest), std::move(options));
  if (!session.ok()) return session;
  if (absl::Status status = (*session)->SwitchOver(); !status.ok()) return status;
  return session;
}

absl::StatusOr<std::unique_ptr<DestinationSession>> TakeOver(const OwnedRegion& memory, const std::string& address,
                                                             absl::Duration spin) {
  absl::StatusOr<GuestMemory> guest = GuestMemory::Create({memory.region()});
  if (!guest.ok()) return guest.status();
  DestinationOptions options;
  options.listen = address;
  options.spin = spin;
  auto session = DestinationSession::Create(*std::move(guest), std::move(options));
  if (!session.ok()) return session;
  if (absl::Status status = (*session)->Prepare(); !status.ok()) return status;
  if (absl::Status status = (*session)->Activate(kPatience); !status.ok()) return status;
  return session;
}

// The fabric takes no time only if it reads pages that have been read: a hypervisor that shadows page tables takes 5 to
// 7 µs at the first access and drops its tables as it likes, here while sessions begin. A device has tables of its own.
void ReadEveryPage(std::span<const std::byte> memory) {
  for (std::size_t at = 0; at < memory.size(); at += kSmallPage) {
    static_cast<void>(*static_cast<const volatile std::byte*>(memory.data() + at));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalMove>> LocalMove::Start(std::uint64_t pages, absl::Duration spin) {
  static std::atomic<int> moves = 0;
  const std::string address = fmt::format("sim://farfault-bench-{}", ++moves);
  std::unique_ptr<LocalMove> move(new LocalMove);
  for (OwnedRegion* memory : {&move->source_memory_, &move->destination_memory_}) {
    auto created = OwnedRegion::CreateShared("guest", pages * kSmallPage);
    if (!created.ok()) return created.status();
    *memory = *std::move(created);
  }
  FillImage(move->source_memory_.bytes());
  absl::StatusOr<std::unique_ptr<SourceSession>> source;
  std::thread hand_over([&] { source = HandOver(move->source_memory_, address); });
  auto destination = TakeOver(move->destination_memory_, address, spin);
  hand_over.join();
  if (!destination.ok()) return destination.status();
  if (!source.ok()) return source.status();
  ReadEveryPage(move->source_memory_.bytes());
  move->source_ = *std::move(source);
  move->destination_ = *std::move(destination);
  return move;
}

}  // namespace farfault::bench
