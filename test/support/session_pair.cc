#include "test/support/session_pair.h"

#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <random>
#include <thread>
#include <utility>

#include "lib/util/deadline.h"
#include "lib/util/notification.h"

namespace farfault {

GuestImage::GuestImage(const std::vector<Spec>& specs) {
  std::vector<Region> regions;
  for (const Spec& spec : specs) {
    OwnedRegion::Placement placement;
    placement.page_size = spec.page_size;
    auto region = spec.shared ? OwnedRegion::CreateShared(spec.name, spec.length, placement)
                              : OwnedRegion::CreateAnonymous(spec.name, spec.length, placement);
    INFO(region.status().ToString());
    REQUIRE(region.ok());
    regions_.push_back(*std::move(region));
    regions.push_back(regions_.back().region());
  }
  auto memory = GuestMemory::Create(std::move(regions));
  INFO(memory.status().ToString());
  REQUIRE(memory.ok());
  memory_ = *std::move(memory);
}

void GuestImage::Fill(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (OwnedRegion& region : regions_) {
    const std::span<std::byte> bytes = region.bytes();
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random();
      std::memcpy(bytes.data() + at, &word, sizeof(word));
    }
  }
}

std::string GuestImage::FirstDifference(GuestImage& other) {
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const std::span<std::byte> mine = bytes(i);
    const std::span<std::byte> theirs = other.bytes(i);
    if (mine.size() != theirs.size()) return fmt::format("region {} differs in length", i);
    for (std::size_t page = 0; page < mine.size(); page += kSmallPage) {
      if (std::memcmp(mine.data() + page, theirs.data() + page, kSmallPage) != 0) {
        return fmt::format("region {} differs in the page at offset {}", i, page);
      }
    }
  }
  return {};
}

GuestImage& ImmortalImage(const std::vector<GuestImage::Spec>& specs) {
  // Still pointed to at the end, so that no leak checker takes them for lost.
  static auto& images = *new std::vector<std::unique_ptr<GuestImage>>;
  return *images.emplace_back(std::make_unique<GuestImage>(specs));
}

void SessionPair::SwitchOver() const {
  absl::Status activated;
  std::thread activation([&] { activated = destination->Activate(absl::Seconds(30)); });
  const absl::Status switched = source->SwitchOver();
  activation.join();
  INFO("source: " << switched.ToString() << ", destination: " << activated.ToString());
  REQUIRE((switched.ok() && activated.ok()));
}

PairOutcome TryMakePair(GuestImage& source, SourceOptions source_options, GuestImage& destination,
                        DestinationOptions destination_options, const std::string& listen) {
  return TryMakePair(source.memory(), std::move(source_options), destination.memory(), std::move(destination_options),
                     listen);
}

PairOutcome TryMakePair(GuestMemory source, SourceOptions source_options, GuestMemory destination,
                        DestinationOptions destination_options, const std::string& listen) {
  // Shared with the listener, which lives as long as the session.
  struct Heard {
    std::string address;
    Notification listening;
  };
  const auto heard = std::make_shared<Heard>();
  PairOutcome outcome;
  destination_options.listen = listen;
  destination_options.on_event = [heard, inner = destination_options.on_event](const Event& event) {
    if (event.kind == EventKind::kListening) {
      heard->address = event.text;
      heard->listening.Notify();
    }
    if (inner) inner(event);
  };
  std::thread destination_thread([&] {
    auto session = DestinationSession::Create(std::move(destination), std::move(destination_options));
    outcome.destination = session.status();
    if (session.ok()) {
      outcome.pair.destination = *std::move(session);
      outcome.destination = outcome.pair.destination->Prepare();
    }
  });
  if (heard->listening.WaitUntil(Deadline::After(absl::Seconds(10)))) {
    source_options.connect = heard->address;
    auto session = SourceSession::Create(std::move(source), std::move(source_options));
    outcome.source = session.status();
    if (session.ok()) outcome.pair.source = *std::move(session);
  } else {
    outcome.source = absl::UnavailableError("the destination does not listen");
  }
  destination_thread.join();
  return outcome;
}

SessionPair MakePair(GuestImage& source, SourceOptions source_options, GuestImage& destination,
                     DestinationOptions destination_options, const std::string& listen) {
  return MakePair(source.memory(), std::move(source_options), destination.memory(), std::move(destination_options),
                  listen);
}

SessionPair MakePair(GuestMemory source, SourceOptions source_options, GuestMemory destination,
                     DestinationOptions destination_options, const std::string& listen) {
  PairOutcome outcome = TryMakePair(std::move(source), std::move(source_options), std::move(destination),
                                    std::move(destination_options), listen);
  INFO("source: " << outcome.source.ToString() << ", destination: " << outcome.destination.ToString());
  REQUIRE((outcome.source.ok() && outcome.destination.ok()));
  return std::move(outcome.pair);
}

}  // namespace farfault
