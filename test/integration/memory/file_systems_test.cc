#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <span>
#include <string>

#include "farfault/farfault.h"
#include "lib/page/guest_mapping.h"
#include "lib/util/mapping.h"
#include "lib/util/unique_fd.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

// Memory whose file lies on a file system with layers or subvolumes, where the kernel's lists of mappings need not
// name a file as fstat does.
namespace farfault {
namespace {

constexpr std::uint64_t kLength = 1u << 20;

/// A file system on top of a tmpfs of our own.
class StackedMount {
 public:
  StackedMount() {
    auto base = TmpfsMount::Create("size=400M");
    if (!base.ok()) SkipFor(base.status().ToString());
    base_.emplace(*std::move(base));
  }
  StackedMount(const StackedMount&) = delete;
  StackedMount& operator=(const StackedMount&) = delete;
  ~StackedMount() { Run("umount -l top"); }

  void MountOverlay() {
    Need(
        "mkdir lower upper work top && touch lower/memory && mount -t overlay farfault top "
        "-o lowerdir=lower,upperdir=upper,workdir=work");
    file_ = base_->path() + "/top/memory";
  }

  void MountBtrfsSubvolume() {
    Need(
        "mkdir top && truncate -s 256M disk && mkfs.btrfs -q disk && mount -o loop disk top && "
        "btrfs subvolume create top/part && touch top/part/memory");
    file_ = base_->path() + "/top/part/memory";
  }

  const std::string& file() const { return file_; }

 private:
  bool Run(const std::string& script) {
    const std::string command =
        fmt::format("cd '{}' && PATH=$PATH:/usr/sbin:/sbin && {{ {}; }} >log 2>&1", base_->path(), script);
    return std::system(command.c_str()) == 0;
  }

  void Need(const std::string& script) {
    if (Run(script)) return;
    std::string why;
    std::getline(std::ifstream(base_->path() + "/log"), why, '\0');
    SkipFor(fmt::format("'{}' failed: {}", script, why));
  }

  std::optional<TmpfsMount> base_;
  std::string file_;
};

TEST_CASE("memory on a file system with layers or subvolumes is told from other files", "[memory]") {
  const bool layers = GENERATE(true, false);
  CAPTURE(layers);
  StackedMount mount;
  if (layers) {
    mount.MountOverlay();
  } else {
    mount.MountBtrfsSubvolume();
  }
  const UniqueFd file(open(mount.file().c_str(), O_RDWR | O_CLOEXEC));
  const UniqueFd other(open((mount.file() + "-2").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE((file.valid() && other.valid()));
  REQUIRE((ftruncate(file.get(), kLength) == 0 && ftruncate(other.get(), kLength) == 0));
  auto mapping = Mapping::Map({.length = kLength, .flags = MAP_SHARED, .fd = file.get()});
  REQUIRE(mapping.ok());
  Region region{.name = "ram", .base = mapping->data(), .length = kLength, .fd = file.get()};
  const absl::Status same = CheckGuestMappings(std::span(&region, 1));
  INFO(same.ToString());
  CHECK(same.ok());
  region.fd = other.get();
  CHECK(absl::IsInvalidArgument(CheckGuestMappings(std::span(&region, 1))));
}

}  // namespace
}  // namespace farfault
