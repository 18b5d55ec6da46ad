#ifndef FARFAULT_TEST_SUPPORT_RDMA_H_
#define FARFAULT_TEST_SUPPORT_RDMA_H_

#include <string>

namespace farfault {

/// An address of this machine that belongs to an RDMA device (OwnRdmaAddress). Without one the test case is skipped; it
/// fails where FARFAULT_REQUIRE_VERBS=1.
std::string RequireRdmaAddress();

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_RDMA_H_
