#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "lib/page/guest_placement.h"
#include "lib/prepage/pagemap.h"
#include "lib/prepage/region_pages.h"

// What is different when the guest lives in another process, whose mapping nobody here can empty.
namespace farfault {
namespace {

constexpr std::uint64_t Operation(unsigned number) { return std::uint64_t{1} << number; }

}  // namespace

absl::Status GuestPlacement::ArmExternal(Place& place) {
  const bool direct = place.alias != nullptr;
  if (direct && (external_->guest.features & UFFD_FEATURE_EVENT_REMOVE) != 0) {
    return absl::InvalidArgumentError(
        "its userfaultfd reports remove events, which do not tell a discarded mapping from a discarded file; open it "
        "without UFFD_FEATURE_EVENT_REMOVE, and keep balloons off until the memory is resident");
  }
  if (!external_->guest.registered) {
    const std::uint64_t modes = UFFDIO_REGISTER_MODE_MISSING | (direct ? UFFDIO_REGISTER_MODE_MINOR : 0);
    absl::Status status;
    for (PageRun rest = place.pages; rest.count > 0 && status.ok();) {
      const GuestAddresses::Part part = place.addresses.At(rest);
      const auto operations = uffd_->Register(part.address, part.pages << place.page_shift, modes);
      if (operations.ok()) {
        place.has_zero_page = (*operations & Operation(_UFFDIO_ZEROPAGE)) != 0;
      } else {
        status = external_->process.exited() ? GuestProcess::Gone() : operations.status();
      }
      rest = {rest.first + part.pages, rest.count - part.pages};
    }
    if (!status.ok()) {
      if (!KeepsArmed()) static_cast<void>(Unregister(place));
      return status;
    }
  }
  absl::Status status = FindMappedBefore(place);
  if (status.ok() && external_->guest.taken_over) WakeAll(place);
  if (!status.ok() && !KeepsArmed()) static_cast<void>(Unregister(place));
  return status;
}

// Without the right to look nothing is known: pages of private memory then show as EEXIST.
absl::Status GuestPlacement::FindMappedBefore(const Place& place) {
  const auto pagemap = Pagemap::Open(external_->process.pid());
  if (!pagemap.ok() && external_->guest.taken_over && place.alias != nullptr) return pagemap.status();
  if (!pagemap.ok()) return absl::OkStatus();
  const std::size_t from = mapped_before_.size();
  for (PageRun rest = place.pages; rest.count > 0;) {
    const GuestAddresses::Part part = place.addresses.At(rest);
    const auto begin = reinterpret_cast<std::uint64_t>(part.address);
    const Pagemap::AddressRange range{begin, begin + (part.pages << place.page_shift)};
    const auto append = [&](Pagemap::AddressRange found) {
      const PageIndex first = rest.first + ((found.begin - begin) >> place.page_shift);
      const PageIndex end = rest.first + ((found.end - begin + place.region.page_size - 1) >> place.page_shift);
      mapped_before_.push_back({first, end - first});
    };
    absl::Status status = pagemap->Scan(range, {.all_of = Pagemap::kPresent}, append);
    if (status.ok()) status = pagemap->Scan(range, {.all_of = Pagemap::kSwapped}, append);
    if (external_->process.exited()) return GuestProcess::Gone();
    if (!status.ok()) return status;
    rest = {rest.first + part.pages, rest.count - part.pages};
  }
  SortAndUnite(&mapped_before_, from);
  if (external_->guest.taken_over || mapped_before_.size() == from) return absl::OkStatus();
  const PageRun& first = mapped_before_[from];
  std::uint64_t pages = 0;
  for (std::size_t i = from; i < mapped_before_.size(); ++i) pages += mapped_before_[i].count;
  return absl::FailedPreconditionError(
      fmt::format("{} of its pages are mapped in process {} already, the first at {:#x}: the guest would not wait for "
                  "them. Let that process take them out of its mapping (MADV_DONTNEED) once it is registered, or say "
                  "that the guest "
                  "is taken over from an earlier pager",
                  pages, external_->process.pid(), reinterpret_cast<std::uint64_t>(place.Guest(first.first))));
}

absl::Status GuestPlacement::CheckUnmapped() {
  if (external_ == nullptr || external_->guest.taken_over) return absl::OkStatus();
  for (const Place& place : places_) {
    if (absl::Status unmapped = FindMappedBefore(place); !unmapped.ok()) return Annotate(place, unmapped);
  }
  return absl::OkStatus();
}

// Threads whose faults the pager before us has read and not answered: they fault again.
void GuestPlacement::WakeAll(const Place& place) {
  for (PageRun rest = place.pages; rest.count > 0;) {
    const GuestAddresses::Part part = place.addresses.At(rest);
    static_cast<void>(uffd_->Wake(part.address, part.pages << place.page_shift));
    rest = {rest.first + part.pages, rest.count - part.pages};
  }
}

absl::Status GuestPlacement::Unregister(const Place& place) {
  absl::Status first_error;
  for (PageRun rest = place.pages; rest.count > 0;) {
    const GuestAddresses::Part part = place.addresses.At(rest);
    first_error.Update(uffd_->Unregister(part.address, part.pages << place.page_shift));
    rest = {rest.first + part.pages, rest.count - part.pages};
  }
  if (!first_error.ok() && external_ != nullptr && external_->process.exited()) return GuestProcess::Gone();
  return first_error;
}

bool GuestPlacement::KeepsArmed() const {
  if (external_ == nullptr) return false;
  const ExternalGuest& guest = external_->guest;
  return guest.registered || guest.running || guest.taken_over;
}

absl::Status GuestPlacement::DisarmUnused() {
  if (!KeepsArmed()) return Disarm();
  uffd_ = nullptr;
  return absl::OkStatus();
}

}  // namespace farfault
