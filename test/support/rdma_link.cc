#include "test/support/rdma_link.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "test/support/rdma.h"

namespace farfault {
namespace {

// Locked while the device is being made anew.
constexpr const char* kLock = "/run/farfault-rdma-link.lock";

bool Succeeds(const std::string& command) { return std::system(command.c_str()) == 0; }

std::string FirstWord(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

}  // namespace

RdmaLink::RdmaLink() {
  if (!InMachine()) SKIP("this takes the RDMA device away, which only a machine of ./dev vm allows");
  address_ = RequireRdmaAddress();
  interface_ = FirstWord("/sys/class/infiniband/" + device_ + "/parent");
  REQUIRE(!interface_.empty());
}

RdmaLink::~RdmaLink() {
  if (!changed_) return;
  RunLater(fmt::format(
      "ip addr replace {1}/24 dev {2}; ip link set {2} up;"
      "rdma link delete {0};"
      "for i in $(seq 600); do rdma link add {0} type rxe netdev {2} && break; sleep 0.1; done;"
      "for i in $(seq 100); do grep -q ^4: /sys/class/infiniband/{0}/ports/1/state && break; sleep 0.1; done",
      device_, address_, interface_));
}

bool RdmaLink::InMachine() {
  const char* const host = std::getenv("FARFAULT_HOST");
  return host != nullptr && *host != '\0';
}

void RdmaLink::RunLater(const std::string& commands) {
  // The lock goes with the last who has this descriptor, which is the shell.
  const int lock = open(kLock, O_RDWR | O_CREAT, 0600);
  static_cast<void>(flock(lock, LOCK_EX));
  Succeeds("setsid sh -c '" + commands + "' >/dev/null 2>&1 &");
  close(lock);
}

void RdmaLink::AwaitRestored() {
  if (!InMachine()) return;
  const int lock = open(kLock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  static_cast<void>(flock(lock, LOCK_EX));
  close(lock);
}

void RdmaLink::Run(const std::string& command) {
  INFO(command);
  REQUIRE(Succeeds(command));
}

void RdmaLink::SetDown() {
  changed_ = true;
  Run("ip link set " + interface_ + " down");
}

void RdmaLink::SetUp() {
  Run("ip link set " + interface_ + " up");
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  const std::string state = "/sys/class/infiniband/" + device_ + "/ports/1/state";
  while (FirstWord(state) != "4:" && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
}

void RdmaLink::BeginRemoval() {
  changed_ = true;
  Run("setsid rdma link delete " + device_ + " >/dev/null 2>&1 &");
}

void RdmaLink::Remove() {
  changed_ = true;
  Run("rdma link delete " + device_);
}

}  // namespace farfault
