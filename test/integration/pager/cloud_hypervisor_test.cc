#include "lib/cli/pager/cloud_hypervisor.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "lib/cli/pager/unix_socket.h"
#include "lib/util/mapping.h"
#include "test/integration/cli/command.h"
#include "test/integration/pager/pager_rig.h"
#include "test/support/guest_process.h"
#include "test/support/memory_machine.h"

// A stand-in for the Cloud Hypervisor that receives: it takes a local migration in, byte by byte as
// vm-migration/src/protocol.rs has it, and asks for pages.
namespace farfault {
namespace {

constexpr std::uint64_t kLow = 2u << 20;
constexpr std::uint64_t kHigh = 1u << 20;
constexpr std::uint64_t kHighGpa = 4ull << 30;
constexpr std::string_view kState = "the state of all devices";

std::uint64_t LittleEndian(const std::uint8_t* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i > 0; --i) value = value << 8 | bytes[i - 1];
  return value;
}

class Receiver {
 public:
  explicit Receiver(const std::string& path) : listener_(ListenUnix(path).value()) {}

  UniqueFd Accept() const {
    for (int i = 0; i < 20'000; ++i) {
      UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (socket.valid()) return socket;
      usleep(10'000);
    }
    FAIL("nobody connects");
    return {};
  }

 private:
  UniqueFd listener_;
};

struct Message {
  std::uint64_t number = 0;
  std::uint64_t length = 0;
};

Message ReadCommand(int socket) {
  std::array<std::uint8_t, 16> bytes{};
  REQUIRE(ReceiveAll(socket, bytes.data(), bytes.size()).ok());
  return {LittleEndian(bytes.data(), 2), LittleEndian(bytes.data() + 8, 8)};
}

void SendOk(int socket) { REQUIRE(SendAll(socket, std::string("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)).ok()); }

std::string ReadPayload(int socket, std::uint64_t length) {
  std::string payload(length, '\0');
  REQUIRE(ReceiveAll(socket, payload.data(), length).ok());
  return payload;
}

/// 1: Ok, with no bytes behind it.
std::uint64_t AskForPages(int socket, std::uint64_t gpa, std::uint64_t length) {
  std::array<std::uint8_t, 32> request{9};
  request[8] = 16;
  std::memcpy(request.data() + 16, &gpa, 8);
  std::memcpy(request.data() + 24, &length, 8);
  REQUIRE(SendAll(socket, {reinterpret_cast<const char*>(request.data()), request.size()}).ok());
  std::array<std::uint8_t, 16> response{};
  if (!ReceiveAll(socket, response.data(), response.size()).ok()) return 0;
  CHECK(LittleEndian(response.data() + 8, 8) == 0);
  return LittleEndian(response.data(), 2);
}

struct Received {
  UniqueFd control;
  UniqueFd faults;
  Mapping memory;
};

Received TakeIn(const Receiver& receiver) {
  Received received;
  received.control = receiver.Accept();
  const int control = received.control.get();
  const Message start = ReadCommand(control);
  CHECK(start.number == 1);
  CHECK(start.length == 0);
  SendOk(control);
  for (std::uint64_t slot = 0; slot < 2; ++slot) {
    const Message memory = ReadCommand(control);
    REQUIRE(memory.number == 7);
    REQUIRE(memory.length == 4);
    std::array<char, 4> number{};
    auto with_fd = ReceiveWithFds(control, number);
    REQUIRE(with_fd.ok());
    REQUIRE(with_fd->bytes == 4);
    REQUIRE(with_fd->fds.size() == 1);
    CHECK(number[0] == static_cast<char>(slot));
    auto mapping = Mapping::Map(
        {.length = kLow + kHigh, .protection = PROT_READ, .flags = MAP_SHARED, .fd = with_fd->fds[0].get()});
    REQUIRE(mapping.ok());
    received.memory = *std::move(mapping);
    SendOk(control);
  }
  const Message config = ReadCommand(control);
  REQUIRE(config.number == 2);
  CHECK(nlohmann::json::parse(ReadPayload(control, config.length))["memory_mode"] == "Postcopy");
  SendOk(control);
  received.faults = receiver.Accept();
  std::array<std::uint8_t, 2> role{};
  REQUIRE(ReceiveAll(received.faults.get(), role.data(), role.size()).ok());
  CHECK(LittleEndian(role.data(), 2) == 2);
  // Devices are restored before the guest runs, and want pages.
  const Message state = ReadCommand(control);
  REQUIRE(state.number == 3);
  CHECK(ReadPayload(control, state.length) == kState);
  CHECK(AskForPages(received.faults.get(), 0x3000, 4096) == 1);
  SendOk(control);
  CHECK(ReadCommand(control).number == 5);
  SendOk(control);
  return received;
}

std::string MigrationFolder(const ServedImage& image) {
  std::ofstream(image.path("migration_config.json")) << fmt::format(
      R"({{"memory_mode":"Precopy","vm_config":{{"balloon":{{"size":0}}}},"memory_manager_data":{{"guest_ram_mappings":[
           {{"slot":0,"gpa":0,"size":{},"file_offset":0}},{{"slot":1,"gpa":{},"size":{},"file_offset":{}}}]}}}})",
      kLow, kHighGpa, kHigh, kLow);
  std::ofstream(image.path("state.json")) << kState;
  return image.path("");
}

