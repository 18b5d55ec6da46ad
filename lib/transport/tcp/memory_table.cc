#include "lib/transport/tcp/memory_table.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <thread>

namespace farfault {

absl::StatusOr<std::uint32_t> MemoryTable::Add(std::span<std::byte> memory, RemoteAccess access) {
  const MutexLock lock(&mutex_);
  if (registrations_ == kMaxRegistrations) {
    return absl::ResourceExhaustedError(
        fmt::format("{} ranges of memory are registered already, which is the most; register fewer and larger ranges",
                    kMaxRegistrations));
  }
  std::uint32_t key = 0;
  while (key == 0 || !IsFree(EntryOf(key))) {
    if (getrandom(&key, sizeof(key), 0) != sizeof(key)) {
      return absl::InternalError("the kernel gives no random bytes (getrandom), which keys are made of");
    }
  }
  Entry& entry = EntryOf(key);
  entry.begin = memory.data();
  entry.length = memory.size();
  entry.access = access;
  entry.key.store(key, std::memory_order_seq_cst);
  ++registrations_;
  return key;
}

void MemoryTable::Revoke(std::uint32_t key) {
  Entry& entry = EntryOf(key);
  // Dekker with Find: either it sees that the key is gone, or its pin is seen here.
  entry.key.store(0, std::memory_order_seq_cst);
  while (entry.pins.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
  const MutexLock lock(&mutex_);
  --registrations_;
}

MemoryTable::Lookup MemoryTable::Find(std::uint32_t key, std::uint64_t address, std::uint64_t length,
                                      RemoteAccess needed) {
  Entry& entry = EntryOf(key);
  entry.pins.fetch_add(1, std::memory_order_seq_cst);
  Pin pin(&entry);
  if (key == 0 || entry.key.load(std::memory_order_seq_cst) != key) return {{}, Refusal::kBadKey};
  if (const auto refusal = Check(entry, address, length, needed)) return {{}, refusal};
  return {std::move(pin), std::nullopt};
}

std::optional<Refusal> MemoryTable::Check(const Entry& entry, std::uint64_t address, std::uint64_t length,
                                          RemoteAccess needed) {
  const auto needed_bits = static_cast<unsigned>(needed);
  if ((static_cast<unsigned>(entry.access) & needed_bits) != needed_bits) return Refusal::kNoAccess;
  const auto begin = reinterpret_cast<std::uint64_t>(entry.begin);
  // In this order nothing can overflow.
  const bool inside = length <= entry.length && address >= begin && address - begin <= entry.length - length;
  if (!inside) return Refusal::kOutOfBounds;
  return std::nullopt;
}

std::string_view RefusalText(Refusal refusal) {
  switch (refusal) {
    case Refusal::kBadKey:
      return "the key is unknown or revoked";
    case Refusal::kOutOfBounds:
      return "it reaches outside the registered memory";
    case Refusal::kNoAccess:
      return "the memory was not registered for this kind of access";
    case Refusal::kTooLong:
      return "the message is longer than the buffer that waits for it";
    case Refusal::kMalformed:
      return "it breaks the wire format";
  }
  return "for a reason that this version does not know";
}

}  // namespace farfault
