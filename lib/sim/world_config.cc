#include "lib/sim/world_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/push/run_list.h"
#include "lib/util/splitmix.h"

namespace farfault::sim {
namespace {

constexpr std::array<std::string_view, 6> kPredictors{
    "none", "sequential", "bubbling", "bubbling:pivots=1", "bubbling:pivots=8,direction=forward", "adversary"};

std::vector<RegionConfig> RandomRegions(SplitMix64& random) {
  // Most worlds are about order: small pages keep them cheap. One in a while has pages of the real sizes.
  const std::uint64_t small = random.OneIn(8) ? 4096 : 128;
  const std::uint64_t huge = random.OneIn(64) ? kHugePage : 32 * small;
  std::vector<RegionConfig> regions;
  const std::uint64_t count = random.Between(1, 4);
  for (std::uint64_t i = 0; i < count; ++i) {
    RegionConfig region;
    const bool is_huge = random.OneIn(4);
    region.page_size = is_huge ? huge : small;
    region.pages =
        is_huge ? random.Between(1, huge == kHugePage ? 2 : 8) : random.Between(1, random.OneIn(6) ? 600 : 128);
    region.direct = !random.OneIn(3);
    if (region.direct && !is_huge && !random.OneIn(3))
      region.chunk_pages = static_cast<std::uint32_t>(random.Between(2, 32));
    if (random.OneIn(2)) region.hole_percent = static_cast<std::uint32_t>(random.Between(1, 60));
    regions.push_back(region);
  }
  return regions;
}

SimLinkModel RandomLink(SplitMix64& random) {
  SimLinkModel link;
  constexpr std::array<double, 5> kBandwidths{0, 1e9, 1e10, 2.5e10, 1e11};
  link.latency = static_cast<Nanos>(random.Between(0, random.OneIn(4) ? 200'000 : 5'000));
  link.bits_per_second = kBandwidths[random.Below(kBandwidths.size())];
  link.jitter = static_cast<Nanos>(random.OneIn(3) ? random.Between(0, 20'000) : 0);
  link.frame_bytes = random.OneIn(2) ? 4096 : 1024;
  link.landing_spread = static_cast<Nanos>(random.OneIn(4) ? 0 : random.Between(1, random.OneIn(4) ? 50'000 : 3'000));
  link.seed = random.Next();
  return link;
}

GuestConfig RandomGuest(SplitMix64& random, std::uint64_t pages) {
  GuestConfig guest;
  guest.vcpus = random.Between(1, random.OneIn(4) ? 32 : 6);
  guest.pattern = static_cast<AccessPattern>(random.Below(4));
  guest.stride = random.Between(2, 17);
  guest.touches_per_vcpu = random.Between(1, 2 * pages / guest.vcpus + 16);
  guest.write_percent = static_cast<std::uint32_t>(random.Between(0, 100));
  if (random.OneIn(3)) guest.discard_percent = static_cast<std::uint32_t>(random.Between(1, 30));
  if (random.OneIn(3)) guest.early_discard_every = static_cast<Nanos>(random.Between(200, 50'000));
  guest.think = static_cast<Nanos>(random.OneIn(2) ? random.Between(0, 500) : random.Between(0, 20'000));
  return guest;
}

void RandomPrePaging(SplitMix64& random, WorldConfig& config) {
  config.prepage.rounds = random.OneIn(3) ? 0 : random.Between(1, 6);
  config.prepage.offer_percent = static_cast<std::uint32_t>(random.Between(5, 100));
  config.prepage.round_every = static_cast<Nanos>(random.Between(1'000, 100'000));
  config.prepage.wait_for_idle = random.OneIn(2);
  config.guest.source_write_every = static_cast<Nanos>(random.OneIn(4) ? 0 : random.Between(200, 10'000));
}

void RandomFault(SplitMix64& random, WorldConfig& config) {
  constexpr std::array<std::string_view, 4> kChannels{"control", "demand", "push", ""};
  SimFault fault{.kind = SimFault::Kind::kBreak, .channel = std::string(kChannels[random.Below(kChannels.size())])};
  if (random.OneIn(2)) {
    fault.at = static_cast<Nanos>(random.Between(0, 2'000'000));
  } else {
    // Few messages travel on the control channel, and each is a turning point.
    fault.after_requests = random.Between(1, fault.channel == "control" ? 12 : 400);
  }
  config.faults.push_back(fault);
}

void RandomDelay(SplitMix64& random, WorldConfig& config) {
  constexpr std::array<std::string_view, 3> kChannels{"control", "demand", "push"};
  config.faults.push_back({.kind = SimFault::Kind::kDelay,
                           .channel = std::string(kChannels[random.Below(kChannels.size())]),
                           .at = static_cast<Nanos>(random.Between(0, 1'000'000)),
                           .delay = static_cast<Nanos>(random.Between(1'000, 500'000)),
                           .duration = static_cast<Nanos>(random.Between(1'000, 500'000))});
}

}  // namespace

WorldConfig RandomWorld(std::uint64_t seed) {
  SplitMix64 random(seed);
  WorldConfig config;
  config.seed = random.Next();
  config.regions = RandomRegions(random);
  std::uint64_t pages = 0;
  std::uint64_t largest = 0;
  for (const RegionConfig& region : config.regions) {
    pages += region.pages;
    largest = std::max(largest, region.page_size);
  }
  config.link = RandomLink(random);
  config.push_channels = random.OneIn(2) ? 1 : random.Between(1, 4);
  config.demand_channels = random.OneIn(2) ? 1 : random.Between(1, 4);
  config.demand_send_slots = static_cast<std::uint32_t>(random.Between(4, 128));
  config.push_send_slots = static_cast<std::uint32_t>(random.Between(kMaxRunsPerList + 1, 128));
  config.push.enabled = !random.OneIn(5);
  const std::uint64_t unit = config.regions.front().page_size;
  config.push.window_bytes = random.Between(2, 200) * unit;
  config.push.batch_bytes = random.Between(1, 64) * unit;
  config.predictor = std::string(kPredictors[random.Below(kPredictors.size())]);
  config.destination.demand_slots =
      static_cast<std::uint32_t>(random.OneIn(4) ? random.Between(1, 3) : random.Between(4, 128));
  config.destination.map_around_pages = random.OneIn(4) ? 1 : random.Between(2, 64);
  config.staging_bytes = std::max(largest, random.Between(1, 128) * unit);
  config.guest = RandomGuest(random, pages);
  RandomPrePaging(random, config);
  if (random.OneIn(2)) config.kernel.retry_one_in = random.Between(2, 20);
  if (random.OneIn(2)) config.kernel.decline_collapse_one_in = random.Between(1, 4);
  if (random.OneIn(2)) config.kernel.reclaim_every = static_cast<Nanos>(random.Between(500, 50'000));
  config.kernel.map_cost = static_cast<Nanos>(random.Between(0, 2'000));
  config.scheduling.poll_cost = static_cast<Nanos>(random.Between(50, 1'500));
  config.scheduling.wake_latency = static_cast<Nanos>(random.Between(0, 50'000));
  config.scheduling.longest_sleep = static_cast<Nanos>(random.Between(1'000, 500'000));
  if (random.OneIn(2)) config.scheduling.pause_one_in = random.Between(8, 200);
  config.scheduling.longest_pause = static_cast<Nanos>(random.Between(1'000, 300'000));
  if (!random.OneIn(3)) config.scheduling.preempt_one_in = random.Between(4, 200);
  config.scheduling.longest_preemption = static_cast<Nanos>(random.Between(100, 20'000));
  config.allow_activation_at = static_cast<Nanos>(random.OneIn(2) ? 0 : random.Between(0, 500'000));
  config.start_push_after = static_cast<Nanos>(random.OneIn(2) ? 0 : random.Between(0, 200'000));
  if (random.OneIn(3)) config.fetch_rest_after = static_cast<Nanos>(random.Between(0, 500'000));
  if (random.OneIn(4)) RandomDelay(random, config);
  if (random.OneIn(6)) RandomFault(random, config);
  return config;
}

std::string Describe(const WorldConfig& config) {
  std::string regions;
  for (const RegionConfig& region : config.regions) {
    regions += fmt::format(" {}x{}{}{}", region.pages, region.page_size, region.direct ? "" : " staged",
                           region.chunk_pages > 0 ? fmt::format(" chunks of {}", region.chunk_pages) : "");
  }
  return fmt::format(
      "regions{}; latency {} ns, {:.3g} bit/s, jitter {} ns, spread {} ns; {} push and {} demand channels; push {} "
      "window "
      "{} batch {}; predictor {}; {} vCPUs, {} % discards; {} pre-page rounds; {} demand slots; {} faults",
      regions, config.link.latency, config.link.bits_per_second, config.link.jitter, config.link.landing_spread,
      config.push_channels, config.demand_channels, config.push.enabled ? "on" : "off", config.push.window_bytes,
      config.push.batch_bytes, config.predictor, config.guest.vcpus, config.guest.discard_percent,
      config.prepage.rounds, config.destination.demand_slots, config.faults.size());
}

}  // namespace farfault::sim
