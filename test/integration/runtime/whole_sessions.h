#ifndef FARFAULT_TEST_INTEGRATION_RUNTIME_WHOLE_SESSIONS_H_
#define FARFAULT_TEST_INTEGRATION_RUNTIME_WHOLE_SESSIONS_H_

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "farfault/farfault.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

namespace farfault {

inline constexpr std::uint64_t kImage = 16u << 20;
inline constexpr std::uint64_t kPages = kImage / kSmallPage;

inline std::vector<GuestImage::Spec> OneRegion(bool shared) { return {{.length = kImage, .shared = shared}}; }

/// Reads every page once, in random order, from several threads, and compares it with the source's.
inline std::uint64_t TouchAll(GuestImage& destination, GuestImage& source, int threads) {
  std::atomic<std::uint64_t> wrong = 0;
  std::vector<std::thread> vcpus;
  for (int vcpu = 0; vcpu < threads; ++vcpu) {
    vcpus.emplace_back([&, vcpu] {
      std::vector<std::size_t> order;
      for (std::size_t page = static_cast<std::size_t>(vcpu); page < kPages;
           page += static_cast<std::size_t>(threads)) {
        order.push_back(page);
      }
      std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(vcpu)));
      for (const std::size_t page : order) {
        const std::size_t at = page * kSmallPage;
        if (std::memcmp(destination.bytes().data() + at, source.bytes().data() + at, kSmallPage) != 0) ++wrong;
      }
    });
  }
  for (std::thread& vcpu : vcpus) vcpu.join();
  return wrong;
}

inline SourceOptions Pushing(bool push, std::string_view predictor = "bubbling") {
  SourceOptions options;
  options.push.enabled = push;
  auto made = MakePredictor(predictor);
  REQUIRE(made.ok());
  options.predictor = *std::move(made);
  return options;
}

inline void CheckBooks(const SessionStats& stats) {
  CHECK(stats.total_pages == kPages);
  CHECK(stats.resident_pages + stats.hole_pages == kPages);
  CHECK(stats.stall_network.count() == stats.faults_network);
  CHECK(stats.stall_local.count() == stats.faults_local);
  CHECK(stats.metadata_bytes_per_page <= 3.0);
}

/// The guest goes over, touches everything, and finds it as it was; both ends come to their end.
inline void SwitchOverAndTouchAll(const SessionPair& pair, GuestImage& destination, GuestImage& source) {
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 3) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  CheckBooks(pair.destination->Stats());
}

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_RUNTIME_WHOLE_SESSIONS_H_
