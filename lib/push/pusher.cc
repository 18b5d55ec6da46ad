#include "lib/push/pusher.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>

#include "lib/util/mutant.h"

namespace farfault {

Pusher::Pusher(const PageLayout& layout, const DestinationPeer& destination, SourceTables tables, Resources resources,
               const PushOptions& options, Predictor& predictor)
    : layout_(layout),
      destination_(destination),
      tables_(tables),
      resources_(std::move(resources)),
      window_bytes_(options.window_bytes),
      // At least two batches fit the window, so that one is on its way while the next is put together.
      batch_bytes_(std::min(options.batch_bytes, options.window_bytes / 2)),
      settled_(layout.total_pages()),
      order_(layout, settled_, predictor),
      senders_(resources_.channels.size()) {
  assert(resources_.lists.size() >= ListBytes(senders_.size()));
  for (std::size_t i = 0; i < senders_.size(); ++i) {
    senders_[i].channel = resources_.channels[i];
    if (i < destination.staging.size()) senders_[i].staging = StagingCursor(destination.staging[i].length);
  }
}

std::byte* Pusher::ListMemory(std::size_t index, std::uint64_t number) const {
  return resources_.lists.data() + (index * kListsPerChannel + number % kListsPerChannel) * kRunListBytes;
}

absl::Status Pusher::failure() const {
  for (const Sender& sender : senders_) {
    if (absl::Status failure = sender.channel->failure(); !failure.ok()) return failure;
  }
  return absl::OkStatus();
}

bool Pusher::TakeCompletions(Sender& sender) {
  std::array<Completion, 16> completions;
  const std::size_t count = sender.channel->Poll(completions);
  for (const Completion& completion : std::span(completions).first(count)) {
    if (completion.status != CompletionStatus::kOk) {
      broken_ = true;
      continue;
    }
    const Sender::List& list = sender.lists[++sender.lists_completed % kListsPerChannel];
    sender.slots_in_use -= list.slots;
    bytes_in_flight_ -= list.bytes;
  }
  if (sender.channel->broken()) broken_ = true;
  return count > 0;
}

bool Pusher::Poll() {
  bool progress = false;
  for (Sender& sender : senders_) progress |= TakeCompletions(sender);
  waits_for_credit_ = false;
  if (broken_) return progress;
  if (pending_length_ > 0 && !PostPending()) return progress;
  for (std::size_t tried = 0; tried < senders_.size(); ++tried) {
    if (bytes_in_flight_ > 0 && bytes_in_flight_ + batch_bytes_ > window_bytes_) break;
    const std::size_t index = next_sender_;
    next_sender_ = (next_sender_ + 1) % senders_.size();
    progress |= PostBatch(index);
    if (broken_ || pending_length_ > 0) break;
  }
  return progress;
}

void Pusher::Offer(PageRun run) {
  while (run.count > 0) {
    const std::uint64_t stripe = run.first / kStripePages;
    const std::uint64_t count = std::min(run.count, (stripe + 1) * kStripePages - run.first);
    senders_[stripe % senders_.size()].offered.push_back({run.first, count});
    run = {run.first + count, run.count - count};
  }
}

void Pusher::DropOffers() {
  for (Sender& sender : senders_) sender.offered.clear();
}

bool Pusher::has_offers() const {
  return std::any_of(senders_.begin(), senders_.end(), [](const Sender& sender) { return !sender.offered.empty(); });
}

void Pusher::PushFirst(std::span<const PageRun> runs) {
  pushing_ = true;
  for (const PageRun& run : runs) Offer(run);
}

void Pusher::StartPush() {
  for (const PageRun& hole : resources_.memory.Missing()) settled_.SetRun(hole);
  DropOffers();
  pushing_ = everything_ = true;
}

// The next run that one WRITE can carry.
PageRun Pusher::NextRun(Sender& sender, std::uint64_t max_bytes) {
  PageRun run = everything_ ? order_.Next(max_bytes) : NextOffered(sender, max_bytes);
  return run.count == 0 ? run : ClipToExtents(run);
}

PageRun Pusher::NextOffered(Sender& sender, std::uint64_t max_bytes) {
  while (!sender.offered.empty()) {
    PageRun& offer = sender.offered.front();
    PageRun run = settled_.NextClear(offer.first, offer.end(), layout_.MostPages(max_bytes));
    if (run.count == 0) {
      sender.offered.pop_front();
      continue;
    }
    // A hole when it was last looked at: what may be in it by now comes with another offer. Or the guest has it, from
    // an earlier session that brought it, and has written to it since.
    if (!resources_.memory.Has(run.first) || tables_.wanted(run.first)) {
      offer = {run.first + 1, offer.end() - run.first - 1};
      continue;
    }
    run = layout_.ClipToRegion(run);
    run.count = std::min(run.count, std::max<std::uint64_t>(1, max_bytes / layout_.page_size(run.first)));
    std::uint64_t not_wanted = 1;
    while (not_wanted < run.count && !tables_.wanted(run.first + not_wanted)) ++not_wanted;
    return {run.first, not_wanted};
  }
  return {};
}

// A run that is longer than what the batch has room for is one large page: it goes alone, and one that is larger than
// the window only when nothing else is out.
bool Pusher::FitsBatch(PageRun run) const {
  const std::uint64_t bytes = run.count * layout_.page_size(run.first);
  if (runs_ > 0) return batch_filled_ + bytes <= batch_bytes_;
  return bytes_in_flight_ == 0 || bytes_in_flight_ + bytes <= window_bytes_;
}

bool Pusher::HasStagingRoom(const Sender& sender, std::size_t index, PageRun& run) const {
  if (destination_.frames.Has(run.first)) return true;
  const std::uint64_t page_size = layout_.page_size(run.first);
  const StagingCursor& staging = sender.staging;
  const std::uint64_t credit = tables_.credit(index);
  run.count = std::min(run.count, staging.ring_bytes() / page_size);
  if (run.count == 0) return false;
  if (staging.After(run.count * page_size) - credit <= staging.ring_bytes()) return true;
  // An empty ring takes anything that is placed in one piece: the gap before it holds nothing.
  if (credit != staging.position()) return false;
  run.count = 1;
  return true;
}

bool Pusher::PostBatch(std::size_t index) {
  if (exhausted_) return false;
  Sender& sender = senders_[index];
  const bool list_free = sender.lists_sent - sender.lists_completed < kListsPerChannel;
  if (!list_free || sender.slots_in_use + kMaxRunsPerList + 1 > sender.channel->limits().send_slots) return false;
  runs_ = 0;
  batch_filled_ = 0;
  while (runs_ < kMaxRunsPerList && batch_filled_ < batch_bytes_) {
    PageRun run = NextRun(sender, batch_bytes_ - batch_filled_);
    if (everything_) exhausted_ = run.count == 0;
    if (run.count == 0 || !FitsBatch(run)) break;
    // A fragmented run may need one list entry per page.
    if (pushing_) run.count = std::min<std::uint64_t>(run.count, 1024);
    if (!HasStagingRoom(sender, index, run)) {
      waits_for_credit_ = true;
      break;
    }
    if (pushing_) {
      ClaimAndAdd(sender, index, run);
    } else {
      AddRun(sender, index, run);
      // A page that becomes stale behind this point is for another offer.
      sender.offered.front() = {run.end(), sender.offered.front().end() - run.end()};
    }
  }
  if (runs_ == 0) return false;
  FinishBatch(sender, index);
  PostPending();
  return true;
}

void Pusher::ClaimAndAdd(Sender& sender, std::size_t index, PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) tables_.set_claim(page, Claim::kClaiming);
  // Dekker: the claims are visible before `want` is looked at. The destination writes `want` before it reads the claim.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (PageIndex page = run.first; page < run.end();) {
    if (tables_.wanted(page) && !MutantIs(Mutant::kSkipSecondLook)) {
      tables_.set_claim(page, Claim::kYielded);
      settled_.Set(page++);
      ++counters_.pages_yielded;
      continue;
    }
    if (runs_ == kMaxRunsPerList) {
      // No room in this list: free again. A destination that saw Claiming has written `want` by then and is found next
      // time.
      tables_.set_claim(page++, Claim::kFree);
      continue;
    }
    PageIndex end = page;
    do {
      tables_.set_claim(end++, Claim::kPosted);
    } while (end < run.end() && (!tables_.wanted(end) || MutantIs(Mutant::kSkipSecondLook)));
    AddRun(sender, index, {page, end - page});
    page = end;
  }
}

