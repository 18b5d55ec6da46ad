#ifndef FARFAULT_TEST_SUPPORT_RDMA_H_
#define FARFAULT_TEST_SUPPORT_RDMA_H_

#include <string>

namespace farfault {

/// An address of this machine that belongs to an RDMA device (OwnRdmaAddress). Without one the test case is skipped; it
/// fails where FARFAULT_REQUIRE_VERBS=1.
std::string RequireRdmaAddress();

/// FARFAULT_FABRICS=verbs: the tests are to run over an RDMA device.
bool OverVerbs();
/// Where a session of a test listens, at a port of the system's choice: "tcp://127.0.0.1:0", or over verbs an address
/// as RequireRdmaAddress finds it.
std::string SessionListenAddress();

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_RDMA_H_
