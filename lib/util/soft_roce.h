#ifndef FARFAULT_LIB_UTIL_SOFT_ROCE_H_
#define FARFAULT_LIB_UTIL_SOFT_ROCE_H_

#include <string>

namespace farfault {

/// What this machine has for RDMA in software.
struct SoftRoce {
  std::string kernel;             ///< "6.12.0-amd64".
  bool has_module = false;        ///< rdma_rxe is loaded, or installed for this kernel.
  std::string network_interface;  ///< One that is up and not the loopback; empty: none.
};

SoftRoce LookForSoftRoce();

/// How to get a device there, as a clause: the commands, or what the kernel lacks and where it works.
std::string SoftRoceRemedy(const SoftRoce& here);

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_SOFT_ROCE_H_
