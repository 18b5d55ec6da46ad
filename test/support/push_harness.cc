#include "test/support/push_harness.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "test/support/fill.h"

namespace farfault {
namespace {

RemoteMemory RemoteOf(std::span<std::byte> memory, std::uint32_t key) {
  return {reinterpret_cast<std::uint64_t>(memory.data()), memory.size(), key};
}

}  // namespace

PushHarness::PushHarness(Setup setup)
    : layout(std::move(setup.regions)),
      table_words_((SourceTableLayout{layout.total_pages()}.total_bytes() + 7) / 8),
      lists_(Pusher::ListBytes(setup.channels)) {
  for (std::size_t i = 0; i < layout.regions().size(); ++i) {
    const PageLayout::RegionPages& region = layout.regions()[i];
    const std::uint64_t bytes = region.pages.count * region.page_size;
    memory.emplace_back(bytes);
    frames_.emplace_back(bytes);
    for (std::uint64_t page = 0; page < region.pages.count; ++page) {
      FillPattern(std::span(memory[i]).subspan(page * region.page_size, region.page_size), region.pages.first + page);
    }
  }
  local = destination.frames = ExtentTable(layout);
  AddExtents(local, setup.extents, 21, memory, {});
  AddExtents(destination.frames, setup.frames, 11, frames_, setup.direct);
  const bool staged = !destination.frames.complete();
  for (std::size_t i = 0; i < setup.channels; ++i) {
    channels.push_back(std::make_unique<ScriptedChannel>(setup.send_slots));
    if (!staged) continue;
    staging.emplace_back(setup.staging_bytes);
    destination.staging.push_back(RemoteOf(staging.back(), 12));
  }
}

void PushHarness::AddExtents(ExtentTable& table, std::span<const PageRun> runs, std::uint32_t first_key,
                             std::vector<std::vector<std::byte>>& bytes, const std::vector<bool>& direct) {
  std::vector<PageRun> all(runs.begin(), runs.end());
  for (std::size_t i = 0; runs.empty() && i < layout.regions().size(); ++i) {
    if (direct.empty() || direct[i]) all.push_back(layout.regions()[i].pages);
  }
  for (const PageRun& run : all) {
    const std::size_t index = layout.RegionOf(run.first);
    const PageLayout::RegionPages& region = layout.regions()[index];
    std::byte* const at = bytes[index].data() + (run.first - region.pages.first) * region.page_size;
    if (!table.Add({run, reinterpret_cast<std::uint64_t>(at), first_key++})) std::abort();
  }
}

Pusher::Resources PushHarness::resources() {
  Pusher::Resources resources{.memory = local, .channels = {}, .lists = {}};
  for (const auto& channel : channels) resources.channels.push_back(channel.get());
  resources.lists = lists_;
  resources.lists_key = 22;
  return resources;
}

std::unique_ptr<Pusher> PushHarness::MakePusher(const PushOptions& options) {
  return std::make_unique<Pusher>(layout, destination, tables(), resources(), options, predictor);
}

void PushHarness::SetCredit(std::size_t channel, std::uint64_t value) {
  std::memcpy(table_bytes().data() + table_layout().credit_offset() + channel * 8, &value, 8);
}

void PushHarness::SetHint(std::uint64_t slot, std::uint64_t entry) {
  std::memcpy(table_bytes().data() + table_layout().hint_offset() + slot * 8, &entry, 8);
}

std::vector<PostedList> PushHarness::TakeLists(std::size_t index) {
  std::vector<PostedList> lists;
  for (const ScriptedChannel::Posted& posted : channels[index]->TakePosted()) {
    if (posted.request.opcode == Opcode::kSend) lists.push_back(DecodeRunList(posted.bytes));
  }
  return lists;
}

std::span<const std::byte> PushHarness::frame(PageIndex page) const {
  const std::size_t index = layout.RegionOf(page);
  const PageLayout::RegionPages& region = layout.regions()[index];
  return std::span(frames_[index]).subspan((page - region.pages.first) * region.page_size, region.page_size);
}

PostedList DecodeRunList(std::span<const std::byte> message) {
  PostedList list;
  if (message.size() < sizeof(RunListHeader)) return list;
  std::memcpy(&list.header, message.data(), sizeof(list.header));
  for (std::size_t at = sizeof(list.header); at + sizeof(RunListEntry) <= message.size(); at += sizeof(RunListEntry)) {
    RunListEntry entry;
    std::memcpy(&entry, message.data() + at, sizeof(entry));
    list.runs.push_back({entry.first, entry.count});
  }
  return list;
}

}  // namespace farfault
