#include "lib/transport/sim/connection_requests.h"

#include <algorithm>
#include <utility>

#include "lib/transport/connect_error.h"
#include "lib/util/deadline.h"

namespace farfault::sim {

std::optional<std::uint32_t> ConnectionRequests::Open(std::uint32_t port, bool any) {
  const MutexLock lock(&mutex_);
  if (any) {
    while (listeners_.contains(next_port_)) ++next_port_;
    port = next_port_++;
  }
  if (!listeners_.try_emplace(port).second) return std::nullopt;
  return port;
}

void ConnectionRequests::Close(std::uint32_t port) {
  const MutexLock lock(&mutex_);
  const auto listener = listeners_.find(port);
  if (listener == listeners_.end()) return;
  for (const std::shared_ptr<Request>& request : listener->second) {
    if (request->state == State::kWaiting) request->state = State::kGone;
  }
  listeners_.erase(listener);
  changed_.NotifyAll();
}

absl::StatusOr<std::unique_ptr<Channel>> ConnectionRequests::Ask(std::uint32_t port, std::shared_ptr<Request> request,
                                                                 Deadline deadline) {
  const MutexLock lock(&mutex_);
  const auto listener = listeners_.find(port);
  if (listener == listeners_.end()) {
    return NobodyListensError("nobody listens at this address of the sim fabric; start the peer");
  }
  listener->second.push_back(request);
  changed_.NotifyAll();
  const auto answered = [&request] { return request->state != State::kWaiting && request->state != State::kTaken; };
  const bool in_time = changed_.WaitUntil(&mutex_, deadline, answered);
  if (!in_time) {
    request->state = State::kGone;
    const auto still_there = listeners_.find(port);
    if (still_there != listeners_.end()) std::erase(still_there->second, request);
    return absl::DeadlineExceededError("the peer has not accepted the connection in time");
  }
  switch (request->state) {
    case State::kAccepted:
      return std::move(request->channel);
    case State::kRejected:
      return RejectedError("the peer");
    default:
      return absl::UnavailableError("the peer stopped listening");
  }
}

absl::StatusOr<std::shared_ptr<ConnectionRequests::Request>> ConnectionRequests::Next(std::uint32_t port,
                                                                                      Deadline deadline) {
  const MutexLock lock(&mutex_);
  const auto something = [this, port]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const auto listener = listeners_.find(port);
    return listener == listeners_.end() || !listener->second.empty();
  };
  if (!changed_.WaitUntil(&mutex_, deadline, something)) {
    return absl::DeadlineExceededError("no peer has connected in time");
  }
  const auto listener = listeners_.find(port);
  if (listener == listeners_.end()) return absl::CancelledError("the listener was closed");
  std::shared_ptr<Request> request = std::move(listener->second.front());
  listener->second.pop_front();
  request->state = State::kTaken;
  return request;
}

bool ConnectionRequests::Answer(Request& request, std::unique_ptr<Channel> channel) {
  const MutexLock lock(&mutex_);
  if (request.state != State::kTaken) return false;
  request.channel = std::move(channel);
  request.state = State::kAccepted;
  changed_.NotifyAll();
  return true;
}

void ConnectionRequests::Reject(Request& request) {
  const MutexLock lock(&mutex_);
  if (request.state != State::kTaken) return;
  request.state = State::kRejected;
  changed_.NotifyAll();
}

}  // namespace farfault::sim
