#include "lib/cli/pager/working_set.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace farfault {
namespace {

struct WorkingSetFile {
  ~WorkingSetFile() { std::filesystem::remove(path); }
  std::string path = std::filesystem::temp_directory_path() / fmt::format("farfault-ws-{}", getpid());
};

TEST_CASE("a working set is written and read back", "[cli][pager]") {
  const WorkingSetFile file;
  const std::vector<PageIndex> touched = {5, 6, 7, 2, 3, 9, 8};
  const WorkingSet written{10, 4096, RunsOf(touched)};
  CHECK(written.order == std::vector<PageRun>{{5, 3}, {2, 2}, {9, 1}, {8, 1}});
  REQUIRE(WriteWorkingSet(file.path, written).ok());
  const auto read = ReadWorkingSet(file.path);
  INFO(read.status().ToString());
  REQUIRE(read.ok());
  CHECK(read->pages == 10);
  CHECK(read->page_size == 4096);
  CHECK(read->order == written.order);
  CHECK(CheckWorkingSet(*read, 10, 4096).ok());
  CHECK(absl::IsFailedPrecondition(CheckWorkingSet(*read, 11, 4096)));
  const absl::Status missing = ReadWorkingSet(file.path + "-missing").status();
  CHECK(absl::IsNotFound(missing));
  CHECK_THAT(std::string(missing.message()), Catch::Matchers::ContainsSubstring("check its name and rights"));
  const absl::Status unwritten = WriteWorkingSet("/nonexistent/ws", written);
  CHECK_THAT(std::string(unwritten.message()), Catch::Matchers::ContainsSubstring("make its folder first"));
}

TEST_CASE("files that are no working sets are refused with the line", "[cli][pager]") {
  const WorkingSetFile file;
  const std::string good = "farfault-working-set 1 10 4096\n";
  for (const std::string& text :
       {std::string(), std::string("hello\n"), std::string("farfault-working-set 2 10 4096\n"), good + "5\n",
        good + "5 x\n", good + "9 2\n", good + "0 0\n", good + "1 1 1\n", good + "18446744073709551615 2\n",
        good + "-1 1\n"}) {
    INFO(text);
    std::ofstream(file.path, std::ios::binary) << text;
    const absl::Status status = ReadWorkingSet(file.path).status();
    CHECK(absl::IsDataLoss(status));
    if (text.starts_with(good)) {
      CHECK_THAT(status.ToString(), Catch::Matchers::ContainsSubstring("line 2"));
    }
  }
}

TEST_CASE("the predictor of a working set says it once", "[cli][pager]") {
  WorkingSetPredictor predictor({{5, 3}, {1, 1}, {9, 1}});
  std::array<PageRun, 2> out;
  CHECK(predictor.Next(out) == 2);
  CHECK(out[0] == PageRun{5, 3});
  predictor.OnFault(1, absl::UnixEpoch());
  CHECK(predictor.Next(out) == 1);
  CHECK(out[0] == PageRun{9, 1});
  CHECK(predictor.Next(out) == 0);
}

}  // namespace
}  // namespace farfault
