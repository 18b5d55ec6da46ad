#include "lib/cli/pager/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <string>

#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

struct Socket {
  explicit Socket(int type) : fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::copy(path.begin(), path.end(), address.sun_path);
    fs::remove(path);
    REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~Socket() { fs::remove(path); }

  std::string path = fs::temp_directory_path() / ("farfault-unix-socket-" + std::to_string(getpid()));
  UniqueFd fd;
};

TEST_CASE("why a socket cannot be connected to", "[pager]") {
  {
    const Socket datagrams(SOCK_DGRAM);
    const std::string why(ConnectUnix(datagrams.path).status().message());
    CHECK_THAT(why, ContainsSubstring("is no stream socket; check the path"));
    CHECK_THAT(why, !ContainsSubstring("may this user"));
  }
  const Socket deaf(SOCK_STREAM);
  CHECK_THAT(std::string(ConnectUnix(deaf.path).status().message()), ContainsSubstring("nobody listens"));
  REQUIRE(chmod(deaf.path.c_str(), 0) == 0);
  if (geteuid() == 0 && seteuid(65534) != 0) SKIP("root, who may connect to everything, cannot be another user here");
  const std::string secret(ConnectUnix(deaf.path).status().message());
  if (getuid() == 0) REQUIRE(seteuid(0) == 0);
  CHECK_THAT(secret, ContainsSubstring("may this user write to it?"));
}

}  // namespace
}  // namespace farfault
