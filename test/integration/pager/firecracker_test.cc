#include <fmt/format.h>
#include <linux/userfaultfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <csignal>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "lib/cli/pager/unix_socket.h"
#include "lib/cli/pager/working_set.h"
#include "lib/util/splitmix.h"
#include "test/integration/cli/command.h"
#include "test/integration/pager/micro_vm.h"
#include "test/integration/pager/pager_rig.h"
#include "test/support/guest_process.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

// `farfault pager` and a stand-in for Firecracker that says what Firecracker says, byte by byte (its
// src/vmm/src/persist.rs), from a process with guest memory of its own.
namespace farfault {
namespace {

TEST_CASE("a microVM of any version runs on pages from farfault serve", "[pager]") {
  RequireUserfaultfd();
  const Version version = GENERATE(Version::k1_6, Version::k1_11, Version::k1_12);
  ForkedGuest guest(MicroVm());
  ServedImage image(2 * kPart);
  CommandProcess pager(image.PagerCommand({"--once", "--json", "--rest"}));
  WaitUntilListening(pager);
  // Up to 1.11 the connection ends with the message.
  guest.HandOver(image.socket(), {{TextOf(guest, version), 1}}, version != Version::k1_12);
  CHECK(guest.Sum(kPages - 1) == image.Sum(kPages - 1));
  CHECK(WrongPages(guest, image) == 0);
  const int status = pager.Wait(kPatience);
  INFO(pager.Err());
  REQUIRE(status == 0);
  const nlohmann::json report = ReportOf(pager);
  CHECK(report["end"] == "resident");
  CHECK(report["pages"] == kPages);
  CHECK(report["pages_resident"] == kPages);
  CHECK(report["guest"] == fmt::format("process {}", guest.pid()));
}

TEST_CASE("a handshake may come in pieces, its descriptor late, among strangers", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest guest(MicroVm());
  ServedImage image(2 * kPart, {"--push"});
  const std::string text = TextOf(guest, Version::k1_12, ",\"mem_type\":{\"unknown\":[1,2]}");
  std::vector<ForkedGuest::Piece> pieces;
  SECTION("byte by byte") {
    for (const char c : text) pieces.push_back({std::string(1, c)});
    pieces.front().fds = 1;
  }
  SECTION("the descriptor comes with the last byte") {
    pieces = {{text.substr(0, 20)}, {text.substr(20, text.size() - 21), 0, 50}, {text.substr(text.size() - 1), 1, 50}};
  }
  SECTION("the descriptor comes after the text") { pieces = {{text}, {std::string(1, '\0'), 1, 300}}; }
  SECTION("the text comes slowly") { pieces = {{text.substr(0, 1), 1}, {text.substr(1), 0, 700}}; }
  CommandProcess pager(image.PagerCommand({"--once", "--json"}));
  WaitUntilListening(pager);
  // They say nothing and stay.
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 3; ++i) silent.push_back(ConnectUnix(image.socket()).value());
  guest.HandOver(image.socket(), pieces);
  CHECK(WrongPages(guest, image) == 0);
  REQUIRE(pager.Wait(kPatience) == 0);
  CHECK(ReportOf(pager)["end"] == "resident");
}

TEST_CASE("strangers and hostile handshakes are sent away with the reason, and the next guest is served", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest guest(MicroVm());
  ServedImage image(2 * kPart);
  CommandProcess pager(image.PagerCommand({"--once", "--json", "--rest", "--patience", "1s"}));
  WaitUntilListening(pager);
  struct Hostile {
    std::string bytes;
    std::string complaint;
    int fds = 0;
  };
  const std::string good = TextOf(guest, Version::k1_12);
  std::string too_many = "[";
  for (int i = 0; i < 5000; ++i) {
    too_many +=
        fmt::format("{}{{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":{}}}", i == 0 ? "" : ",", i * 4096);
  }
  for (const Hostile& hostile : std::vector<Hostile>{
           {"", "without a word"},
           {"GET / HTTP/1.1\r\n\r\n", "not JSON"},
           {"{}", "not a list of regions"},
           {"[]", "not a list of regions"},
           {"[1]", "not an object"},
           {"[{}]", "\"base_host_virt_addr\" is missing"},
           {"[{\"base_host_virt_addr\":-4096,\"size\":4096,\"offset\":0}]", "whole number"},
           {"[{\"base_host_virt_addr\":4096,\"size\":1e3,\"offset\":0}]", "whole number"},
           {"[{\"base_host_virt_addr\":4096,\"size\":4095,\"offset\":0}]", "not a multiple of its page size"},
           {"[{\"base_host_virt_addr\":4096,\"size\":0,\"offset\":0}]", "size is 0"},
           {"[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":0,\"page_size\":12345}]", "power of two"},
           {"[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":8192}]", "do not make up an image"},
           {"[{\"base_host_virt_addr\":4096,\"size\":9223372036854775807,\"offset\":0}]", "multiple"},
           {"[{\"base_host_virt_addr\":4096,\"size\":9223372036854771712,\"offset\":4096}]", "reach too far"},
           {too_many + "]", "5000 regions; 4096 are allowed"},
           {"[" + std::string(2u << 20, ' '), "longer than"},
           {std::string(100'000, '['), "in the middle of its handshake"},
           {good, "before its userfaultfd came"},
       }) {
    INFO(hostile.bytes.substr(0, 200));
    UniqueFd socket = ConnectUnix(image.socket()).value();
    // It may send us away before all is said.
    SendAll(socket.get(), hostile.bytes).IgnoreError();
    shutdown(socket.get(), SHUT_WR);
    REQUIRE(pager.WaitForErr(hostile.complaint, absl::Seconds(30)));
  }
  {
    // Descriptors that are no userfaultfd, and more than there should be.
    UniqueFd socket = ConnectUnix(image.socket()).value();
    const std::vector<int> fds = {0, 0, 0};
    SendAll(socket.get(), good, fds).IgnoreError();
    REQUIRE(pager.WaitForErr("with 3 descriptors", absl::Seconds(30)));
  }
  guest.HandOver(image.socket(), {{good, 1}});
  CHECK(WrongPages(guest, image) == 0);
  REQUIRE(pager.Wait(kPatience) == 0);
}

TEST_CASE("guests that do not match the image, and descriptors that are no userfaultfd, are refused", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest guest(MicroVm());
  ServedImage image(kPart);
  CommandProcess pager(image.PagerCommand({"--json"}));
  WaitUntilListening(pager);
  guest.HandOver(image.socket(), {{TextOf(guest, Version::k1_12), 1}});
  REQUIRE(pager.WaitForErr(
      fmt::format("the guest has {} bytes of memory, the source's image {}: serve this guest's own image", 2 * kPart,
                  kPart),
      kPatience));
  UniqueFd socket = ConnectUnix(image.socket()).value();
  const std::vector<int> fds = {STDERR_FILENO};
  const GuestMapping first = guest.mappings()[0];
  REQUIRE(SendAll(socket.get(),
                  fmt::format("[{{\"base_host_virt_addr\":{},\"size\":{},\"offset\":0,\"pid\":{}}}]", first.address,
                              first.length, guest.pid()),
                  fds)
              .ok());
  REQUIRE(pager.WaitForErr("is not a userfaultfd", kPatience));
  pager.Signal(SIGTERM);
  CHECK(pager.Wait(kPatience) == 0);
}

TEST_CASE("a microVM's balloon may discard pages while they are paged in, and they are zeros then", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest guest(MicroVm());
  ServedImage image(2 * kPart, {"--push"});
  CommandProcess pager(image.PagerCommand({"--once", "--json"}));
  WaitUntilListening(pager);
  guest.HandOver(image.socket(), {{TextOf(guest, Version::k1_12), 1}});
  // Each discard makes copies that are under way fail with EAGAIN until its event has been read.
  std::vector<bool> discarded(kPages);
  SplitMix64 random(1);
  std::uint64_t wrong = 0;
  const std::vector<std::byte> zeros(4096);
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t page = random.Next() % kPages;
    if (i % 3 != 0) {
      guest.Discard(page, 1);
      discarded[page] = true;
    }
    wrong += guest.Sum(page) != (discarded[page] ? HashPage(zeros) : image.Sum(page)) ? 1u : 0u;
  }
  REQUIRE(pager.Wait(kPatience) == 0);
  for (std::uint64_t page = 0; page < kPages; ++page) {
    wrong += guest.Sum(page) != (discarded[page] ? HashPage(zeros) : image.Sum(page)) ? 1u : 0u;
  }
  CHECK(wrong == 0);
}

TEST_CASE("discards as fast as a balloon can make them are all seen, and paging goes on", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest guest(MicroVm());
  ServedImage image(2 * kPart, {"--push"});
  CommandProcess pager(image.PagerCommand({"--once", "--json"}));
  WaitUntilListening(pager);
  guest.HandOver(image.socket(), {{TextOf(guest, Version::k1_12), 1}});
  const std::vector<std::byte> zeros(4096);
  std::uint64_t wrong = 0;
  for (std::uint64_t from = 0; from < kPages; from += 64) {
    guest.DiscardEach(from, 32);
    wrong += guest.Sum(from) != HashPage(zeros) ? 1u : 0u;
    wrong += guest.Sum(from + 40) != image.Sum(from + 40) ? 1u : 0u;
  }
  REQUIRE(pager.Wait(kPatience) == 0);
  for (std::uint64_t page = 0; page < kPages; ++page) {
    wrong += guest.Sum(page) != (page % 64 < 32 ? HashPage(zeros) : image.Sum(page)) ? 1u : 0u;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a microVM on huge pages is paged in huge pages, from an image that is served so", "[pager]") {
  RequireUserfaultfd();
  const auto pool = HugePagePool::Provide(4);
  if (!pool.ok()) SkipFor(pool.status().ToString());
  ForkedGuest::Spec spec = MicroVm();
  spec.huge = true;
  spec.features |= UFFD_FEATURE_MISSING_HUGETLBFS;
  ForkedGuest guest(spec);
  std::string text = TextOf(guest, Version::k1_11);
  for (std::size_t at = text.find("4096"); at != std::string::npos; at = text.find("4096", at)) {
    if (text.compare(at - 1, 1, ":") == 0) text.replace(at, 4, "2097152");
    ++at;
  }
  {
    const ServedImage small(2 * kPart);
    CommandProcess pager(small.PagerCommand({}));
    WaitUntilListening(pager);
    guest.HandOver(small.socket(), {{text, 1}});
    REQUIRE(pager.WaitForErr("serve the image with the guest's page size (farfault serve --page-size)", kPatience));
  }
  ServedImage image(2 * kPart, {"--page-size", "2M"});
  CommandProcess pager(image.PagerCommand({"--once", "--json", "--rest"}));
  WaitUntilListening(pager);
  guest.HandOver(image.socket(), {{text, 1}});
  CHECK(WrongPages(guest, image) == 0);
  REQUIRE(pager.Wait(kPatience) == 0);
  CHECK(ReportOf(pager)["pages"] == 2);
}

TEST_CASE("the pager goes on without a guest that has exited, and serves several", "[pager]") {
  RequireUserfaultfd();
  ForkedGuest first(MicroVm());
  ForkedGuest second(MicroVm());
  ServedImage image(2 * kPart);
  CommandProcess pager(image.PagerCommand({"--json"}));
  WaitUntilListening(pager);
  first.HandOver(image.socket(), {{TextOf(first, Version::k1_12), 1}});
  CHECK(first.Sum(7) == image.Sum(7));
  // The source takes one destination after the other.
  second.HandOver(image.socket(), {{TextOf(second, Version::k1_12), 1}});
  first.Kill();
  REQUIRE(pager.WaitForErr("process that the guest lives in has exited", kPatience));
  CHECK(second.Sum(9) == image.Sum(9));
  pager.Signal(SIGTERM);
  CHECK(pager.Wait(kPatience) == 0);
  // Nobody has answered it, and nobody has made zeros of it.
  second.BeginSum(11);
  absl::SleepFor(absl::Milliseconds(100));
  CHECK_FALSE(second.finished());
}

}  // namespace
}  // namespace farfault
