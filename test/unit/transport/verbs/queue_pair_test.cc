#include "lib/transport/verbs/queue_pair.h"

#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <string_view>
#include <vector>

#include "lib/transport/verbs/acceptance.h"
#include "lib/util/status_text.h"

// What is negotiated from devices, with devices that are made up.
namespace farfault {
namespace {

ibv_device_attr Device() {
  ibv_device_attr device{};
  device.max_qp_wr = 16384;
  device.max_cqe = 32768;
  device.max_qp_rd_atom = 16;
  device.max_qp_init_rd_atom = 32;
  return device;
}

constexpr ChannelOptions kDemand{.send_slots = 4096, .receive_slots = 64, .name = "demand"};

bool Mentions(const absl::Status& status, std::string_view what) {
  INFO(status.ToString());
  return StatusText(status).find(what) != std::string_view::npos;
}

TEST_CASE("a channel gets the queues that it asks for") {
  const auto sizes = GrantQueues(Device(), "mlx5_0", kDemand);
  REQUIRE(sizes.ok());
  CHECK(sizes->send_slots == 4096);
  CHECK(sizes->receive_slots == 64);
}

TEST_CASE("half of the requests are enough, and less is refused with both numbers") {
  ibv_device_attr device = Device();
  device.max_qp_wr = 2049;  // One is the channel's own.
  const auto half = GrantQueues(device, "mlx4_0", kDemand);
  REQUIRE(half.ok());
  CHECK(half->send_slots == 2048);
  device.max_qp_wr = 2048;
  const absl::Status small = GrantQueues(device, "mlx4_0", kDemand).status();
  CHECK(absl::IsFailedPrecondition(small));
  CHECK(Mentions(small, "RDMA device mlx4_0 has queues for 2047 requests at most, and this channel needs 2048"));
  CHECK(Mentions(small, "tcp://"));
}

TEST_CASE("receives and completions must all find room") {
  ibv_device_attr device = Device();
  device.max_qp_wr = 63;
  const absl::Status receives =
      GrantQueues(device, "mlx4_0", {.send_slots = 62, .receive_slots = 64, .name = "push"}).status();
  CHECK(absl::IsFailedPrecondition(receives));
  CHECK(Mentions(receives, "63 receives at most, and this channel needs 64"));
  device = Device();
  device.max_cqe = 4096;
  const absl::Status completions = GrantQueues(device, "mlx4_0", kDemand).status();
  CHECK(absl::IsFailedPrecondition(completions));
  CHECK(Mentions(completions, "4096 completions at most, and this channel needs 4161"));
}

TEST_CASE("READs at once are bounded by the device and by the choice") {
  ibv_device_attr device = Device();
  CHECK(ReadDepthOf(device, {}).own == 32);
  CHECK(ReadDepthOf(device, {}).peers == 16);
  VerbsChoice choice;
  choice.reads = 4;
  CHECK(ReadDepthOf(device, choice).own == 4);
  CHECK(ReadDepthOf(device, choice).peers == 16);
  device.max_qp_init_rd_atom = 1;
  device.max_qp_rd_atom = 1;
  CHECK(ReadDepthOf(device, choice).own == 1);
  CHECK(ReadDepthOf(device, choice).peers == 1);
  device.max_qp_rd_atom = 1000;  // More than the connection manager has room for.
  CHECK(ReadDepthOf(device, {}).peers == 254);
}

TEST_CASE("the accepting end says what MTU it can do, and nonsense says nothing") {
  const Acceptance encoded = EncodeAcceptance(IBV_MTU_1024);
  CHECK(DecodeAcceptance(encoded) == IBV_MTU_1024);
  // The connection manager pads with zeros.
  std::vector<std::byte> padded(encoded.begin(), encoded.end());
  padded.resize(196);
  CHECK(DecodeAcceptance(padded) == IBV_MTU_1024);
  CHECK(!DecodeAcceptance({}));
  CHECK(!DecodeAcceptance(std::vector<std::byte>(196)));
  Acceptance wrong = encoded;
  wrong.back() = std::byte{6};
  CHECK(!DecodeAcceptance(wrong));
  wrong.back() = std::byte{0};
  CHECK(!DecodeAcceptance(wrong));
}

}  // namespace
}  // namespace farfault
