#ifndef FARFAULT_LIB_TRANSPORT_TCP_MEMORY_TABLE_H_
#define FARFAULT_LIB_TRANSPORT_TCP_MEMORY_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/transport/transport.h"
#include "lib/util/mutex.h"

namespace farfault {

/// The registered memory of one transport, by key. Thread-safe; looking up neither locks nor allocates.
///
/// Whoever touches registered memory holds a Pin, and only for the length of one copy or one non-blocking system call.
/// Revoke takes the key away first and then waits until no pin is left, so it never waits for a peer.
class MemoryTable {
 private:
  struct alignas(64) Entry {
    std::atomic<std::uint32_t> key = 0;  // 0: free.
    std::atomic<std::uint32_t> pins = 0;
    // Written only while the key is 0, read only under a pin that was taken before the key was found to be right.
    std::byte* begin = nullptr;
    std::uint64_t length = 0;
    RemoteAccess access = RemoteAccess::kNone;
  };

 public:
  /// Room for as many registrations per transport.
  static constexpr std::size_t kMaxRegistrations = 4096;

  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~Pin() {
      if (entry_ != nullptr) entry_->pins.fetch_sub(1, std::memory_order_release);
    }

    /// Whether a Find with these arguments would give this pin once more. `key` is the one it was taken with.
    bool Covers(std::uint64_t address, std::uint64_t length, RemoteAccess needed) const {
      return entry_ != nullptr && !Check(*entry_, address, length, needed);
    }

   private:
    friend class MemoryTable;
    explicit Pin(Entry* entry) : entry_(entry) {}
    Entry* entry_ = nullptr;
  };

  struct Lookup {
    Pin pin;                         ///< Held when there is no refusal.
    std::optional<Refusal> refusal;  ///< kBadKey, kOutOfBounds or kNoAccess.
  };

  MemoryTable() : entries_(kEntries) {}
  MemoryTable(const MemoryTable&) = delete;
  MemoryTable& operator=(const MemoryTable&) = delete;

  /// The key, which is hard to guess. kResourceExhausted when there are kMaxRegistrations already.
  absl::StatusOr<std::uint32_t> Add(std::span<std::byte> memory, RemoteAccess access);
  void Revoke(std::uint32_t key);

  /// Pins the memory of `key` if `length` bytes at `address` lie inside it and `needed` is allowed (kNone: local use).
  Lookup Find(std::uint32_t key, std::uint64_t address, std::uint64_t length, RemoteAccess needed);

 private:
  static std::optional<Refusal> Check(const Entry& entry, std::uint64_t address, std::uint64_t length,
                                      RemoteAccess needed);

  // A key is drawn until its entry is free, so that the key alone finds it; twice the registrations keep draws few.
  static constexpr std::size_t kEntries = 2 * kMaxRegistrations;

  Entry& EntryOf(std::uint32_t key) { return entries_[key % kEntries]; }
  // An entry with a pin may belong to a Revoke that has not returned.
  static bool IsFree(const Entry& entry) {
    return entry.key.load(std::memory_order_relaxed) == 0 && entry.pins.load(std::memory_order_acquire) == 0;
  }

  std::vector<Entry> entries_;
  Mutex mutex_;
  std::size_t registrations_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// What was wrong, for a message: "the key is unknown or revoked".
std::string_view RefusalText(Refusal refusal);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_MEMORY_TABLE_H_
