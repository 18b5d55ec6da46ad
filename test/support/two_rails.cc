#include "test/support/two_rails.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "test/support/rdma.h"
#include "test/support/rdma_link.h"

namespace farfault {
namespace {

constexpr char kInterface[] = "rdma1";
constexpr char kDevice[] = "rxe1";
constexpr char kAddress[] = "10.9.1.1";

bool IsUp() { return std::filesystem::exists(std::string("/sys/class/infiniband/") + kDevice + "/ports/1/gids"); }

// One for the whole process: it cannot go before librdmacm does.
class SecondDevice {
 public:
  SecondDevice() {
    const std::string interface = kInterface;
    RdmaLink::Run("ip link add " + interface + " type dummy");
    RdmaLink::Run("ip link set " + interface + " mtu 9000");
    RdmaLink::Run("ip addr add " + std::string(kAddress) + "/24 dev " + interface);
    RdmaLink::Run("ip link set " + interface + " up");
    RdmaLink::Run("rdma link add " + std::string(kDevice) + " type rxe netdev " + interface);
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!IsUp() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  }
  SecondDevice(const SecondDevice&) = delete;
  SecondDevice& operator=(const SecondDevice&) = delete;
  ~SecondDevice() {
    const std::string device = kDevice;
    RdmaLink::RunLater("rdma link delete " + device + "; while [ -e /sys/class/infiniband/" + device +
                       " ]; do sleep 0.1; done; ip link delete " + kInterface);
  }
};

// Both ends are in this process: the descriptor of either will do.
void ShutDownConnectionsAt(int port) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in peer{};
    socklen_t length = sizeof(peer);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || peer.sin_family != AF_INET) continue;
    if (ntohs(peer.sin_port) != port) continue;
    REQUIRE(shutdown(fd, SHUT_RDWR) == 0);
    ++found;
  }
  REQUIRE(found > 0);
}

}  // namespace

TwoRails::TwoRails() : first_("tcp://127.0.0.1"), second_host_("127.0.0.1"), second_path_("tcp://127.0.0.1") {
  if (!OverVerbs()) return;
  first_ = "verbs://" + RequireRdmaAddress();
  if (!RdmaLink::InMachine()) SKIP("this makes an RDMA device, which only a machine of ./dev vm allows");
  static const SecondDevice device;
  second_host_ = kAddress;
  second_path_ = std::string("RDMA device ") + kDevice;
}

void TwoRails::BreakSecond(const std::string& address) {
  if (OverVerbs()) {
    RdmaLink::Run(std::string("ip link set ") + kInterface + " down");
  } else {
    ShutDownConnectionsAt(std::stoi(address.substr(address.rfind(':') + 1)));
  }
}

}  // namespace farfault
