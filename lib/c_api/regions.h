#ifndef FARFAULT_LIB_C_API_REGIONS_H_
#define FARFAULT_LIB_C_API_REGIONS_H_

#include <fmt/format.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/c/memory.h"
#include "lib/c_api/structs.h"

namespace farfault {

/// The regions in an array of a caller, whose version of the struct may have another size than ours.
template <SizedStruct InC, typename InCxx>
absl::StatusOr<std::vector<InCxx>> RegionsFromC(const InC* regions, std::size_t count,
                                                absl::StatusOr<InCxx> (*from_c)(const InC*)) {
  std::vector<InCxx> copies;
  if (count == 0) return copies;
  if (absl::Status checked = CheckSize(regions, "regions"); !checked.ok()) return checked;
  if (count > FARFAULT_MAX_REGIONS) {
    return absl::InvalidArgumentError(
        fmt::format("there are {} regions; a session has at most {}", count, FARFAULT_MAX_REGIONS));
  }
  const std::size_t distance = regions->struct_size;
  const auto* at = reinterpret_cast<const std::byte*>(regions);
  for (std::size_t i = 0; i < count; ++i, at += distance) {
    const auto* const region = reinterpret_cast<const InC*>(at);
    if (region->struct_size != distance) {
      return absl::InvalidArgumentError(
          fmt::format("region {} has a struct_size of {}, and region 0 one of {}", i, region->struct_size, distance));
    }
    auto copy = from_c(region);
    if (!copy.ok()) return copy.status();
    copies.push_back(*std::move(copy));
  }
  return copies;
}

}  // namespace farfault

#endif  // FARFAULT_LIB_C_API_REGIONS_H_
