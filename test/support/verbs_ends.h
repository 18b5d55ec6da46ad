#ifndef FARFAULT_TEST_SUPPORT_VERBS_ENDS_H_
#define FARFAULT_TEST_SUPPORT_VERBS_ENDS_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/transport/transport.h"

namespace farfault {

inline constexpr absl::Duration kVerbsPatience = absl::Seconds(60);

/// Both ends of one channel.
struct VerbsEnds {
  std::unique_ptr<Channel> connecting;
  std::unique_ptr<Channel> accepting;
};

/// Requires that there is one.
std::unique_ptr<Transport> NewTransport(const std::string& address);

/// A channel between two transports, the one listening at `listen` and the other connecting to this machine's RDMA
/// address with `choice` ("?reads=1").
VerbsEnds Meet(Transport& connecting, Transport& accepting, const std::string& listen, const std::string& choice = "");

/// The next completion; requires that it comes.
Completion NextCompletion(Channel& channel);

/// Sleeps as the channel's owner for as long, or until the channel breaks.
void SleepOn(Channel& channel, absl::Duration how_long);

bool Mentions(const absl::Status& status, std::string_view what);
bool Mentions(std::string_view text, std::string_view what);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_VERBS_ENDS_H_
