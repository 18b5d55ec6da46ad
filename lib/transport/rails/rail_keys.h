#ifndef FARFAULT_LIB_TRANSPORT_RAILS_RAIL_KEYS_H_
#define FARFAULT_LIB_TRANSPORT_RAILS_RAIL_KEYS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/util/mutex.h"

namespace farfault {

/// What keys stand for on each rail. One writer at a time, any number of readers; looking up neither locks nor
/// allocates.
class RailKeyTable {
 public:
  static constexpr std::size_t kEntries = 16384;

  RailKeyTable() : entries_(kEntries) {}

  /// No other key has this one's entry.
  bool IsFree(std::uint32_t key) const { return EntryOf(key).key.load(std::memory_order_relaxed) == 0; }
  /// Takes the place of what has been in the entry.
  void Set(const RailKeys& keys);
  void Clear(std::uint32_t key) { EntryOf(key).key.store(0, std::memory_order_release); }

  /// 0, which no transport knows, when `key` is unknown.
  std::uint32_t On(std::size_t rail, std::uint32_t key) const {
    const Entry& entry = EntryOf(key);
    if (key == 0 || entry.key.load(std::memory_order_acquire) != key) return 0;
    return entry.on_rail[rail].load(std::memory_order_relaxed);
  }

 private:
  struct Entry {
    std::atomic<std::uint32_t> key = 0;  // 0: free.
    std::array<std::atomic<std::uint32_t>, kMaxRails> on_rail{};
  };

  const Entry& EntryOf(std::uint32_t key) const { return entries_[key % kEntries]; }
  Entry& EntryOf(std::uint32_t key) { return entries_[key % kEntries]; }

  std::vector<Entry> entries_;
};

/// All keys of one transport with rails: its own memory's and its peer's. Thread-safe.
class RailKeyBook final : public KeyExchange {
 public:
  /// Half of the entries: a key is drawn until its entry is free, and few draws shall do.
  static constexpr std::size_t kMostRegistrations = RailKeyTable::kEntries / 2;

  /// The keys of one range of memory on each rail.
  struct Registration {
    std::array<std::uint32_t, kMaxRails> local{};
    std::array<std::uint32_t, kMaxRails> remote{};
    bool open = false;  ///< To the peer.
  };

  /// The key that stands for them, here and at the peer. kResourceExhausted when there are kMostRegistrations.
  absl::StatusOr<std::uint32_t> Add(const Registration& registration) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(std::uint32_t key) ABSL_LOCKS_EXCLUDED(mutex_);

  std::uint32_t LocalKey(std::size_t rail, std::uint32_t key) const { return own_.On(rail, key); }
  std::uint32_t PeersKey(std::size_t rail, std::uint32_t key) const { return peers_.On(rail, key); }

  std::vector<RailKeys> Registered(std::uint64_t& since) const override ABSL_LOCKS_EXCLUDED(mutex_);
  void Learn(std::span<const RailKeys> keys) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Written under the mutex, read without.
  RailKeyTable own_;
  RailKeyTable peers_;

  mutable Mutex mutex_;
  std::size_t registrations_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t opened_ ABSL_GUARDED_BY(mutex_) = 0;
  // What is open to the peer, by when it was opened, and when that was for a key.
  std::map<std::uint64_t, RailKeys> open_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::uint32_t, std::uint64_t> opened_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_RAILS_RAIL_KEYS_H_
