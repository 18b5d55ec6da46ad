#include "lib/c_api/status.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <new>
#include <stdexcept>
#include <string>

namespace farfault {
namespace {

using Catch::Matchers::Equals;

TEST_CASE("no exception leaves the C API") {
  CHECK(Guarded([]() -> absl::Status { throw std::bad_alloc(); }) == FARFAULT_RESOURCE_EXHAUSTED);
  CHECK_THAT(farfault_error_text(), Equals("there is not enough memory in this process"));
  CHECK(Guarded([]() -> absl::Status { throw std::length_error("too long"); }) == FARFAULT_INTERNAL);
  CHECK_THAT(farfault_error_text(), Equals("too long"));
  CHECK(Guarded([]() -> absl::Status { throw 7; }) == FARFAULT_INTERNAL);
  CHECK_THAT(farfault_error_text(), Equals("an exception of an unknown type"));
  CHECK(GuardedValue(5, []() -> int { throw std::bad_alloc(); }) == 5);
  CHECK_THAT(farfault_error_text(), Equals("there is not enough memory in this process"));
}

TEST_CASE("every code of a status comes through, and what the caller made up is unknown") {
  for (int code = 0; code <= FARFAULT_UNAUTHENTICATED; ++code) {
    const auto in_c = static_cast<enum farfault_status>(code);
    CHECK(Report(absl::Status(static_cast<absl::StatusCode>(code), "said")) == in_c);
    CHECK(static_cast<int>(FromCaller(in_c, "the caller").code()) == code);
    CHECK(std::string(farfault_status_name(in_c)) == absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
  }
  CHECK(FromCaller(static_cast<enum farfault_status>(17), "the caller").code() == absl::StatusCode::kUnknown);
}

}  // namespace
}  // namespace farfault
