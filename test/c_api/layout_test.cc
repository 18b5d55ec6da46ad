#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <iterator>
#include <string>

#include "test/c_api/layout_entries.h"

namespace {

TEST_CASE("C and C++ compilers lay the structs of the C API out alike") {
  static constexpr layout_entry kInCxx[] = {LAYOUT_ENTRIES};
  std::size_t count = 0;
  const layout_entry* const in_c = LayoutInC(&count);
  REQUIRE(count == std::size(kInCxx));
  for (std::size_t i = 0; i < count; ++i) {
    INFO(in_c[i].what);
    REQUIRE(std::string(in_c[i].what) == kInCxx[i].what);
    CHECK(in_c[i].value == kInCxx[i].value);
  }
}

}  // namespace
