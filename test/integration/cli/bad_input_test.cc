#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "test/integration/cli/command.h"

namespace farfault {
namespace {

struct Wrong {
  std::vector<std::string> arguments;
  int status = 0;
  std::vector<std::string> words;  ///< The error names the cause and the remedy.
};

void CheckRefused(const Wrong& wrong) {
  std::string command;
  for (const std::string& argument : wrong.arguments) command += argument + " ";
  INFO(command);
  CommandProcess process(Farfault(wrong.arguments));
  const int status = process.Wait(kPatience);
  const std::string err = process.Err();
  INFO("standard error: " << err);
  CHECK(status == wrong.status);
  CHECK(err.find("farfault: ") != std::string::npos);
  CHECK(process.Out().empty());
  for (const std::string& word : wrong.words) {
    INFO("should say: " << word);
    CHECK(err.find(word) != std::string::npos);
  }
}

TEST_CASE("bad usage is refused before anything starts") {
  for (const Wrong& wrong : std::vector<Wrong>{
           {{"teleport"}, 2, {"teleport", "--help"}},
           {{"demo", "--size"}, 2, {"--size"}},
           {{"demo", "--size", "much"}, 2, {"much", "1GiB"}},
           {{"demo", "--size", "12K"}, 2, {"12.0 KiB", "smallest"}},
           {{"demo", "--method", "magic"}, 2, {"magic", "demand, push, prepage"}},
           {{"demo", "--predictor", "oracle"}, 2, {"oracle", "bubbling"}},
           {{"demo", "--transport", "pigeon"}, 2, {"pigeon", "tcp", "sim"}},
           {{"demo", "--threads", "0"}, 2, {"--threads"}},
           {{"demo", "--seed", "x"}, 2, {"--seed"}},
           {{"demo", "--timeout", "10"}, 2, {"10s"}},
           {{"demo", "--anonymous", "--hugetlb"}, 2, {"--anonymous", "--hugetlb"}},
           {{"serve"}, 2, {"FILE"}},
           {{"serve", "/bin/sh"}, 2, {"--listen"}},
           {{"serve", "/bin/sh", "--listen", "7000"}, 2, {"7000", "tcp://"}},
           {{"serve", "/bin/sh", "--listen", "pigeon://1"}, 2, {"pigeon://1", "tcp"}},
           {{"serve", "/bin/sh", "--listen", "tcp://127.0.0.1:0", "--key-file", "/nonexistent"}, 2, {"/nonexistent"}},
           {{"fetch"}, 2, {"--from"}},
           {{"qemu-migrate"}, 2, {"--pager"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--source-qmp", "/x"}, 2, {"--destination-qmp"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--resume"}, 2, {"--source-qmp", "--ram"}},
           {{"qemu-migrate", "--pager", "tcp://127.0.0.1:1", "--ram", "/x"}, 2, {"--ram", "--resume"}},
           {{"fetch", "--from", "tcp://127.0.0.1:1", "--pattern", "zigzag"}, 2, {"zigzag", "random"}},
       }) {
    CheckRefused(wrong);
  }
}

TEST_CASE("sizes that no machine has are refused, with the largest that fits") {
  CheckRefused({{"demo", "--size", "900TiB"}, 1, {"900 TiB", "--size ", "M"}});
  CheckRefused({{"demo", "--hugetlb", "--size", "900TiB"}, 1, {"900 TiB", "twice", "vm.nr_hugepages=943718400"}});
}

TEST_CASE("files that cannot be served are refused") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("farfault-bad-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string empty = folder / "empty";
  REQUIRE(std::ofstream(empty).good());
  const auto serve = [](const std::string& path) {
    return std::vector<std::string>{"serve", path, "--listen", "tcp://127.0.0.1:0"};
  };
  CheckRefused({serve(empty), 1, {empty, "empty"}});
  CheckRefused({serve(folder / "missing"), 1, {"missing"}});
  CheckRefused({serve(folder), 1, {folder}});
  CheckRefused({serve("/dev/null"), 1, {"/dev/null"}});
  if (geteuid() != 0) {
    const std::string secret = folder / "secret";
    std::ofstream{secret} << "x";
    std::filesystem::permissions(secret, std::filesystem::perms::none);
    CheckRefused({serve(secret), 1, {secret}});
  }
  std::filesystem::remove_all(folder);
}

/// A TCP port on which somebody listens, who is not farfault.
class Stranger {
 public:
  Stranger() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(fd_, 8) == 0);
    REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    address_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~Stranger() { close(fd_); }
  const std::string& address() const { return address_; }

  /// Answers one connection with bytes that mean nothing, and closes it.
  void AnswerWithGarbage() {
    const int peer = accept(fd_, nullptr, nullptr);
    const std::string garbage = "HTTP/1.1 400 Bad Request\r\n\r\n" + std::string(300, 'x');
    static_cast<void>(send(peer, garbage.data(), garbage.size(), MSG_NOSIGNAL));
    close(peer);
  }

 private:
  int fd_;
  std::string address_;
};

TEST_CASE("an address in use is refused") {
  const Stranger stranger;
  CheckRefused({{"serve", "/bin/sh", "--listen", stranger.address()}, 1, {stranger.address()}});
}

TEST_CASE("an address where nobody is, is given up after --wait") {
  std::string address;
  {
    address = Stranger().address();
  }
  CheckRefused({{"fetch", "--from", address, "--wait", "500ms"}, 1, {address}});
  CheckRefused(
      {{"fetch", "--from", "tcp://no-such-host.invalid:7000", "--wait", "500ms"}, 1, {"no-such-host.invalid"}});
  CheckRefused({{"fetch", "--from", "tcp://127.0.0.1:notaport", "--wait", "500ms"}, 1, {"notaport"}});
}

TEST_CASE("a port that says nothing or nonsense is given up") {
  Stranger silent;
  CheckRefused({{"fetch", "--from", silent.address(), "--wait", "1s"}, 1, {silent.address()}});
  Stranger babbling;
  std::thread answer([&] { babbling.AnswerWithGarbage(); });
  CheckRefused({{"fetch", "--from", babbling.address(), "--wait", "1s"}, 1, {babbling.address()}});
  answer.join();
}

TEST_CASE("help and lists are on standard output") {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{},
                                                                                         {"--help"},
                                                                                         {"demo", "--help"},
                                                                                         {"serve", "--help"},
                                                                                         {"fetch", "--help"},
                                                                                         {"--version"},
                                                                                         {"predictors"}}) {
    CommandProcess process(Farfault(arguments));
    CHECK(process.Wait(kPatience) == 0);
    CHECK(process.Err().empty());
    CHECK_FALSE(process.Out().empty());
    CHECK(process.Out().find("demo-role") == std::string::npos);
  }
  CommandProcess help(Farfault({}));
  CHECK(help.Wait(kPatience) == 0);
  CHECK(help.Out().find("First steps") != std::string::npos);
  CommandProcess predictors(Farfault({"predictors"}));
  CHECK(predictors.Wait(kPatience) == 0);
  CHECK(predictors.Out().find("bubbling") != std::string::npos);
}

}  // namespace
}  // namespace farfault
