#include "lib/sim/wire_checkers.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/transport/sim/sim_channel.h"

namespace farfault::sim {
namespace {

bool IsPush(const SimObserver::Request& request) {
  return request.channel == "push" && request.side == kSourceSide && request.opcode == Opcode::kWrite;
}

// A page, not a claim.
bool IsDemandedPage(const SimObserver::Request& request) {
  return request.channel == "demand" && request.opcode == Opcode::kRead && request.length > 1;
}

std::uint64_t LargestPage(const WorldConfig& config) {
  std::uint64_t largest = 0;
  for (const RegionConfig& region : config.regions) largest = std::max(largest, region.page_size);
  return largest;
}

}  // namespace

void NoLateWrite::OnLanded(const std::byte* address, std::uint64_t length) {
  const auto first = kernel_.memory().PageAt(address);
  if (!first) return;
  const PageIndex last = kernel_.memory().PageAt(address + length - 1).value_or(*first);
  for (PageIndex page = *first; page <= last; ++page) {
    if (!kernel_.owned_by_guest(page)) continue;
    scene_.Report("no write reaches a frame after its mapping", fmt::format("bytes land in mapped page {}", page));
  }
}

// A single page may be larger than the window, and goes alone.
PushWindow::PushWindow(Scene& scene)
    : scene_(scene), limit_(std::max(scene.config.push.window_bytes, LargestPage(scene.config))) {}

void PushWindow::OnPosted(const SimObserver::Request& request) {
  if (!IsPush(request)) return;
  in_flight_ += request.length;
  if (in_flight_ <= limit_) return;
  scene_.Report("demand never waits behind more than the push window",
                fmt::format("{} bytes are out on the push channels, {} may be", in_flight_, limit_));
}

void PushWindow::OnExecuted(const SimObserver::Request& request) {
  if (IsPush(request)) in_flight_ -= request.length;
}

DemandLatency::DemandLatency(Scene& scene, std::uint64_t push_window) : scene_(scene), push_window_(push_window) {
  for (const SimFault& fault : scene.config.faults) {
    if (fault.kind == SimFault::Kind::kDelay) scripted_delay_ += fault.delay + fault.duration;
  }
}

std::uint64_t DemandLatency::Frames(std::uint64_t length) const { return length / scene_.config.link.frame_bytes + 1; }

void DemandLatency::OnPosted(const SimObserver::Request& request) {
  if (request.channel != "demand" || request.opcode != Opcode::kRead) return;
  Channel& channel = channels_[request.connection];
  ++channel.reads;
  channel.frames += Frames(request.length);
  posted_bytes_ += request.length;
  if (!IsDemandedPage(request)) return;
  out_[{request.connection, request.number}] = {scene_.now, executed_bytes_, channel.reads, channel.frames};
}

void DemandLatency::OnExecuted(const SimObserver::Request& request) {
  if (request.channel != "demand" || request.opcode != Opcode::kRead) return;
  Channel& channel = channels_[request.connection];
  --channel.reads;
  channel.frames -= Frames(request.length);
  executed_bytes_ += request.length;
  const auto out = out_.find({request.connection, request.number});
  if (out == out_.end()) return;
  const Nanos took = scene_.now - out->second.posted_at;
  const Nanos bound = Bound(out->second);
  if (took > bound) {
    scene_.Report("demand is as fast as the model allows",
                  fmt::format("a READ of {} bytes took {} ns, {} at most", request.length, took, bound));
  }
  out_.erase(out);
}

Nanos DemandLatency::Bound(const Out& out) const {
  const SimLinkModel& link = scene_.config.link;
  const auto rounds = static_cast<Nanos>(1 + out.reads_ahead / kMaxOutstandingReads);
  const std::uint64_t demand_bytes = posted_bytes_ - out.executed_before;
  // Twice: every frame has a header, and the requests and answers of all channels have frames too.
  const Nanos wire =
      2 * link.TransmitTime(push_window_ + demand_bytes) +
      8 * static_cast<Nanos>(Frames(push_window_ + demand_bytes) + demand_bytes / 64) * link.TransmitTime(0);
  return rounds * 2 * (link.latency + link.jitter) + static_cast<Nanos>(out.frames_ahead) * link.landing_spread + wire +
         4 * scripted_delay_;
}

Transfers::Transfers(Scene& scene, PageImage& source)
    : scene_(scene), source_(source), reads_(scene.layout.total_pages()), pushes_(scene.layout.total_pages()) {}

void Transfers::OnPosted(const SimObserver::Request& request) {
  const bool read = IsDemandedPage(request);
  if (!read && !(pushing_ && IsPush(request))) return;
  const std::byte* address = read ? reinterpret_cast<const std::byte*>(request.remote_address) : request.local;
  const auto first = source_.PageAt(address);
  const auto last = source_.PageAt(address + request.length - 1);
  if (!first || !last) return scene_.Report("every page is transferred once", "bytes that are no page's are moved");
  for (PageIndex page = *first; page <= *last; ++page) {
    std::uint8_t& count = (read ? reads_ : pushes_)[page];
    if (++count > 1) {
      scene_.Report("every page is transferred once",
                    fmt::format("page {} is {} again", page, read ? "read" : "pushed"));
    }
  }
}

std::uint64_t Transfers::duplicates() const {
  std::uint64_t count = 0;
  for (std::size_t page = 0; page < reads_.size(); ++page) count += reads_[page] > 0 && pushes_[page] > 0 ? 1u : 0u;
  return count;
}

WireCheckers::WireCheckers(Scene& scene, PageImage& source, SimKernel& kernel)
    : scene_(scene),
      no_late_write_(scene, kernel),
      push_window_(scene),
      demand_latency_(scene, push_window_.limit()),
      transfers_(scene, source) {}

void WireCheckers::OnPosted(const Request& request) {
  push_window_.OnPosted(request);
  demand_latency_.OnPosted(request);
  transfers_.OnPosted(request);
}

void WireCheckers::OnExecuted(const Request& request) {
  push_window_.OnExecuted(request);
  demand_latency_.OnExecuted(request);
}

void WireCheckers::OnLanded(const std::byte* address, std::uint64_t length) {
  no_late_write_.OnLanded(address, length);
}

void WireCheckers::OnCompletion(std::uint64_t connection, int side) {
  static_cast<void>(connection);
  wake_[static_cast<std::size_t>(side)] = true;
}

void WireCheckers::OnBroken(std::uint64_t connection) {
  scene_.Note("channel breaks", connection);
  broken_ = true;
  wake_ = {true, true};
}

}  // namespace farfault::sim
