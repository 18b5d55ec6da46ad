#include "lib/cli/doctor/diagnosis.h"

#include <fmt/format.h>
#include <linux/userfaultfd.h>

#include <utility>

#include "lib/util/status_text.h"

namespace farfault {
namespace {

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

constexpr std::uint64_t kSharedFaults = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;

// Library messages end with "; remedy: …" where there is one.
Finding FromStatus(Verdict verdict, std::string what, const absl::Status& status) {
  constexpr std::string_view kRemedy = "; remedy: ";
  std::string text(StatusText(status));
  std::string remedy;
  if (const std::size_t at = text.find(kRemedy); at != std::string::npos) {
    remedy = text.substr(at + kRemedy.size());
    text.resize(at);
  }
  return {verdict, std::move(what), std::move(text), std::move(remedy)};
}

Finding DiagnoseFaults(const HostFacts& facts) {
  if (!facts.userfaultfd.ok()) return FromStatus(Verdict::kMissing, "userfaultfd", facts.userfaultfd);
  if ((facts.userfaultfd_features & kSharedFaults) != kSharedFaults) {
    return {Verdict::kNote, "userfaultfd",
            fmt::format("kernel {} parks faults of anonymous memory only; guests in shared memory need Linux 5.14",
                        facts.kernel),
            "boot a newer kernel"};
  }
  const bool huge = (facts.userfaultfd_features & UFFD_FEATURE_MINOR_HUGETLBFS) != 0;
  return {Verdict::kGood, "userfaultfd",
          fmt::format("faults of shared{} anonymous memory can be answered", huge ? ", hugetlbfs and" : " and"), ""};
}

Finding DiagnoseTracking(const HostFacts& facts) {
  constexpr const char* kWhat = "dirty tracking";
  constexpr const char* kNewer =
      "boot Linux 6.7 or later for pre-paging (Debian 12 has one in its backports), or hand in the hypervisor's own "
      "dirty bitmap";
  if (!facts.pagemap_scan.ok()) {
    return {Verdict::kNote, kWhat, fmt::format("kernel {} has no PAGEMAP_SCAN", facts.kernel), kNewer};
  }
  if ((facts.userfaultfd_features & UFFD_FEATURE_WP_ASYNC) == 0) {
    if (!facts.userfaultfd.ok()) return {Verdict::kNote, kWhat, "needs userfaultfd", "see userfaultfd"};
    return {Verdict::kNote, kWhat, fmt::format("kernel {} has no asynchronous write protection", facts.kernel), kNewer};
  }
  return {Verdict::kGood, kWhat, "PAGEMAP_SCAN and asynchronous write protection", ""};
}

Finding DiagnoseHugePages(const HostFacts& facts) {
  const std::string reserved = fmt::format("{} of hugetlbfs free", facts.free_huge_pages);
  if (facts.transparent_huge_pages) return {Verdict::kGood, "huge pages", fmt::format("transparent; {}", reserved), ""};
  return {Verdict::kNote, "huge pages", fmt::format("this kernel makes no transparent ones; {}", reserved),
          "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE: populating and pushing are several times faster on it"};
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "good";
    case Verdict::kNote:
      return "note";
    case Verdict::kMissing:
      break;
  }
  return "missing";
}

Diagnosis Diagnose(const HostFacts& facts) {
  Diagnosis diagnosis;
  diagnosis.findings = {DiagnoseFaults(facts), DiagnoseTracking(facts), DiagnoseHugePages(facts)};
  diagnosis.can_receive = facts.userfaultfd.ok();
  diagnosis.can_verbs = DiagnoseRdma(facts, diagnosis.findings);
  return diagnosis;
}

}  // namespace farfault