std::vector<std::string> PagerFor(const ServedImage& image, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"pager",
                                        "--cloud-hypervisor",
                                        image.path("ch.sock"),
                                        "--migration",
                                        MigrationFolder(image),
                                        "--from",
                                        image.address(),
                                        "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Farfault(arguments);
}

TEST_CASE("a Cloud Hypervisor gets its pages when it asks for them", "[pager]") {
  RequireUserfaultfd();
  ServedImage image(kLow + kHigh);
  const Receiver receiver(image.path("ch.sock"));
  CommandProcess pager(PagerFor(image, {"--rest"}));
  Received received = TakeIn(receiver);
  std::uint64_t wrong = 0;
  const auto ask = [&](std::uint64_t page, std::uint64_t pages) {
    const std::uint64_t offset = page * 4096;
    const std::uint64_t gpa = offset < kLow ? offset : kHighGpa + offset - kLow;
    REQUIRE(AskForPages(received.faults.get(), gpa, pages * 4096) == 1);
    for (std::uint64_t at = page; at < page + pages; ++at) {
      wrong += HashPage(received.memory.bytes().subspan(at * 4096, 4096)) != image.Sum(at) ? 1u : 0u;
    }
  };
  for (std::uint64_t page = 0; page < image.pages(); page += 7) ask(page, 1);
  for (std::uint64_t page = 0; page + 16 <= image.pages(); page += 16) ask(page, 16);
  CHECK(wrong == 0);
  received.faults.reset();
  REQUIRE(pager.Wait(kPatience) == 0);
  const nlohmann::json report = ReportOf(pager);
  CHECK(report["end"] == "resident");
  CHECK(report["requests"].get<std::uint64_t>() > image.pages() / 7);
  CHECK(pager.Err().find("hint: the guest has a balloon (--balloon)") != std::string::npos);
}

TEST_CASE("a Cloud Hypervisor that hangs up or asks for nonsense ends the pager with the reason", "[pager]") {
  RequireUserfaultfd();
  ServedImage image(kLow + kHigh);
  const Receiver receiver(image.path("ch.sock"));
  CommandProcess pager(PagerFor(image, {}));
  Received received = TakeIn(receiver);
  SECTION("it hangs up") {
    received.faults.reset();
    CHECK(pager.Wait(kPatience) == 1);
    CHECK(pager.Err().find("Cloud Hypervisor has hung up") != std::string::npos);
  }
  SECTION("memory that it does not have") {
    CHECK(AskForPages(received.faults.get(), kLow, 4096) == 2);
    CHECK(pager.Wait(kPatience) == 1);
    CHECK(pager.Err().find("where it has no memory") != std::string::npos);
  }
  SECTION("another command") {
    REQUIRE(SendAll(received.faults.get(), std::string("\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)).ok());
    CHECK(pager.Wait(kPatience) == 1);
    CHECK(pager.Err().find("something else than a page") != std::string::npos);
  }
}

TEST_CASE("a Cloud Hypervisor that refuses the migration, and one that is not there", "[pager]") {
  ServedImage image(kLow + kHigh);
  {
    CommandProcess pager(PagerFor(image, {}));
    CHECK(pager.Wait(kPatience) == 1);
    CHECK(pager.Err().find("nobody listens on the socket") != std::string::npos);
  }
  RequireUserfaultfd();
  const Receiver receiver(image.path("ch.sock"));
  CommandProcess pager(PagerFor(image, {}));
  const UniqueFd control = receiver.Accept();
  CHECK(ReadCommand(control.get()).number == 1);
  REQUIRE(SendAll(control.get(), std::string("\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)).ok());
  CHECK(pager.Wait(kPatience) == 1);
  CHECK(pager.Err().find("refuses the start of the migration") != std::string::npos);
}

}  // namespace
}  // namespace farfault
