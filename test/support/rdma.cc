#include "test/support/rdma.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <string_view>

#include "lib/util/rdma_address.h"
#include "lib/util/status_text.h"
#include "test/support/rdma_link.h"

namespace farfault {

std::string RequireRdmaAddress() {
  RdmaLink::AwaitRestored();
  const absl::StatusOr<std::string> address = OwnRdmaAddress();
  if (address.ok()) return *address;
  const std::string reason(StatusText(address.status()));
  const char* const required = std::getenv("FARFAULT_REQUIRE_VERBS");
  if (required != nullptr && std::string_view(required) == "1") FAIL(reason);
  SKIP(reason);
  std::abort();  // Both have thrown.
}

bool OverVerbs() {
  const char* const chosen = std::getenv("FARFAULT_FABRICS");
  return chosen != nullptr && std::string_view(chosen) == "verbs";
}

std::string SessionListenAddress() {
  return OverVerbs() ? "verbs://" + RequireRdmaAddress() + ":0" : "tcp://127.0.0.1:0";
}

}  // namespace farfault
