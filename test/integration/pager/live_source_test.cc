#include <fmt/format.h>
#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <vector>

#include "farfault/farfault.h"
#include "test/integration/cli/command.h"
#include "test/integration/pager/pager_rig.h"
#include "test/support/guest_process.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

// A live migration into another process: what a library preloaded into a hypervisor does with `farfault pager`.
namespace farfault {
namespace {

constexpr std::uint64_t kBytes = 4u << 20;
constexpr std::uint64_t kPages = kBytes / kSmallPage;

TEST_CASE("a live source moves its guest into a hypervisor's shared file", "[pager]") {
  RequireDirtyTracking();
  const bool registered = GENERATE(true, false);
  ForkedGuest guest({.parts = {kBytes},
                     .shared = true,
                     .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM,
                     .register_modes = registered ? UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR : 0ull});
  GuestImage image(std::vector<GuestImage::Spec>{{.length = kBytes}});
  image.Fill(3);
  const std::string socket = fmt::format("/tmp/farfault-live-{}.sock", guest.pid());
  CommandProcess pager(Farfault({"pager", "--socket", socket, "--listen", "tcp://127.0.0.1:0", "--once", "--json"}));
  REQUIRE(pager.WaitForErr("waiting for a hypervisor at ", kPatience));
  guest.HandOver(socket, {{fmt::format(R"([{{"base_host_virt_addr":{},"size":{},"offset":0,"shared_file":true,)"
                                       R"("registered":{},"uffd_features":{}}}])",
                                       guest.mappings()[0].address, kBytes, registered,
                                       UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM),
                           2}});
  REQUIRE(pager.WaitForErr("waiting for a source at tcp://", kPatience));
  SourceOptions options;
  const std::string err = pager.Err();
  const std::size_t begin = err.find("tcp://");
  options.connect = err.substr(begin, err.find(' ', begin) - begin);
  auto source = SourceSession::Create(image.memory(), std::move(options));
  INFO(source.status().ToString() << pager.Err());
  REQUIRE(source.ok());
  PrePageBudget budget;
  budget.bytes = kBytes;
  budget.time = absl::Seconds(20);
  REQUIRE((*source)->PrePage(budget).ok());
  for (std::uint64_t page = 0; page < kPages; page += 7) image.bytes()[page * kSmallPage] ^= std::byte{1};
  REQUIRE((*source)->SwitchOver().ok());
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) {
    wrong += guest.Sum(page) != HashPage(image.bytes().subspan(page * kSmallPage, kSmallPage)) ? 1u : 0u;
  }
  CHECK(wrong == 0);
  REQUIRE((*source)->WaitUntilDrained(absl::Seconds(60)).ok());
  REQUIRE(pager.Wait(kPatience) == 0);
  const nlohmann::json report = ReportOf(pager);
  CHECK(report["end"] == "resident");
  CHECK(report["pages_by"]["prepage"].get<std::uint64_t>() > 0);
  // The source is not needed any more, nor is the pager.
  source->reset();
  CHECK(guest.Sum(1) == HashPage(image.bytes().subspan(kSmallPage, kSmallPage)));
}

}  // namespace
}  // namespace farfault
