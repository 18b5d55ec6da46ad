#include "lib/page/file_view.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <string>

namespace farfault {

absl::StatusOr<FileView> FileView::Map(const GuestMemory& external) {
  FileView view;
  std::vector<Region> regions;
  for (std::size_t i = 0; i < external.regions().size(); ++i) {
    Region region = external.regions()[i];
    if (region.fd == -1) {
      return absl::InvalidArgumentError(
          fmt::format("region '{}' has no file: private memory of another process cannot be read from here; give that "
                      "guest shared memory (memfd, tmpfs or hugetlbfs)",
                      region.name));
    }
    if (external.mappings_of(i).size() != 1) {
      return absl::InvalidArgumentError(fmt::format("region '{}' is mapped in {} parts; make a region of each",
                                                    region.name, external.mappings_of(i).size()));
    }
    auto mapping = Mapping::Map({.length = region.length,
                                 .protection = PROT_READ,
                                 .flags = MAP_SHARED,
                                 .fd = region.fd,
                                 .offset = region.file_offset,
                                 .alignment = kHugePage});
    if (!mapping.ok()) {
      return absl::ResourceExhaustedError(fmt::format("region '{}': its file cannot be mapped: {}; see `ulimit -v`",
                                                      region.name, std::string(mapping.status().message())));
    }
    region.base = mapping->data();
    view.mappings_.push_back(*std::move(mapping));
    regions.push_back(std::move(region));
  }
  auto memory = GuestMemory::Create(std::move(regions));
  if (!memory.ok()) return memory.status();
  view.memory_ = *std::move(memory);
  return view;
}

}  // namespace farfault
