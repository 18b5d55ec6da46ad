#include "lib/cli/peer_advice.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>

#include "absl/time/time.h"
#include "farfault/session.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

void CheckAdvice(const absl::Status& status) {
  CHECK_THAT(std::string(status.message()), ContainsSubstring("peer_timeout"));
  const absl::Status advised = AdviseInstead(status, "wait longer with --wait");
  CHECK(advised.code() == status.code());
  CHECK_THAT(std::string(advised.message()), ContainsSubstring("start the other end, or wait longer with --wait") &&
                                                 !ContainsSubstring("peer_timeout"));
}

// What the library really says: were that to change, a command would name an option that it does not have.
TEST_CASE("Who waits in vain for a peer is told an option of the command", "[cli]") {
  SessionOptions options;
  options.peer_timeout = absl::Milliseconds(50);
  options.connect = "tcp://127.0.0.1:1";
  CheckAdvice(DescribeSource(options).status());

  auto memory = OwnedRegion::CreateShared("guest", kSmallPage);
  REQUIRE(memory.ok());
  DestinationOptions destination;
  destination.peer_timeout = absl::Milliseconds(50);
  destination.listen = "tcp://127.0.0.1:0";
  CheckAdvice(
      DestinationSession::Create(GuestMemory::Create({memory->region()}).value(), std::move(destination)).status());
}

TEST_CASE("Other errors stay as they are", "[cli]") {
  CHECK(AdviseInstead(absl::OkStatus(), "x").ok());
  CHECK(AdviseInstead(absl::DataLossError("y"), "x") == absl::DataLossError("y"));
}

}  // namespace
}  // namespace farfault
