#include <catch2/catch_test_macros.hpp>

#include "farfault/c.h"
#include "farfault/farfault.h"
#include "test/c_api/cases.h"
#include "test/support/memory_machine.h"

// The cases are written in C; a failed check of theirs is printed where it happens.
namespace {

TEST_CASE("the C API tells each thread its own last error") { CHECK(CaseErrorText() == 0); }
TEST_CASE("structs of the C API may be of older and newer programs") { CHECK(CaseSizedStructs() == 0); }
TEST_CASE("the C API describes guest memory") { CHECK(CaseMemory() == 0); }
TEST_CASE("the C API makes memory") { CHECK(CaseOwnedRegions() == 0); }
TEST_CASE("the C API describes the memory of another process") { CHECK(CaseExternalMemory() == 0); }
TEST_CASE("the C API refuses sessions that cannot be") { CHECK(CaseRefusedSessions() == 0); }
TEST_CASE("the C API lends predictors") { CHECK(CasePredictors() == 0); }
TEST_CASE("the C API has histograms") { CHECK(CaseHistograms() == 0); }

TEST_CASE("a C program moves memory with its own predictor, dirty log and listener") {
  farfault::RequireUserfaultfd();
  CHECK(CaseEverythingMoves() == 0);
}

TEST_CASE("a C program reports dirty pages by itself") {
  farfault::RequireUserfaultfd();
  CHECK(CaseReportedDirty() == 0);
}

TEST_CASE("a C program's dirty log may fail") {
  farfault::RequireUserfaultfd();
  CHECK(CaseFailedDirtyLog() == 0);
}

TEST_CASE("a C program asks a source what it has") {
  farfault::RequireUserfaultfd();
  CHECK(CaseDescribedSource() == 0);
}

TEST_CASE("a C program cancels a session") {
  farfault::RequireUserfaultfd();
  CHECK(CaseCancelled() == 0);
}

TEST_CASE("a C program pages the guest of another process, and learns and fetches its working set") {
  farfault::RequireUserfaultfd();
  CHECK(CaseExternalGuest() == 0);
}

TEST_CASE("a C program takes the guest of another process over") {
  farfault::RequireUserfaultfd();
  CHECK(CaseGuestTakenOver() == 0);
}

TEST_CASE("a C program moves the guest of another process away") {
  farfault::RequireUserfaultfd();
  CHECK(CaseExternalSource() == 0);
}

}  // namespace
