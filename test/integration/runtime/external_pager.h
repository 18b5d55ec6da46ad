#ifndef FARFAULT_TEST_INTEGRATION_RUNTIME_EXTERNAL_PAGER_H_
#define FARFAULT_TEST_INTEGRATION_RUNTIME_EXTERNAL_PAGER_H_

#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "farfault/farfault.h"
#include "test/support/guest_process.h"
#include "test/support/listening_source.h"
#include "test/support/memory_machine.h"

namespace farfault {

inline constexpr std::uint64_t kPart = 4u << 20;
inline constexpr std::uint64_t kPages = 2 * kPart / kSmallPage;
inline constexpr std::uint64_t kShmem = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;

inline ForkedGuest::Spec Anonymous(std::uint64_t modes = UFFDIO_REGISTER_MODE_MISSING) {
  return {.parts = {kPart, kPart}, .features = UFFD_FEATURE_EVENT_REMOVE, .register_modes = modes};
}

inline ForkedGuest::Spec Shared(std::uint64_t modes = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR) {
  return {.parts = {kPart, kPart}, .shared = true, .features = kShmem, .register_modes = modes};
}

inline GuestMemory MemoryOf(const ForkedGuest& guest, const ExternalGuest& external) {
  const std::span<const GuestMapping> mappings = guest.mappings();
  auto memory = GuestMemory::CreateExternal(
      {{.name = "ram", .mappings = {mappings.begin(), mappings.end()}, .fd = guest.file()}}, external);
  INFO(memory.status().ToString());
  REQUIRE(memory.ok());
  return *std::move(memory);
}

/// A source in this process, and a destination for a guest in another one.
struct Pager {
  explicit Pager(GuestImage& image, bool push) : source(image, Pushing(push)) {}

  static SourceOptions Pushing(bool push) {
    SourceOptions options;
    options.push.enabled = push;
    return options;
  }

  absl::Status Prepare(GuestMemory memory) {
    DestinationOptions options;
    options.connect = source.address();
    options.state_file = state_file;
    options.populate_early = populate_early;
    options.on_event = on_event;
    auto session = DestinationSession::Create(std::move(memory), std::move(options));
    if (!session.ok()) return session.status();
    destination = *std::move(session);
    if (absl::Status prepared = destination->Prepare(); !prepared.ok()) return prepared;
    return source.Join();
  }

  void SwitchOver() {
    absl::Status switched;
    std::thread thread([&] { switched = source.session().SwitchOver(); });
    const absl::Status activated = destination->Activate(absl::Seconds(60));
    thread.join();
    INFO(switched.ToString() << ", " << activated.ToString());
    REQUIRE((switched.ok() && activated.ok()));
  }

  std::string state_file;
  bool populate_early = false;
  EventListener on_event;
  ListeningSource source;
  std::unique_ptr<DestinationSession> destination;
};

inline GuestImage FilledImage() {
  GuestImage image(std::vector<GuestImage::Spec>{{.length = 2 * kPart}});
  image.Fill(7);
  return image;
}

inline std::uint64_t ExpectedSum(GuestImage& image, std::uint64_t page) {
  return HashPage(image.bytes().subspan(page * kSmallPage, kSmallPage));
}

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_RUNTIME_EXTERNAL_PAGER_H_
