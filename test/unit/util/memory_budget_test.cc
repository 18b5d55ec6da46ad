#include "lib/util/memory_budget.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace farfault {
namespace {

using Catch::Matchers::EndsWith;

// A /proc and /sys of our own.
class Root {
 public:
  Root() {
    REQUIRE(mkdtemp(path_.data()) != nullptr);
    Write("/proc/meminfo", "MemTotal:  900 kB\nMemAvailable:     500 kB\nSwapFree:     100 kB\n");
  }
  ~Root() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  void Write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + file).parent_path());
    std::ofstream(path_ + file) << text;
  }

 private:
  std::string path_ = "/tmp/farfault-test-XXXXXX";
};

TEST_CASE("without control groups the machine is the limit", "[util][budget]") {
  const Root root;
  CHECK(AvailableMemory(root.path()).bytes == 600ul * 1024);
  CHECK(AvailableMemory(root.path()).limited_by == "MemAvailable + SwapFree");
}

TEST_CASE("a version 2 group limits, and so do those above it", "[util][budget]") {
  const Root root;
  root.Write("/proc/self/cgroup", "0::/outer/inner\n");
  root.Write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  root.Write("/sys/fs/cgroup/outer/inner/memory.current", "100000\n");
  CHECK(AvailableMemory(root.path()).bytes == 600ul * 1024);
  root.Write("/sys/fs/cgroup/outer/memory.max", "300000\n");
  root.Write("/sys/fs/cgroup/outer/memory.current", "120000\n");
  root.Write("/sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 20000\nfile 90000\n");
  CHECK(AvailableMemory(root.path()).bytes == 200000);
  CHECK_THAT(AvailableMemory(root.path()).limited_by, EndsWith("/sys/fs/cgroup/outer/memory.max"));
}

TEST_CASE("a version 1 group limits; one that is over its limit leaves nothing", "[util][budget]") {
  const Root root;
  root.Write("/proc/self/cgroup", "5:cpu:/x\n4:memory:/job\n0::/\n");
  root.Write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "50000\n");
  root.Write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "60000\n");
  CHECK(AvailableMemory(root.path()).bytes == 0);
  root.Write("/sys/fs/cgroup/memory/job/memory.stat", "inactive_file 7\ntotal_inactive_file 20000\n");
  CHECK(AvailableMemory(root.path()).bytes == 10000);
}

TEST_CASE("huge pages that are reserved are not free", "[util][budget]") {
  const Root root;
  CHECK(FreeHugePages(root.path()) == 0);
  root.Write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "40\n");
  CHECK(FreeHugePages(root.path()) == 40);
  root.Write("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "15\n");
  CHECK(FreeHugePages(root.path()) == 25);
}

TEST_CASE("nothing known is no limit", "[util][budget]") {
  CHECK(AvailableMemory("/nowhere").bytes == UINT64_MAX);
  CHECK(AvailableMemory().bytes > 0);
}

}  // namespace
}  // namespace farfault
