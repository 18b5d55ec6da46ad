#ifndef FARFAULT_LIB_SIM_WIRE_CHECKERS_H_
#define FARFAULT_LIB_SIM_WIRE_CHECKERS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/sim/page_image.h"
#include "lib/sim/scene.h"
#include "lib/sim/sim_kernel.h"
#include "lib/transport/sim/sim_observer.h"

namespace farfault::sim {

// In every pair the source is the connecting side.
inline constexpr int kSourceSide = 0;
inline constexpr int kDestinationSide = 1;

/// "no write reaches a frame after its mapping"
class NoLateWrite {
 public:
  NoLateWrite(Scene& scene, SimKernel& kernel) : scene_(scene), kernel_(kernel) {}
  void OnLanded(const std::byte* address, std::uint64_t length);

 private:
  Scene& scene_;
  SimKernel& kernel_;
};

/// "demand never waits behind more than the push window": what the source has out on its push channels.
class PushWindow {
 public:
  explicit PushWindow(Scene& scene);
  void OnPosted(const SimObserver::Request& request);
  void OnExecuted(const SimObserver::Request& request);
  std::uint64_t limit() const { return limit_; }

 private:
  Scene& scene_;
  std::uint64_t limit_ = 0;
  std::uint64_t in_flight_ = 0;
};

/// "demand is as fast as the model allows": a page's READ is back within two latencies, its own bytes, those of the
/// demand requests that were out with it, and one push window.
class DemandLatency {
 public:
  DemandLatency(Scene& scene, std::uint64_t push_window);
  void OnPosted(const SimObserver::Request& request);
  void OnExecuted(const SimObserver::Request& request);

 private:
  struct Out {
    Nanos posted_at = 0;
    std::uint64_t executed_before = 0;  // Bytes of demand, when it was posted.
    std::uint64_t reads_ahead = 0;
    std::uint64_t frames_ahead = 0;
  };
  struct Channel {
    std::uint64_t reads = 0;
    std::uint64_t frames = 0;
  };

  std::uint64_t Frames(std::uint64_t length) const;
  Nanos Bound(const Out& out) const;

  Scene& scene_;
  std::uint64_t push_window_;
  Nanos scripted_delay_ = 0;
  std::uint64_t posted_bytes_ = 0;
  std::uint64_t executed_bytes_ = 0;
  std::map<std::uint64_t, Channel> channels_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Out> out_;
};

/// "every page is transferred once": counts what crosses the wire after the switchover, page by page.
class Transfers {
 public:
  Transfers(Scene& scene, PageImage& source);
  void OnPosted(const SimObserver::Request& request);
  void OnPushStarted() { pushing_ = true; }
  /// Pages that came both ways.
  std::uint64_t duplicates() const;

 private:
  Scene& scene_;
  PageImage& source_;
  bool pushing_ = false;
  std::vector<std::uint8_t> reads_;
  std::vector<std::uint8_t> pushes_;
};

/// Hands what happens on the wire to the checkers, and remembers who has to be woken.
class WireCheckers final : public SimObserver {
 public:
  WireCheckers(Scene& scene, PageImage& source, SimKernel& kernel);

  void OnPosted(const Request& request) override;
  void OnExecuted(const Request& request) override;
  void OnLanded(const std::byte* address, std::uint64_t length) override;
  void OnCompletion(std::uint64_t connection, int side) override;
  void OnBroken(std::uint64_t connection) override;

  Transfers& transfers() { return transfers_; }
  /// True once after something has come for this side.
  bool TakeWakeUp(int side) { return std::exchange(wake_[static_cast<std::size_t>(side)], false); }
  bool broken() const { return broken_; }

 private:
  Scene& scene_;
  NoLateWrite no_late_write_;
  PushWindow push_window_;
  DemandLatency demand_latency_;
  Transfers transfers_;
  std::array<bool, 2> wake_{};
  bool broken_ = false;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_WIRE_CHECKERS_H_
