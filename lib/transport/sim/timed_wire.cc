#include "lib/transport/sim/timed_wire.h"

#include <algorithm>

#include "lib/transport/sim/timed_connection.h"

namespace farfault::sim {

TimedWire::TimedWire(const SimLinkModel& model, MemoryTable& memory, FaultScript& script)
    : model_(model), memory_(memory), script_(script), random_(model.seed) {}

TimedWire::~TimedWire() {
  const MutexLock lock(&mutex_);
  while (!events_.empty()) {
    const Event event = events_.Pop();
    if (event.flow != nullptr) event.flow->connection->Release();
  }
  for (const auto& [sides, link] : links_) {
    for (Flow* flow : link->queue) flow->connection->Release();
  }
}

TimedWire::Link* TimedWire::LinkBetween(DomainId from, DomainId to) {
  std::unique_ptr<Link>& link = links_[{from, to}];
  if (link == nullptr) link = std::make_unique<Link>();
  return link.get();
}

void TimedWire::Adopt(TimedConnection* connection) { connections_.push_back(connection); }

void TimedWire::Delete(TimedConnection* connection) {
  std::erase(connections_, connection);
  delete connection;
}

void TimedWire::Push(Nanos at, const Event& event) {
  // With a seeded spread even the order of things at one moment is left to chance.
  events_.Push(at, model_.landing_spread > 0 ? random_.Next() : 0, event);
  next_due_.store(events_.next(), std::memory_order_release);
}

void TimedWire::AddFault(const SimFault& fault) {
  script_.Add(fault);
  const MutexLock lock(&mutex_);
  if (fault.kind == SimFault::Kind::kBreak && fault.after_requests == 0) {
    Push(std::max(fault.at, now_), {.kind = Event::Kind::kScript});
  }
}

void TimedWire::Advance(Nanos now) {
  const MutexLock lock(&mutex_);
  while (events_.next() <= now) {
    now_ = std::max(now_, events_.next());
    Run(events_.Pop());
  }
  now_ = std::max(now_, now);
  next_due_.store(events_.next(), std::memory_order_release);
}

void TimedWire::Run(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kSend:
      event.link->scheduled = false;
      return Send(event.link);
    case Event::Kind::kArrive:
      event.flow->connection->Arrive(*event.flow);
      return event.flow->connection->Release();
    case Event::Kind::kScript:
      return RunScript();
  }
}

void TimedWire::RunScript() {
  const std::vector<TimedConnection*> connections = connections_;
  for (TimedConnection* connection : connections) {
    if (!connection->broken() && script_.OnPost(connection->name(0), 0, now_)) {
      connection->Break(absl::UnavailableError("the script broke the channel"));
    }
  }
}

void TimedWire::StartSending(Link* link, Flow* flow) {
  if (flow->sending || !flow->connection->HasFrame(*flow)) return;
  flow->sending = true;
  flow->connection->Retain();
  link->queue.push_back(flow);
  if (link->scheduled) return;
  link->scheduled = true;
  Push(std::max(now_, link->busy_until), {.kind = Event::Kind::kSend, .link = link});
}

void TimedWire::Send(Link* link) {
  while (!link->queue.empty() && link->busy_until <= now_) {
    Flow* flow = link->queue.front();
    link->queue.pop_front();
    TimedConnection* connection = flow->connection;
    if (connection->HasFrame(*flow)) {
      Flow::Frame frame = connection->TakeFrame(*flow);
      link->busy_until = now_ + model_.TransmitTime(frame.length);
      Nanos arrival = link->busy_until + model_.latency;
      if (model_.jitter > 0)
        arrival += static_cast<Nanos>(random_.Below(static_cast<std::uint64_t>(model_.jitter) + 1));
      if (script_.active()) arrival += script_.Delay(connection->name(flow->side), now_);
      flow->last_arrival = frame.arrival = std::max(arrival, flow->last_arrival);
      flow->frames.push_back(std::move(frame));
      ScheduleArrival(flow);
    }
    if (connection->HasFrame(*flow)) {
      link->queue.push_back(flow);
    } else {
      flow->sending = false;
      connection->Release();
    }
  }
  if (link->queue.empty()) return;
  link->scheduled = true;
  Push(link->busy_until, {.kind = Event::Kind::kSend, .link = link});
}

void TimedWire::ScheduleArrival(Flow* flow) {
  if (flow->scheduled || flow->starved || flow->frames.empty()) return;
  flow->scheduled = true;
  flow->connection->Retain();
  Push(std::max({now_, flow->frames.front().arrival, flow->stalled_until}),
       {.kind = Event::Kind::kArrive, .flow = flow});
}

}  // namespace farfault::sim
