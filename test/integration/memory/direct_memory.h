#ifndef FARFAULT_TEST_INTEGRATION_MEMORY_DIRECT_MEMORY_H_
#define FARFAULT_TEST_INTEGRATION_MEMORY_DIRECT_MEMORY_H_

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "farfault/guest_memory.h"
#include "test/support/memory_machine.h"
#include "test/support/memory_rig.h"
#include "test/support/skip.h"

namespace farfault {

/// A region of a file, whose pages are placed directly.
struct Direct {
  static constexpr std::uint64_t kPages = 64;

  Direct() {
    if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
    auto owned = OwnedRegion::CreateShared("ram", kPages * kSmallPage);
    REQUIRE(owned.ok());
    region = *std::move(owned);
  }

  MemoryRig& Arm(const GuestPlacementOptions& options = {}, std::uint64_t more_features = 0) {
    auto created = MemoryRig::Create({region.region()}, options, more_features);
    INFO(created.status().ToString());
    REQUIRE(created.ok());
    rig = *std::move(created);
    return *rig;
  }

  OwnedRegion region;
  std::unique_ptr<MemoryRig> rig;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_MEMORY_DIRECT_MEMORY_H_
