#ifndef FARFAULT_LIB_RUNTIME_CANDIDATE_H_
#define FARFAULT_LIB_RUNTIME_CANDIDATE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "lib/runtime/connection.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"

namespace farfault {

/// A peer that has connected and has yet to prove that it knows the key. Never waits, so that any number of them are in
/// nobody's way. One thread; does not move, since its channel's owner polls it.
class Candidate {
 public:
  enum class State : std::uint8_t {
    kGreeting,       ///< Its greeting has not come.
    kProving,        ///< Its proof has not come.
    kAuthenticated,  ///< Release() its connection.
    kLeaving,        ///< Failed; it is being told why.
    kGone,           ///< Failed, and told if it listens.
  };

  /// Says hello. `key` outlives this object; a peer that is not through by `deadline` fails.
  Candidate(Role role, std::string_view key, Connection connection, Deadline deadline);

  /// Goes on as far as messages that have come allow.
  State Poll();
  State state() const { return state_; }
  /// Why it failed.
  const absl::Status& failure() const { return failure_; }
  void Dismiss(absl::Status why);

  Channel& channel() const { return *connection_.control; }
  Connection Release() { return std::move(connection_); }

 private:
  std::string_view Awaited() const;
  absl::Status Advance();
  absl::Status TakeHello(const ControlMessage& message);
  absl::Status TakeProof(const ControlMessage& message) const;
  const HelloMessage& HelloOf(Role role) const;
  void Leave();

  const Role role_;
  const std::string_view key_;
  Connection connection_;
  Deadline deadline_;
  State state_ = State::kGreeting;
  absl::Status failure_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_CANDIDATE_H_
