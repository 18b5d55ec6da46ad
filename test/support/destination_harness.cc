#include "test/support/destination_harness.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "test/support/fill.h"
#include "test/support/run_list_message.h"

namespace farfault {
namespace {

constexpr std::uint32_t kSlots = 4096;
constexpr int kManyRounds = 100000;

std::uint64_t Address(const void* memory) { return reinterpret_cast<std::uint64_t>(memory); }

}  // namespace

std::vector<std::byte> ControlBytes(MessageType type, std::span<const std::byte> payload) {
  const MessageHeader header{.type = static_cast<std::uint16_t>(type),
                             .length = static_cast<std::uint32_t>(payload.size())};
  std::vector<std::byte> bytes(sizeof(header) + payload.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::ranges::copy(payload, bytes.begin() + sizeof(header));
  return bytes;
}

std::vector<SentMessage> TakeMessages(ScriptedChannel& control) {
  std::vector<SentMessage> messages;
  for (const ScriptedChannel::Posted& posted : control.TakePosted()) {
    MessageHeader header;
    std::memcpy(&header, posted.bytes.data(), sizeof(header));
    messages.push_back({static_cast<MessageType>(header.type),
                        {posted.bytes.begin() + static_cast<std::ptrdiff_t>(sizeof(header)), posted.bytes.end()}});
  }
  return messages;
}

DestinationHarness::DestinationHarness(Setup setup)
    : layout(std::move(setup.regions)),
      placement(layout, {.direct = setup.direct, .chunk_pages = setup.chunk_pages, .demand_slots = setup.demand_slots}),
      demand(kSlots),
      tables_((SourceTableLayout{layout.total_pages()}.total_bytes() + 7) / 8),
      lists_sent_(setup.push_channels),
      control_buffers_(ControlLink::kBufferBytes),
      list_buffers_(RunListReceiver::BufferBytes(setup.push_channels)),
      scratch_(setup.demand_slots * DemandReader::kScratchBytes) {
  std::vector<PageRun> offered = setup.offered;
  for (const PageLayout::RegionPages& region : layout.regions()) {
    memory_.emplace_back(region.pages.count * region.page_size);
    if (setup.offered.empty()) offered.push_back(region.pages);
  }
  source.memory = ExtentTable(layout);
  for (const PageRun& run : offered) {
    if (!source.memory.Add(ExtentOf(run))) throw std::runtime_error("the source cannot offer this");
  }
  for (PageIndex page = 0; page < layout.total_pages(); ++page) FillSource(page, 0);
  source.tables = {Address(tables_.data()), tables_.size() * 8, 2};
  RunListReceiver::Resources resources;
  const bool staged = std::ranges::find(setup.direct, false) != setup.direct.end();
  for (std::size_t i = 0; i < setup.push_channels; ++i) {
    push.push_back(std::make_unique<ScriptedChannel>());
    resources.channels.push_back(push.back().get());
    cursors_.emplace_back(setup.staging_bytes);
    if (staged) rings_.emplace_back(setup.staging_bytes);
  }
  for (const std::vector<std::byte>& ring : rings_) resources.staging.emplace_back(ring);
  resources.buffers = list_buffers_;
  link = std::make_unique<ControlLink>(control, control_buffers_, 3);
  engine = std::make_unique<DestinationEngine>(
      DestinationEngine::World{.layout = layout,
                               .source = source,
                               .control = *link,
                               .demand_channels = {&demand},
                               .push = std::move(resources),
                               .scratch = {scratch_, 4},
                               .placement = placement,
                               .faults = feed,
                               .clock = clock,
                               .before_guest_runs = setup.before_guest_runs},
      DestinationEngine::Config{.demand_slots = setup.demand_slots,
                                .map_around_pages = setup.map_around_pages,
                                .faults = {.record = setup.record_faults, .runs_early = setup.runs_early}});
}

Extent DestinationHarness::ExtentOf(PageRun run) { return {run, Address(SourcePage(run.first).data()), 1}; }

void DestinationHarness::SendExtents(const std::vector<PageRun>& runs) {
  std::vector<WireExtent> wire;
  for (const PageRun& run : runs) wire.push_back({run.first, run.count, ExtentOf(run).address, 1, 0});
  Send(MessageType::kExtents, std::as_bytes(std::span(wire)));
}

std::span<std::byte> DestinationHarness::SourcePage(PageIndex page) {
  const std::size_t index = layout.RegionOf(page);
  const PageLayout::RegionPages& region = layout.regions()[index];
  return std::span(memory_[index]).subspan((page - region.pages.first) * region.page_size, region.page_size);
}

void DestinationHarness::FillSource(PageIndex page, std::uint64_t salt) { FillPattern(SourcePage(page), page, salt); }

void DestinationHarness::Send(MessageType type, std::span<const std::byte> payload) {
  if (!control.Deliver(ControlBytes(type, payload))) throw std::runtime_error("the engine takes no control messages");
}

void DestinationHarness::SendRuns(MessageType type, const std::vector<PageRun>& runs) {
  std::vector<WireRun> wire;
  for (const PageRun& run : runs) wire.push_back({run.first, run.count});
  Send(type, std::as_bytes(std::span(wire)));
}

void DestinationHarness::SendSwitchOver(bool push_enabled, std::uint64_t lists_sent) {
  SwitchOverMessage message{.push_enabled = push_enabled ? 1u : 0u};
  message.lists_sent[0] = lists_sent;
  SendStruct(MessageType::kSwitchOver, message);
}

void DestinationHarness::SendPushComplete(std::uint64_t lists_sent) {
  PushCompleteMessage message;
  message.lists_sent[0] = lists_sent;
  SendStruct(MessageType::kPushComplete, message);
}

void DestinationHarness::Push(const std::vector<PageRun>& runs, std::uint32_t flags, std::size_t channel,
                              std::uint64_t salt) {
  for (const PageRun& run : runs) {
    const std::size_t region = layout.RegionOf(run.first);
    const std::uint64_t page_size = layout.page_size(run.first);
    std::span<std::byte> target;
    if (placement.direct(run.first)) {
      target = placement.frames(region).subspan((run.first - layout.regions()[region].pages.first) * page_size,
                                                run.count * page_size);
    } else {
      target =
          std::span(rings_[channel]).subspan(cursors_[channel].Place(run.count * page_size), run.count * page_size);
    }
    for (std::uint64_t i = 0; i < run.count; ++i) {
      FillPattern(target.subspan(i * page_size, page_size), run.first + i, salt);
    }
  }
  if (!push[channel]->Deliver(RunListMessage(++lists_sent_[channel], runs, flags))) {
    throw std::runtime_error("the engine takes no run lists");
  }
}

void DestinationHarness::SetClaim(PageIndex page, Claim claim) {
  std::as_writable_bytes(std::span(tables_))[SourceTableLayout{layout.total_pages()}.claim_offset() + page] =
      static_cast<std::byte>(claim);
}

bool DestinationHarness::wanted(PageIndex page) const {
  return std::as_bytes(std::span(tables_))[page] != std::byte{0};
}

std::uint64_t DestinationHarness::credit(std::size_t channel) const {
  return tables_[SourceTableLayout{layout.total_pages()}.credit_offset() / 8 + channel];
}

void DestinationHarness::Settle() {
  for (int round = 0; engine->Poll(); ++round) {
    if (round > kManyRounds) throw std::runtime_error("the engine does not come to rest");
  }
}

void DestinationHarness::Serve() {
  Settle();
  for (int round = 0; demand.outstanding() > 0; ++round) {
    if (round > kManyRounds) throw std::runtime_error("the reads do not come to an end");
    demand.Complete();
    Settle();
  }
}

void DestinationHarness::Activate(bool push_enabled) {
  engine->AllowActivation();
  SendSwitchOver(push_enabled, lists_sent_[0]);
  Settle();
  if (engine->phase() != DestinationEngine::Phase::kRunning) throw std::runtime_error("the guest may not run");
  control.Complete();
  control.TakePosted();
}

std::vector<SentMessage> DestinationHarness::TakeSent() {
  Settle();
  std::vector<SentMessage> sent = TakeMessages(control);
  control.Complete();
  return sent;
}

bool DestinationHarness::guest_has(PageIndex page, std::uint64_t salt) const {
  return placement.mapped(page) && HasPattern(placement.guest(page), page, salt);
}

bool DestinationHarness::guest_has_zeros(PageIndex page) const {
  return placement.mapped(page) && AllZero(placement.guest(page));
}

}  // namespace farfault
