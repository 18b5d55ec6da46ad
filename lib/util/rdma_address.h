#ifndef FARFAULT_LIB_UTIL_RDMA_ADDRESS_H_
#define FARFAULT_LIB_UTIL_RDMA_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"

namespace farfault {

/// An IPv4 address of this machine at which RDMA connections can be listened for: FARFAULT_ADDRESS in the environment,
/// or that of the first network interface that has an RDMA device. kNotFound says what is lacking.
absl::StatusOr<std::string> OwnRdmaAddress();

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_RDMA_ADDRESS_H_
