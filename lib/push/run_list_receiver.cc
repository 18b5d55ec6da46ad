#include "lib/push/run_list_receiver.h"

#include <fmt/format.h>

#include <cassert>
#include <cstring>
#include <utility>

#include "lib/page/claim.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

// Credit WRITEs are inline and unsignalled; every so often one is signalled so that the send queue is recycled.
constexpr std::uint32_t kSignalEvery = 16;

}  // namespace

RunListReceiver::RunListReceiver(const PageLayout& layout, const SourcePeer& source, const PagePlacement& placement,
                                 Resources resources)
    : layout_(layout),
      source_(source),
      placement_(placement),
      resources_(std::move(resources)),
      receivers_(resources_.channels.size()) {
  assert(resources_.buffers.size() >= BufferBytes(receivers_.size()));
  for (std::size_t i = 0; i < receivers_.size(); ++i) {
    receivers_[i].channel = resources_.channels[i];
    if (!resources_.staging.empty()) receivers_[i].staging = StagingCursor(resources_.staging[i].size());
  }
}

void RunListReceiver::LoseChannel(const Channel& channel) {
  Fail(absl::UnavailableError(fmt::format("the push channel is broken{}", Because(channel.failure()))));
}

void RunListReceiver::Refuse(std::string_view what) {
  refused_ = true;
  Fail(absl::DataLossError(fmt::format("the source sent {}", what)));
}

void RunListReceiver::Fail(absl::Status failure) {
  if (failure_.ok()) failure_ = std::move(failure);
}

std::span<std::byte> RunListReceiver::Buffer(std::size_t index, std::uint64_t id) const {
  return resources_.buffers.subspan((index * kReceivesPerChannel + id) * kRunListBytes, kRunListBytes);
}

bool RunListReceiver::Start() {
  for (std::size_t i = 0; i < receivers_.size(); ++i) {
    for (std::uint64_t id = 0; id < kReceivesPerChannel; ++id) {
      if (receivers_[i].channel->PostReceive(id, Buffer(i, id), resources_.buffers_key) != PostResult::kOk) {
        LoseChannel(*receivers_[i].channel);
        return false;
      }
    }
  }
  return true;
}

bool RunListReceiver::Next() {
  if (refused_) return false;
  if (current_.run.count > 0) return true;
  if (open_) return TakeEntry();
  for (std::size_t tried = 0; tried < receivers_.size(); ++tried) {
    const std::size_t index = next_receiver_;
    next_receiver_ = (next_receiver_ + 1) % receivers_.size();
    Receiver& receiver = receivers_[index];
    Completion completion;
    bool received = false;
    while (!received && receiver.channel->Poll(std::span(&completion, 1)) == 1) {
      if (completion.status != CompletionStatus::kOk) {
        LoseChannel(*receiver.channel);
        continue;  // What other channels have brought counts all the same.
      }
      received = completion.opcode == Opcode::kReceive;
    }
    // After the completions that made room for it: a source that waits for credit sends nothing that would wake us.
    if (receiver.credit_owed > 0) ReturnCredit(index);
    if (received) return Open(index, completion) && TakeEntry();
    if (receiver.channel->broken()) LoseChannel(*receiver.channel);
  }
  return false;
}

bool RunListReceiver::Open(std::size_t index, const Completion& completion) {
  const std::span<const std::byte> buffer = Buffer(index, completion.id);
  RunListHeader header;
  if (completion.length < sizeof(header)) {
    Refuse(fmt::format("a run list of {} bytes", completion.length));
    return false;
  }
  std::memcpy(&header, buffer.data(), sizeof(header));
  const bool sound = header.magic == RunListHeader::kMagic && (header.flags & ~RunListHeader::kPrePaged) == 0 &&
                     header.runs > 0 && header.runs <= kMaxRunsPerList &&
                     header.number == receivers_[index].lists_done + 1 &&
                     completion.length == sizeof(header) + header.runs * sizeof(RunListEntry);
  if (!sound) {
    Refuse(fmt::format("a run list that makes no sense (number {}, runs {})", header.number, header.runs));
    return false;
  }
  open_ = true;
  open_index_ = index;
  open_id_ = completion.id;
  header_ = header;
  next_entry_ = 0;
  return true;
}

bool RunListReceiver::TakeEntry() {
  RunListEntry entry;
  const std::byte* list = Buffer(open_index_, open_id_).data() + sizeof(RunListHeader);
  std::memcpy(&entry, list + next_entry_ * sizeof(entry), sizeof(entry));
  const PageRun run{entry.first, entry.count};
  if (run.count == 0 || !layout_.Contains(run) || layout_.ClipToRegion(run) != run) {
    Refuse(fmt::format("a run outside the memory (page {}, {} pages)", run.first, run.count));
    return false;
  }
  ++next_entry_;
  const bool direct = placement_.direct(run.first);
  // Without staging every page is direct.
  for (PageIndex page = run.first + 1; !resources_.staging.empty() && page < run.end(); ++page) {
    if (placement_.direct(page) == direct) continue;
    Refuse(fmt::format("a run whose bytes land in two places (page {})", page));
    return false;
  }
  current_ = {run, (header_.flags & RunListHeader::kPrePaged) != 0, nullptr};
  if (!direct) {
    Receiver& receiver = receivers_[open_index_];
    const std::uint64_t bytes = run.count * layout_.page_size(run.first);
    if (bytes > receiver.staging.ring_bytes()) {
      Refuse(fmt::format("a run of {} bytes, more than the staging ring holds", bytes));
      return false;
    }
    current_.staged = resources_.staging[open_index_].data() + receiver.staging.Place(bytes);
  }
  return true;
}

void RunListReceiver::Advance(std::uint64_t pages) {
  if (current_.staged != nullptr) current_.staged += pages * layout_.page_size(current_.run.first);
  current_.run.first += pages;
  current_.run.count -= pages;
  if (current_.run.count > 0 || next_entry_ < header_.runs) return;
  FinishList();
}

void RunListReceiver::FinishList() {
  Receiver& receiver = receivers_[open_index_];
  open_ = false;
  ++receiver.lists_done;
  if (receiver.channel->PostReceive(open_id_, Buffer(open_index_, open_id_), resources_.buffers_key) !=
      PostResult::kOk) {
    LoseChannel(*receiver.channel);
  }
  if (!resources_.staging.empty()) {
    receiver.credit_owed = receiver.staging.position();
    ReturnCredit(open_index_);
  }
}

void RunListReceiver::ReturnCredit(std::size_t index) {
  Receiver& receiver = receivers_[index];
  const SourceTableLayout tables{layout_.total_pages()};
  const bool signal = receiver.credits_unsignaled + 1 >= kSignalEvery;
  const WorkRequest request{.opcode = Opcode::kWrite,
                            .signaled = signal,
                            .inline_data = true,
                            .local = reinterpret_cast<std::byte*>(&receiver.credit_owed),
                            .length = sizeof(receiver.credit_owed),
                            .remote_address = source_.tables.address + tables.credit_offset() + index * 8,
                            .remote_key = source_.tables.key};
  switch (receiver.channel->Post(request)) {
    case PostResult::kOk:
      receiver.credit_owed = 0;
      receiver.credits_unsignaled = signal ? 0 : receiver.credits_unsignaled + 1;
      break;
    case PostResult::kFull:
      break;  // Owed still; the next poll tries again.
    case PostResult::kBroken:
      LoseChannel(*receiver.channel);
      break;
  }
}

}  // namespace farfault