void Pusher::AddRun(Sender& sender, std::size_t index, PageRun run) {
  const std::uint64_t page_size = layout_.page_size(run.first);
  const std::uint64_t bytes = run.count * page_size;
  const Extent& local = resources_.memory.Of(run.first);
  const Extent& frames = destination_.frames.Of(run.first);
  const bool direct = frames.pages.count != 0;
  chain_[runs_] = {.opcode = Opcode::kWrite,
                   .local = reinterpret_cast<std::byte*>(resources_.memory.AddressOf(local, run.first, page_size)),
                   .length = static_cast<std::uint32_t>(bytes),
                   .local_key = local.key,
                   .remote_address = direct ? destination_.frames.AddressOf(frames, run.first, page_size)
                                            : destination_.staging[index].address + sender.staging.Place(bytes),
                   .remote_key = direct ? frames.key : destination_.staging[index].key};
  entries_[runs_] = {run.first, static_cast<std::uint32_t>(run.count), 0};
  ++runs_;
  batch_filled_ += bytes;
  settled_.SetRun(run);
  counters_.pages_sent += run.count;
  counters_.bytes_sent += bytes;
}

void Pusher::FinishBatch(Sender& sender, std::size_t index) {
  const std::uint64_t number = ++sender.lists_sent;
  const RunListHeader header{.flags = pushing_ ? 0u : std::uint32_t{RunListHeader::kPrePaged},
                             .number = number,
                             .runs = static_cast<std::uint32_t>(runs_)};
  std::byte* list = ListMemory(index, number);
  std::memcpy(list, &header, sizeof(header));
  std::memcpy(list + sizeof(header), entries_.data(), runs_ * sizeof(RunListEntry));
  chain_[runs_] = {.opcode = Opcode::kSend,
                   .signaled = true,
                   .id = number,
                   .local = list,
                   .length = static_cast<std::uint32_t>(sizeof(header) + runs_ * sizeof(RunListEntry)),
                   .local_key = resources_.lists_key};
  pending_length_ = runs_ + 1;
  pending_sender_ = index;
  sender.lists[number % kListsPerChannel] = {batch_filled_, static_cast<std::uint32_t>(pending_length_)};
  sender.slots_in_use += static_cast<std::uint32_t>(pending_length_);
  bytes_in_flight_ += batch_filled_;
}

bool Pusher::PostPending() {
  switch (senders_[pending_sender_].channel->Post(std::span(chain_).first(pending_length_))) {
    case PostResult::kOk:
      pending_length_ = 0;
      return true;
    case PostResult::kFull:
      return false;
    case PostResult::kBroken:
      broken_ = true;
      return false;
  }
  return false;
}

}  // namespace farfault
