#include "lib/cli/pager/guest_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace farfault {
namespace {

absl::Status CheckSame(const Handshake& handshake, std::span<const RemoteRegion> source) {
  std::uint64_t image = 0;
  for (const RemoteRegion& region : source) {
    image += region.length;
    if (region.page_size == handshake.page_size()) continue;
    return absl::FailedPreconditionError(fmt::format(
        "the guest has pages of {} bytes, region '{}' of the source of {}: serve the image with the guest's "
        "page size (farfault serve --page-size), or configure the guest's huge pages accordingly",
        handshake.page_size(), region.name, region.page_size));
  }
  if (image == handshake.total_bytes()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("the guest has {} bytes of memory, the source's image {}: serve this guest's own image",
                  handshake.total_bytes(), image));
}

}  // namespace

absl::StatusOr<std::vector<ExternalRegion>> PlanGuest(const Handshake& handshake,
                                                      std::span<const RemoteRegion> source) {
  if (absl::Status same = CheckSame(handshake, source); !same.ok()) return same;
  std::vector<ExternalRegion> plan;
  std::uint64_t image_offset = 0;
  auto mapping = handshake.regions.begin();
  for (const RemoteRegion& remote : source) {
    ExternalRegion region{.name = remote.name, .page_size = remote.page_size, .mappings = {}};
    const std::uint64_t end = image_offset + remote.length;
    for (std::uint64_t at = image_offset; at < end;) {
      const std::uint64_t into = at - mapping->offset;
      const std::uint64_t length = std::min(end - at, mapping->size - into);
      if (at == image_offset) region.file_offset = mapping->file_offset + into;
      // One alias stands for the whole region.
      if (handshake.shared_file && mapping->file_offset + into - region.file_offset != at - image_offset) {
        return absl::FailedPreconditionError(fmt::format(
            "the mappings of region '{}' do not follow each other in the shared file: {:#x} lies at {}, not "
            "at {}",
            remote.name, mapping->address + into, mapping->file_offset + into, region.file_offset + at - image_offset));
      }
      region.mappings.push_back({mapping->address + into, length});
      at += length;
      if (into + length == mapping->size) ++mapping;
    }
    if (handshake.shared_file) {
      region.fd = handshake.file.get();
    } else {
      region.file_offset = 0;
    }
    image_offset = end;
    plan.push_back(std::move(region));
  }
  return plan;
}

ExternalGuest ProcessOf(const Handshake& handshake) {
  return {.userfaultfd = handshake.userfaultfd.get(),
          .features = handshake.features,
          .registered = handshake.registered,
          .running = handshake.running,
          .taken_over = handshake.taken_over,
          .pid = handshake.pid};
}

}  // namespace farfault
