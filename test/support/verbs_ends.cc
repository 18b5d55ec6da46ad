#include "test/support/verbs_ends.h"

#include <poll.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"
#include "test/support/rdma.h"

namespace farfault {

std::unique_ptr<Transport> NewTransport(const std::string& address) {
  auto transport = MakeTransport(address);
  INFO(transport.status().ToString());
  REQUIRE(transport.ok());
  return *std::move(transport);
}

VerbsEnds Meet(Transport& connecting, Transport& accepting, const std::string& listen, const std::string& choice) {
  auto listener = accepting.Listen(listen);
  INFO(listener.status().ToString());
  REQUIRE(listener.ok());
  const std::string bound = (*listener)->address();
  const std::string target = "verbs://" + RequireRdmaAddress() + bound.substr(bound.rfind(':')) + choice;
  VerbsEnds ends;
  absl::Status accepted;
  std::thread accept([&] {
    auto incoming = (*listener)->Accept(Deadline::After(kVerbsPatience));
    auto channel = incoming.ok() ? (*incoming)->Accept({}) : incoming.status();
    accepted = channel.status();
    if (channel.ok()) ends.accepting = *std::move(channel);
  });
  auto connected = connecting.Connect(target, {}, {}, Deadline::After(kVerbsPatience));
  if (!connected.ok()) (*listener)->Close();
  accept.join();
  INFO(connected.status().ToString() << ", " << accepted.ToString());
  REQUIRE(connected.ok());
  REQUIRE(accepted.ok());
  ends.connecting = *std::move(connected);
  return ends;
}

Completion NextCompletion(Channel& channel) {
  std::array<Completion, 1> completion;
  const absl::Time deadline = absl::Now() + kVerbsPatience;
  std::size_t count = 0;
  while ((count = channel.Poll(completion)) == 0 && absl::Now() < deadline) std::this_thread::yield();
  REQUIRE(count == 1);
  return completion[0];
}

void SleepOn(Channel& channel, absl::Duration how_long) {
  const absl::Time deadline = absl::Now() + how_long;
  std::array<Completion, 1> unexpected;
  while (!channel.broken() && absl::Now() < deadline) {
    REQUIRE(channel.Poll(unexpected) == 0);
    if (!channel.PrepareToSleep()) continue;
    pollfd fd{channel.wait_handle().fd, channel.wait_handle().events, 0};
    poll(&fd, 1, 100);
  }
}

bool Mentions(const absl::Status& status, std::string_view what) { return Mentions(StatusText(status), what); }

bool Mentions(std::string_view text, std::string_view what) {
  if (text.find(what) != std::string_view::npos) return true;
  UNSCOPED_INFO("\"" << what << "\" is not in: " << text);
  return false;
}

}  // namespace farfault
