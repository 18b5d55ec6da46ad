#ifndef FARFAULT_LIB_TRANSPORT_VERBS_REQUEST_LEDGER_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_REQUEST_LEDGER_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/transport/transport.h"

namespace farfault {

/// What became of a request, as far as the device has said.
enum class Fate : std::uint8_t { kDone, kFailed, kFlushed };

/// What was posted to one queue of a device, in order, until its owner has been told. The device speaks only of some of
/// the requests: one that is done vouches for those before it. Requests are numbered from 0. Owner only; allocates
/// only when it is made.
///
///   0 <= reaped <= settled <= posted, and posted - reaped is what the slots bound.
class RequestLedger {
 public:
  explicit RequestLedger(std::uint32_t slots)
      : entries_(std::bit_ceil(std::size_t{slots})), mask_(entries_.size() - 1), slots_(slots) {}

  std::uint32_t slots() const { return slots_; }
  bool HasRoom(std::size_t count) const { return posted_ - reaped_ + count <= slots_; }
  /// The number of the next request.
  std::uint64_t next() const { return posted_; }
  /// Requests of which the device still has to speak.
  std::uint64_t unsettled() const { return posted_ - settled_; }
  /// There is something for Reap.
  bool has_news() const { return reaped_ != settled_; }

  /// Notes the next request. True: the device must be asked to speak of it. That is more often than the caller asked:
  /// without a signalled request for long, slots would run out and nothing would ever free them.
  bool Add(std::uint64_t id, Opcode opcode, bool signaled) {
    entries_[posted_++ & mask_] = {id, 0, opcode, Fate::kDone, signaled};
    const bool speak = signaled || ++quiet_ > slots_ / 4;
    if (speak) quiet_ = 0;
    return speak;
  }

  /// The last `count` requests did not reach the device after all.
  void TakeBack(std::size_t count) { posted_ -= count; }
  /// The owner is not to hear of the requests from `number` on.
  void Silence(std::uint64_t number) {
    for (; number < posted_; ++number) entries_[number & mask_].signaled = false;
  }

  Opcode opcode(std::uint64_t number) const { return entries_[number & mask_].opcode; }

  /// The device has spoken. Numbers that make no sense, which no device should come up with, are ignored.
  void Settle(std::uint64_t number, Fate fate, std::uint32_t length = 0) {
    if (number < settled_ || number >= posted_) return;
    // Whatever a failed request comes behind and the device has not confirmed is lost.
    for (; settled_ < number; ++settled_) entries_[settled_ & mask_].fate = fate == Fate::kDone ? fate : Fate::kFlushed;
    Entry& entry = entries_[settled_++ & mask_];
    // Only one request can be the one that broke the queue.
    entry.fate = fate == Fate::kFailed && failed_ ? Fate::kFlushed : fate;
    entry.length = length;
    failed_ = failed_ || fate != Fate::kDone;
    SkipQuiet();
  }

  /// The device will not speak any more.
  void FlushAll() {
    for (; settled_ < posted_; ++settled_) entries_[settled_ & mask_].fate = Fate::kFlushed;
    failed_ = true;
    SkipQuiet();
  }

  /// Tells the owner, in order.
  std::size_t Reap(std::span<Completion> out) {
    std::size_t count = 0;
    for (; reaped_ < settled_ && count < out.size(); ++reaped_) {
      const Entry& entry = entries_[reaped_ & mask_];
      if (!entry.signaled) continue;
      out[count++] = {.id = entry.id, .opcode = entry.opcode, .status = StatusOf(entry.fate), .length = entry.length};
    }
    SkipQuiet();
    return count;
  }

 private:
  struct Entry {
    std::uint64_t id = 0;
    std::uint32_t length = 0;
    Opcode opcode = Opcode::kSend;
    Fate fate = Fate::kDone;
    bool signaled = false;
  };

  static CompletionStatus StatusOf(Fate fate) {
    if (fate == Fate::kDone) return CompletionStatus::kOk;
    return fate == Fate::kFailed ? CompletionStatus::kError : CompletionStatus::kFlushed;
  }

  // Slots of requests that the owner does not want to hear of are free at once.
  void SkipQuiet() {
    while (reaped_ < settled_ && !entries_[reaped_ & mask_].signaled) ++reaped_;
  }

  std::vector<Entry> entries_;
  const std::uint64_t mask_;
  const std::uint32_t slots_;
  std::uint64_t posted_ = 0;
  std::uint64_t settled_ = 0;
  std::uint64_t reaped_ = 0;
  std::uint32_t quiet_ = 0;
  bool failed_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_REQUEST_LEDGER_H_
