#include "lib/page/page_state_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>
#include <string>

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

struct StateFile {
  ~StateFile() { std::filesystem::remove(path); }
  std::string path = std::filesystem::temp_directory_path() / fmt::format("farfault-state-{}", getpid());
};

GuestMemory Memory(std::uint64_t pages, const std::string& name = "ram") {
  return *GuestMemory::Create(
      {{.name = name, .base = reinterpret_cast<std::byte*>(0x100000), .length = pages * kSmallPage}});
}

TEST_CASE("a state file keeps the state of every page", "[page]") {
  const StateFile file;
  const GuestMemory memory = Memory(5);
  {
    auto made = PageStateFile::Create(file.path, memory);
    REQUIRE(made.ok());
    REQUIRE(made->states().size() == 5);
    CHECK(made->states()[4] == 0);
    made->states()[4] = 5;
    made->MarkRunning();
  }
  {
    auto again = PageStateFile::Reopen(file.path, memory);
    INFO(again.status().ToString());
    REQUIRE(again.ok());
    CHECK(again->states()[4] == 5);
    CHECK(absl::IsFailedPrecondition(PageStateFile::Reopen(file.path, Memory(5, "other")).status()));
    // Whoever has the old one still mapped does not see the new one.
    REQUIRE(PageStateFile::Create(file.path, memory).ok());
    CHECK(again->states()[4] == 5);
  }
  const absl::Status never_ran = PageStateFile::Reopen(file.path, memory).status();
  CHECK(absl::IsFailedPrecondition(never_ran));
  CHECK_THAT(never_ran.ToString(), ContainsSubstring("never ran"));
}

TEST_CASE("files that hold no states are refused", "[page]") {
  const StateFile file;
  const GuestMemory memory = Memory(5);
  CHECK(absl::IsNotFound(PageStateFile::Reopen(file.path, memory).status()));
  for (const std::size_t bytes : {0u, 100u, 4096u, 4101u}) {
    std::ofstream(file.path, std::ios::binary) << std::string(bytes, 'x');
    CHECK(absl::IsDataLoss(PageStateFile::Reopen(file.path, memory).status()));
  }
  {
    auto made = PageStateFile::Create(file.path, memory);
    REQUIRE(made.ok());
    made->MarkRunning();
    made->states()[0] = 99;
  }
  CHECK(absl::IsDataLoss(PageStateFile::Reopen(file.path, memory).status()));
  CHECK_FALSE(PageStateFile::Create("/nonexistent/state", memory).ok());
}

}  // namespace
}  // namespace farfault
