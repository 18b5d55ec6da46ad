#include "lib/cli/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

struct Folder {
  Folder() { fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path path = fs::temp_directory_path() / ("farfault-output-" + std::to_string(getpid()));
};

/// Root may write everywhere: for as long as this lives the process is another user's.
class OrdinaryUser {
 public:
  OrdinaryUser() {
    // Where the user namespace knows no other user (unshare -r) there is none to become.
    if (was_ == 0 && seteuid(65534) != 0) SKIP("root cannot become another user here: " << std::strerror(errno));
  }
  ~OrdinaryUser() {
    if (was_ == 0 && seteuid(0) != 0) std::abort();
  }

 private:
  const uid_t was_ = geteuid();
};

TEST_CASE("Asking whether a file can be written leaves everything as it was", "[cli]") {
  const Folder folder;
  const fs::path file = folder.path / "file";
  CHECK(CheckWritable(file).ok());
  CHECK_FALSE(fs::exists(file));
  std::ofstream(file) << "contents";
  CHECK(CheckWritable(file).ok());
  std::ifstream read(file);
  CHECK(std::string(std::istreambuf_iterator<char>(read), {}) == "contents");
  CHECK(CheckWritable("/dev/null").ok());
  // Nobody reads from it, and to open it would wait for ever.
  const fs::path pipe = folder.path / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(CheckWritable(pipe).ok());
}

TEST_CASE("Why a file cannot be written is said with what to do", "[cli]") {
  const Folder folder;
  const auto why = [](const fs::path& path) { return std::string(CheckWritable(path).message()); };
  CHECK_THAT(why(folder.path / "none" / "file"),
             ContainsSubstring("/none/file\" cannot be written: No such file or directory; make its folder first"));
  CHECK_THAT(why(folder.path), ContainsSubstring("Is a directory; name a file in that folder"));
  std::ofstream(folder.path / "file") << "x";
  CHECK_THAT(why(folder.path / "file" / "below"), ContainsSubstring("a part of its path is a file"));
  CHECK_THAT(std::string(NotWritable("/x", ENOSPC).message()), ContainsSubstring("make room there"));
  REQUIRE(chmod(folder.path.c_str(), 0555) == 0);
  std::string secret;
  {
    const OrdinaryUser user;
    secret = why(folder.path / "other");
  }
  REQUIRE(chmod(folder.path.c_str(), 0755) == 0);
  CHECK_THAT(secret, ContainsSubstring("Permission denied; name a file in a folder where this user may write"));
}

TEST_CASE("A file that this user may not write is told from a folder", "[cli]") {
  const Folder folder;
  const fs::path file = folder.path / "file";
  std::ofstream(file) << "x";
  REQUIRE(chmod(file.c_str(), 0444) == 0);
  REQUIRE(chmod(folder.path.c_str(), 0777) == 0);
  const OrdinaryUser user;
  CHECK_THAT(std::string(CheckWritable(file).message()),
             ContainsSubstring("Permission denied; let this user write it (chmod, chown), or name another file"));
}

TEST_CASE("A link to a file that is not there counts for what it points to", "[cli]") {
  const Folder folder;
  const fs::path link = folder.path / "link";
  fs::create_symlink("made", link);
  CHECK(CheckWritable(link).ok());
  CHECK_FALSE(fs::exists(folder.path / "made"));
  CHECK(fs::is_symlink(link));
  fs::create_symlink(folder.path / "none" / "file", folder.path / "astray");
  fs::create_symlink("astray", folder.path / "further");
  for (const char* const name : {"astray", "further"}) {
    const std::string why(CheckWritable(folder.path / name).message());
    CHECK_THAT(why, ContainsSubstring("/none/file\", where the link \""));
    CHECK_THAT(why, ContainsSubstring("No such file or directory; make its folder first"));
  }
}

TEST_CASE("A file that is to be replaced needs not to be writable", "[cli]") {
  const Folder folder;
  const fs::path file = folder.path / "file";
  const fs::path draft = folder.path / "file.new";
  std::ofstream(file) << "contents";
  REQUIRE(chmod(file.c_str(), 0444) == 0);
  REQUIRE(chmod(folder.path.c_str(), 0777) == 0);
  {
    const OrdinaryUser user;
    CHECK_FALSE(CheckWritable(file).ok());
    CHECK(CheckReplaceable(file, draft).ok());
    CHECK(CheckUpdatable(file, draft).ok());
  }
  CHECK_FALSE(fs::exists(draft));
  // Of a process that was killed.
  std::ofstream(draft) << "left";
  CHECK(CheckReplaceable(file, draft).ok());
  CHECK(fs::exists(draft));
}

TEST_CASE("A file that is to be replaced needs a place, and one for its draft", "[cli]") {
  const Folder folder;
  const fs::path file = folder.path / "file";
  const fs::path draft = folder.path / "file.new";
  const auto why = [](const fs::path& path, const fs::path& beside) {
    return std::string(CheckReplaceable(path, beside).message());
  };
  CHECK_THAT(why(folder.path, folder.path.string() + ".new"), ContainsSubstring("Is a directory"));
  CHECK_THAT(why("", ".new"), ContainsSubstring("No such file"));
  CHECK_THAT(why(folder.path / "none" / "file", folder.path / "none" / "file.new"),
             ContainsSubstring("/none/file\" cannot be written: No such file or directory; make its folder first"));
  fs::create_directory(draft);
  CHECK_THAT(why(file, draft), ContainsSubstring("/file.new\" cannot be written: Is a directory"));
  fs::remove(draft);
  std::ofstream(file) << "x";
  std::ofstream(draft) << "x";
  REQUIRE(chmod(folder.path.c_str(), 0555) == 0);
  std::string with_draft;
  std::string without;
  {
    const OrdinaryUser user;
    with_draft = why(file, draft);
    without = why(file, folder.path / "file.1");
  }
  REQUIRE(chmod(folder.path.c_str(), 0755) == 0);
  for (const std::string& said : {with_draft, without}) {
    CHECK_THAT(said, ContainsSubstring("/file\" cannot be written: Permission denied; name a file in a folder"));
  }
}

TEST_CASE("A file that is gone on with needs no place for a draft", "[cli]") {
  const Folder folder;
  const fs::path file = folder.path / "file";
  const fs::path draft = folder.path / "file.new";
  std::ofstream(file) << "contents";
  REQUIRE(chmod(file.c_str(), 0666) == 0);
  REQUIRE(chmod(folder.path.c_str(), 0555) == 0);
  absl::Status usable;
  absl::Status other;
  {
    const OrdinaryUser user;
    usable = CheckUpdatable(file, draft);
    other = CheckUpdatable(folder.path / "other", folder.path / "other.new");
  }
  REQUIRE(chmod(folder.path.c_str(), 0755) == 0);
  CHECK(usable.ok());
  CHECK_THAT(std::string(other.message()), ContainsSubstring("name a file in a folder where this user may write"));
  CHECK(fs::file_size(file) == 8);
}

}  // namespace
}  // namespace farfault
