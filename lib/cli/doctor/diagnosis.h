#ifndef FARFAULT_LIB_CLI_DOCTOR_DIAGNOSIS_H_
#define FARFAULT_LIB_CLI_DOCTOR_DIAGNOSIS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/cli/doctor/host_facts.h"

namespace farfault {

enum class Verdict : std::uint8_t {
  kGood,
  kNote,     ///< Works, but slower or with less than there could be.
  kMissing,  ///< Something does not work.
};

struct Finding {
  Verdict verdict = Verdict::kGood;
  std::string what;    ///< "userfaultfd", "RDMA device rxe0".
  std::string text;    ///< In plain words.
  std::string remedy;  ///< The command that mends it, or what to do; empty when good.
};

struct Diagnosis {
  std::vector<Finding> findings;
  bool can_receive = false;  ///< Be a destination: needs userfaultfd.
  bool can_verbs = false;    ///< Use verbs:// addresses.
};

std::string_view VerdictName(Verdict verdict);

Diagnosis Diagnose(const HostFacts& facts);

/// The part of it that is about RDMA; appends, and returns whether verbs works.
bool DiagnoseRdma(const HostFacts& facts, std::vector<Finding>& findings);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DOCTOR_DIAGNOSIS_H_
