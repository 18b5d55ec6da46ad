#include "lib/fault/uffd_feed.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace farfault {

UffdFaultFeed::UffdFaultFeed(int fd, const GuestMemory& memory) : fd_(fd) {
  for (std::size_t i = 0; i < memory.regions().size(); ++i) {
    const Region& region = memory.regions()[i];
    PageIndex first = memory.pages_of(i).first;
    for (const GuestMapping& mapping : memory.mappings_of(i)) {
      ranges_.push_back({.begin = mapping.address,
                         .end = mapping.address + mapping.length,
                         .first_page = first,
                         .page_shift = static_cast<unsigned>(std::countr_zero(region.page_size))});
      first += mapping.length / region.page_size;
    }
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.begin < b.begin; });
}

// The last range that does not begin behind `address`; null when there is none.
const UffdFaultFeed::AddressRange* UffdFaultFeed::Find(std::uint64_t address) const {
  const auto behind =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](std::uint64_t wanted, const AddressRange& range) { return wanted < range.begin; });
  return behind == ranges_.begin() ? nullptr : &*std::prev(behind);
}

FeedStatus UffdFaultFeed::Read(std::size_t most) {
  next_message_ = 0;
  messages_read_ = 0;
  for (;;) {
    const ssize_t bytes = read(fd_, messages_.data(), std::min(most, kBatch) * sizeof(uffd_msg));
    if (bytes >= 0) {
      messages_read_ = static_cast<std::size_t>(bytes) / sizeof(uffd_msg);
      return FeedStatus::kOk;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return FeedStatus::kOk;
    status_ = absl::ErrnoToStatus(errno, "reading faults from the userfaultfd");
    return FeedStatus::kFailed;
  }
}

FeedResult UffdFaultFeed::Drain(std::span<FeedEvent> out) {
  FeedResult result;
  if (!status_.ok()) return {FeedStatus::kFailed, 0};
  while (result.events < out.size()) {
    if (!has_pending()) {
      if (result.events > 0) break;
      result.status = Read(out.size());
      if (result.status != FeedStatus::kOk || messages_read_ == 0) break;
    }
    if (!Translate(out, result.events)) {
      // What came before it is handed out first.
      if (result.events == 0) result.status = FeedStatus::kFailed;
      break;
    }
  }
  return result;
}

// Takes the next message, or as much of it as fits. False: status_ says what is wrong.
bool UffdFaultFeed::Translate(std::span<FeedEvent> out, std::size_t& events) {
  uffd_msg& message = messages_[next_message_];
  if (message.event == UFFD_EVENT_PAGEFAULT) {
    const std::uint64_t address = message.arg.pagefault.address;
    const AddressRange* const range = Find(address);
    if (range == nullptr || address >= range->end) {
      status_ = absl::InternalError(fmt::format(
          "a fault at {:#x}, which is registered with this userfaultfd but in no region of the session", address));
      return false;
    }
    out[events++] = {.kind = FeedEventKind::kFault,
                     .write = (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0,
                     .run = {range->first_page + ((address - range->begin) >> range->page_shift), 1}};
    ++next_message_;
    return true;
  }
  if (message.event == UFFD_EVENT_REMOVE || message.event == UFFD_EVENT_UNMAP) {
    if (AddDiscards(message, out, events)) ++next_message_;
    return true;
  }
  status_ =
      absl::InternalError(fmt::format("the userfaultfd reports event {:#x}, which nobody asked for", message.event));
  return false;
}

// One run per region that the range meets; what does not fit stays in the message. True when nothing is left.
bool UffdFaultFeed::AddDiscards(uffd_msg& message, std::span<FeedEvent> out, std::size_t& events) const {
  const std::uint64_t removed_end = message.arg.remove.end;
  for (const AddressRange& range : ranges_) {
    const std::uint64_t begin = std::max<std::uint64_t>(message.arg.remove.start, range.begin);
    const std::uint64_t end = std::min(removed_end, range.end);
    if (begin >= end) continue;
    if (events == out.size()) return false;
    // Only whole pages are gone.
    const std::uint64_t page_mask = (std::uint64_t{1} << range.page_shift) - 1;
    const std::uint64_t first_page = (begin - range.begin + page_mask) >> range.page_shift;
    const std::uint64_t end_page = (end - range.begin) >> range.page_shift;
    if (first_page < end_page) {
      out[events++] = {.kind = FeedEventKind::kDiscard, .run = {range.first_page + first_page, end_page - first_page}};
    }
    message.arg.remove.start = end;
  }
  return true;
}

}  // namespace farfault
