// What somebody writes who links farfault for the first time. Uses a piece of everything that the library exports.
#include <farfault/farfault.h>

#include <cstdio>
#include <string>
#include <utility>

int main() {
  const std::string headers = std::to_string(FARFAULT_VERSION_MAJOR) + "." + std::to_string(FARFAULT_VERSION_MINOR) +
                              "." + std::to_string(FARFAULT_VERSION_PATCH);
  if (farfault::Version() != headers) {
    std::fprintf(stderr, "headers of %s, library of another version\n", headers.c_str());
    return 1;
  }
  absl::StatusOr<farfault::OwnedRegion> memory = farfault::OwnedRegion::CreateShared("memory", 1u << 20);
  if (!memory.ok()) {
    std::fprintf(stderr, "%s\n", memory.status().ToString().c_str());
    return 1;
  }
  auto guest = farfault::GuestMemory::Create({memory->region()});
  if (!guest.ok() || guest->total_pages() != 256) {
    std::fprintf(stderr, "%s\n", guest.status().ToString().c_str());
    return 1;
  }
  auto predictor = farfault::MakePredictor("bubbling:pivots=2");
  if (!predictor.ok()) {
    std::fprintf(stderr, "%s\n", predictor.status().ToString().c_str());
    return 1;
  }
  // A session that cannot begin says why, and links everything that a session is made of.
  farfault::SourceOptions source;
  source.connect = "nonsense";
  if (farfault::SourceSession::Create(*guest, std::move(source)).ok()) return 1;
  farfault::DestinationOptions destination;
  destination.connect = "nonsense";
  if (farfault::DestinationSession::Create(*guest, std::move(destination)).ok()) return 1;
  return 0;
}
