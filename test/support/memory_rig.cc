#include "test/support/memory_rig.h"

#include <poll.h>

#include <array>
#include <utility>

#include "test/support/fill.h"

namespace farfault {

absl::StatusOr<std::unique_ptr<MemoryRig>> MemoryRig::Create(std::vector<Region> regions, GuestPlacementOptions options,
                                                             std::uint64_t more_features, bool pinning) {
  std::unique_ptr<MemoryRig> rig(new MemoryRig);
  auto memory = GuestMemory::Create(std::move(regions));
  if (!memory.ok()) return memory.status();
  rig->memory_ = *std::move(memory);
  rig->layout_ = PageLayout(rig->memory_);
  if (pinning) rig->transport_.SayThatItPins();
  options.hint = [hints = &rig->hints_](std::string hint) { hints->push_back(std::move(hint)); };
  auto placement = GuestPlacement::Create(rig->memory_, rig->layout_, rig->transport_, options);
  if (!placement.ok()) return placement.status();
  rig->placement_ = *std::move(placement);
  auto uffd = Userfaultfd::Open(rig->placement_->required_features() | more_features);
  if (!uffd.ok()) return uffd.status();
  rig->uffd_ = *std::move(uffd);
  rig->feed_.emplace(rig->uffd_->fd(), rig->memory_);
  if (absl::Status status = rig->placement_->Arm(*rig->uffd_); !status.ok()) return status;
  return rig;
}

MemoryRig::~MemoryRig() {
  if (placement_ != nullptr) static_cast<void>(placement_->Disarm());
}

std::byte* MemoryRig::Guest(PageIndex page) const {
  const std::size_t region = layout_.RegionOf(page);
  const Region& in = memory_.regions()[region];
  return in.base + (page - layout_.regions()[region].pages.first) * in.page_size;
}

std::span<const std::byte> MemoryRig::GuestPage(PageIndex page) const { return {Guest(page), layout_.page_size(page)}; }

std::future<void> MemoryRig::Run(std::function<void()> body) {
  std::packaged_task<void()> task(std::move(body));
  std::future<void> future = task.get_future();
  threads_.emplace_back(std::move(task));
  return future;
}

std::future<std::vector<std::byte>> MemoryRig::Read(PageIndex page) {
  std::packaged_task<std::vector<std::byte>()> task([bytes = GuestPage(page)] {
    // The touch itself, before a copy that may read the last byte first.
    static_cast<void>(*static_cast<const volatile std::byte*>(bytes.data()));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
  std::future<std::vector<std::byte>> future = task.get_future();
  threads_.emplace_back(std::move(task));
  return future;
}

std::vector<FeedEvent> MemoryRig::WaitForEvents(std::size_t count) {
  std::vector<FeedEvent> events;
  while (events.size() < count) {
    std::array<FeedEvent, 16> batch;
    const FeedResult result = feed_->Drain(std::span(batch).first(std::min(batch.size(), count - events.size())));
    events.insert(events.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(result.events));
    if (result.status != FeedStatus::kOk) break;
    if (result.events > 0) continue;
    pollfd wait{.fd = feed_->fd(), .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, 20'000) <= 0) break;
  }
  return events;
}

bool MemoryRig::Quiet() {
  std::array<FeedEvent, 1> event;
  return feed_->Drain(event).events == 0;
}

void MemoryRig::Land(PageIndex page, std::uint32_t slot, std::uint64_t salt) {
  FillPattern({placement_->DemandFrame(page, slot).address, layout_.page_size(page)}, page, salt);
}

}  // namespace farfault
