#include "lib/demand/demand_reader.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>

namespace farfault {
namespace {

constexpr std::size_t kPollBatch = 16;

}  // namespace

DemandReader::DemandReader(const PageLayout& layout, const SourcePeer& source, std::span<Channel* const> channels,
                           PagePlacement& placement, Scratch scratch, std::uint32_t slots)
    : layout_(layout),
      source_(source),
      channels_(channels.begin(), channels.end()),
      placement_(placement),
      scratch_(scratch),
      tables_{layout.total_pages()},
      slots_(slots) {
  assert(scratch.memory.size() >= slots * kScratchBytes);
  free_slots_.reserve(slots);
  for (std::uint32_t slot = slots; slot-- > 0;) free_slots_.push_back(slot);
}

std::uint8_t& DemandReader::ClaimByte(std::uint32_t slot) const {
  return *reinterpret_cast<std::uint8_t*>(scratch_.memory.data() + slot * kScratchBytes);
}

Claim DemandReader::ReadBackClaim(std::uint32_t slot) const {
  return static_cast<Claim>(std::atomic_ref(ClaimByte(slot)).load(std::memory_order_acquire));
}

WorkRequest DemandReader::ReadClaim(PageIndex page, std::uint32_t slot) const {
  return {.opcode = Opcode::kRead,
          .id = slot,
          .local = reinterpret_cast<std::byte*>(&ClaimByte(slot)),
          .length = 1,
          .local_key = scratch_.local_key,
          .remote_address = source_.tables.address + tables_.claim_offset() + page,
          .remote_key = source_.tables.key};
}

WorkRequest DemandReader::ReadPage(PageIndex page, std::uint32_t slot) const {
  const std::uint64_t page_size = layout_.page_size(page);
  const Extent& remote = source_.memory.Of(page);
  const Frame frame = placement_.DemandFrame(page, slot);
  return {.opcode = Opcode::kRead,
          .signaled = true,
          .id = slot,
          .local = frame.address,
          .length = static_cast<std::uint32_t>(page_size),
          .local_key = frame.local_key,
          .remote_address = source_.memory.AddressOf(remote, page, page_size),
          .remote_key = remote.key};
}

PostResult DemandReader::Read(PageIndex page, ReadOptions options) {
  if (free_slots_.empty()) return PostResult::kFull;
  const std::uint32_t slot = free_slots_.back();
  std::uint8_t want = 1;
  std::uint64_t hint_entry = Hint::Encode(page, hints_ + 1);
  const std::uint64_t tables = source_.tables.address;

  std::array<WorkRequest, kRequestsPerPage> chain;
  std::size_t length = 0;
  if (!options.alone) {
    chain[length++] = {.opcode = Opcode::kWrite,
                       .inline_data = true,
                       .id = slot,
                       .local = reinterpret_cast<std::byte*>(&want),
                       .length = 1,
                       .remote_address = tables + tables_.want_offset() + page,
                       .remote_key = source_.tables.key};
  }
  if (options.hint) {
    chain[length++] = {.opcode = Opcode::kWrite,
                       .inline_data = true,
                       .id = slot,
                       .local = reinterpret_cast<std::byte*>(&hint_entry),
                       .length = sizeof(hint_entry),
                       .remote_address = tables + tables_.hint_offset() +
                                         (hints_ + 1) % SourceTableLayout::kHintSlots * sizeof(hint_entry),
                       .remote_key = source_.tables.key};
  }
  // The claim is read after `want` is written: whichever of the two sides comes second sees the other's flag.
  if (!options.alone) chain[length++] = ReadClaim(page, slot);
  chain[length++] = ReadPage(page, slot);

  for (std::size_t tried = 0; tried < channels_.size(); ++tried) {
    const std::size_t channel = next_channel_;
    next_channel_ = (next_channel_ + 1) % channels_.size();
    switch (channels_[channel]->Post(std::span(chain.data(), length))) {
      case PostResult::kOk:
        free_slots_.pop_back();
        slots_[slot] = {page, static_cast<std::uint32_t>(channel), options.ahead, options.alone, false};
        if (options.hint) ++hints_;
        return PostResult::kOk;
      case PostResult::kFull:
        break;
      case PostResult::kBroken:
        broken_ = true;
        return PostResult::kBroken;
    }
  }
  return PostResult::kFull;
}

absl::Status DemandReader::failure() const {
  for (const Channel* channel : channels_) {
    if (absl::Status failure = channel->failure(); !failure.ok()) return failure;
  }
  return absl::OkStatus();
}

bool DemandReader::PostClaimRead(std::uint32_t slot) {
  WorkRequest request = ReadClaim(slots_[slot].page, slot);
  request.signaled = true;
  const PostResult result = channels_[slots_[slot].channel]->Post(request);
  if (result == PostResult::kBroken) broken_ = true;
  return result == PostResult::kOk;
}

std::size_t DemandReader::PollChannel(Channel& channel, std::span<DemandedPage> out) {
  std::array<Completion, kPollBatch> completions;
  const std::size_t polled = channel.Poll(std::span(completions).first(std::min(out.size(), kPollBatch)));
  std::size_t done = 0;
  for (const Completion& completion : std::span(completions).first(polled)) {
    if (completion.status != CompletionStatus::kOk) {
      broken_ = true;
      continue;
    }
    const auto slot = static_cast<std::uint32_t>(completion.id);
    const Claim claim = slots_[slot].alone ? Claim::kFree : ReadBackClaim(slot);
    if (claim == Claim::kClaiming) {
      if (!PostClaimRead(slot)) {
        slots_[slot].reread = true;
        ++rereads_;
      }
      continue;
    }
    out[done++] = {slots_[slot].page, slot, claim, slots_[slot].ahead};
  }
  return done;
}

std::size_t DemandReader::Poll(std::span<DemandedPage> out) {
  for (std::uint32_t slot = 0; rereads_ > 0 && slot < slots_.size(); ++slot) {
    if (!slots_[slot].reread || !PostClaimRead(slot)) continue;
    slots_[slot].reread = false;
    --rereads_;
  }
  std::size_t done = 0;
  for (Channel* channel : channels_) {
    if (done < out.size()) done += PollChannel(*channel, out.subspan(done));
    if (channel->broken()) broken_ = true;
  }
  return done;
}

}  // namespace farfault
