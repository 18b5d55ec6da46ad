#ifndef FARFAULT_TEST_INTEGRATION_PAGER_MICRO_VM_H_
#define FARFAULT_TEST_INTEGRATION_PAGER_MICRO_VM_H_

#include <fmt/format.h>
#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>

#include "test/integration/cli/command.h"
#include "test/integration/pager/pager_rig.h"
#include "test/support/guest_process.h"

// A stand-in for Firecracker: what it has mapped and registered, and what it says (src/vmm/src/persist.rs).
namespace farfault {

inline constexpr std::uint64_t kPart = 2u << 20;
inline constexpr std::uint64_t kPages = 2 * kPart / 4096;

inline ForkedGuest::Spec MicroVm() {
  return {
      .parts = {kPart, kPart}, .features = UFFD_FEATURE_EVENT_REMOVE, .register_modes = UFFDIO_REGISTER_MODE_MISSING};
}

/// The names that the page size has had.
enum class Version : std::uint8_t { k1_6, k1_11, k1_12 };

inline std::string TextOf(const ForkedGuest& guest, Version version, const std::string& more = "") {
  std::string text;
  std::uint64_t offset = 0;
  for (const GuestMapping& mapping : guest.mappings()) {
    text += fmt::format("{}{{\"base_host_virt_addr\":{},\"size\":{},\"offset\":{}", text.empty() ? "[" : ",",
                        mapping.address, mapping.length, offset);
    if (version == Version::k1_12) text += ",\"page_size\":4096";
    if (version != Version::k1_6) text += ",\"page_size_kib\":4096";
    text += more + "}";
    offset += mapping.length;
  }
  return text + "]";
}

inline void WaitUntilListening(CommandProcess& pager) {
  INFO(pager.Err());
  REQUIRE(pager.WaitForErr("waiting for a hypervisor at ", kPatience));
}

inline std::uint64_t WrongPages(ForkedGuest& guest, const ServedImage& image) {
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < image.pages(); ++page) wrong += guest.Sum(page) != image.Sum(page) ? 1u : 0u;
  return wrong;
}

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_PAGER_MICRO_VM_H_
