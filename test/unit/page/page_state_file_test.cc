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
    CHECK_FALSE(made->guest_ran());
    made->MarkRunning();
    REQUIRE(made->Publish().ok());
  }
  {
    auto again = PageStateFile::Reopen(file.path, memory);
    INFO(again.status().ToString());
    REQUIRE(again.ok());
    CHECK(again->states()[4] == 5);
    CHECK(again->guest_ran());
    CHECK(absl::IsFailedPrecondition(PageStateFile::Reopen(file.path, Memory(5, "other")).status()));
    // Whoever has the old one still mapped does not see the new one.
    auto next = PageStateFile::Create(file.path, memory);
    REQUIRE(next.ok());
    REQUIRE(next->Publish().ok());
    CHECK(again->states()[4] == 5);
  }
  const auto never_ran = PageStateFile::Reopen(file.path, memory);
  REQUIRE(never_ran.ok());
  CHECK(never_ran->states()[4] == 0);
  CHECK_FALSE(never_ran->guest_ran());
}

TEST_CASE("a state file stays where it is until another one is published", "[page]") {
  const StateFile file;
  const GuestMemory memory = Memory(5);
  {
    auto made = PageStateFile::Create(file.path, memory);
    REQUIRE(made.ok());
    made->states()[4] = 5;
    REQUIRE(made->Publish().ok());
    CHECK(made->Publish().ok());
  }
  {
    auto given_up = PageStateFile::Create(file.path, memory);
    REQUIRE(given_up.ok());
    CHECK(given_up->is_new());
    const PageStateFile moved = *std::move(given_up);
    CHECK(std::filesystem::exists(file.path + ".new"));
  }
  CHECK_FALSE(std::filesystem::exists(file.path + ".new"));
  const auto old = PageStateFile::Reopen(file.path, memory);
  REQUIRE(old.ok());
  CHECK(old->states()[4] == 5);
}

TEST_CASE("a state file that cannot be put in its place says so", "[page]") {
  const StateFile file;
  REQUIRE(std::filesystem::create_directory(file.path));
  auto made = PageStateFile::Create(file.path, Memory(5));
  REQUIRE(made.ok());
  CHECK_THAT(made->Publish().ToString(), ContainsSubstring("cannot be put in its place"));
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
    made->states()[0] = 99;
    REQUIRE(made->Publish().ok());
  }
  CHECK(absl::IsDataLoss(PageStateFile::Reopen(file.path, memory).status()));
  CHECK_FALSE(PageStateFile::Create("/nonexistent/state", memory).ok());
}

}  // namespace
}  // namespace farfault
