#include "lib/runtime/candidate.h"

#include <utility>

#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr absl::Duration kFarewell = absl::Seconds(1);

Role Other(Role role) { return role == Role::kSource ? Role::kDestination : Role::kSource; }

}  // namespace

Candidate::Candidate(Role role, std::string_view key, Connection connection, Deadline deadline)
    : role_(role), key_(key), connection_(std::move(connection)), deadline_(deadline) {
  connection_.link->SendStruct(MessageType::kHello, connection_.own_hello);
}

Candidate::State Candidate::Poll() {
  if (state_ == State::kGreeting || state_ == State::kProving) {
    // Asked first: what has come by then was in time, however long this thread is kept from reading it.
    const bool late = deadline_.Passed();
    absl::Status status = Advance();
    const bool waits = state_ == State::kGreeting || state_ == State::kProving;
    if (status.ok() && waits && late) status = SilentPeerError(Awaited());
    if (!status.ok()) Dismiss(std::move(status));
  }
  if (state_ == State::kLeaving) Leave();
  return state_;
}

void Candidate::Dismiss(absl::Status why) {
  failure_ = std::move(why);
  connection_.link->SendFailure(failure_);
  deadline_ = Deadline::After(kFarewell);
  state_ = State::kLeaving;
}

void Candidate::Leave() {
  ControlLink& link = *connection_.link;
  // Anything that comes now is of no interest any more; a peer that never stops sending does not get to stay either.
  link.Receive();
  if (link.flushed() || !link.status().ok() || deadline_.Passed()) state_ = State::kGone;
}

std::string_view Candidate::Awaited() const {
  return state_ == State::kGreeting ? "greeting" : "proof that it knows the key";
}

absl::Status Candidate::Advance() {
  while (state_ == State::kGreeting || state_ == State::kProving) {
    const auto message = TakeMessage(*connection_.link, Awaited());
    if (!message.ok()) return message.status();
    if (!message->has_value()) return absl::OkStatus();
    absl::Status taken = state_ == State::kGreeting ? TakeHello(**message) : TakeProof(**message);
    if (!taken.ok()) return taken;
    state_ = state_ == State::kGreeting ? State::kProving : State::kAuthenticated;
  }
  return absl::OkStatus();
}

absl::Status Candidate::TakeHello(const ControlMessage& message) {
  if (absl::Status expected = CheckType(message, MessageType::kHello, Awaited()); !expected.ok()) return expected;
  const auto hello = message.As<HelloMessage>();
  if (!hello) return absl::DataLossError("the peer's greeting has another size than this version's");
  if (absl::Status sound = CheckHello(role_, *hello); !sound.ok()) return sound;
  if (absl::Status same = CheckRails(connection_.own_hello, *hello); !same.ok()) return same;
  connection_.peer_hello = *hello;
  connection_.link->SendStruct(MessageType::kProof,
                               MakeProof(key_, role_, HelloOf(Role::kSource), HelloOf(Role::kDestination)));
  return absl::OkStatus();
}

absl::Status Candidate::TakeProof(const ControlMessage& message) const {
  if (absl::Status expected = CheckType(message, MessageType::kProof, Awaited()); !expected.ok()) return expected;
  const auto proof = message.As<ProofMessage>();
  const ProofMessage right = MakeProof(key_, Other(role_), HelloOf(Role::kSource), HelloOf(Role::kDestination));
  if (proof && SameProof(*proof, right)) return absl::OkStatus();
  return absl::UnauthenticatedError("the two ends have different keys; give both the same pre-shared key");
}

const HelloMessage& Candidate::HelloOf(Role role) const {
  return role == role_ ? connection_.own_hello : connection_.peer_hello;
}

}  // namespace farfault
