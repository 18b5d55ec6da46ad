#ifndef FARFAULT_TEST_SUPPORT_RDMA_LINK_H_
#define FARFAULT_TEST_SUPPORT_RDMA_LINK_H_

#include <string>

namespace farfault {

/// The SoftRoCE device of a machine of ./dev vm, which a test may take away: elsewhere the test case is skipped, since
/// it would take away what others use. Afterwards the device is made anew, which has to wait until this process ends:
/// librdmacm keeps devices open. The next test waits for that (RequireRdmaAddress). One test at a time, so tag it
/// [serial].
class RdmaLink {
 public:
  RdmaLink();
  RdmaLink(const RdmaLink&) = delete;
  RdmaLink& operator=(const RdmaLink&) = delete;
  ~RdmaLink();

  const std::string& address() const { return address_; }
  const std::string& device() const { return device_; }
  const std::string& interface() const { return interface_; }

  /// What connects or disconnects meanwhile leaves SoftRoCE's connection manager deaf.
  void SetDown();
  /// Returns when the port is active again.
  void SetUp();
  /// Begins to remove the device; the kernel waits until nobody holds it.
  void BeginRemoval();
  /// The same while nobody holds it, and waits.
  void Remove();
  /// "ip …", "rdma …": requires that it succeeds.
  static void Run(const std::string& command);
  /// The same without waiting for it; the next test does. For what has to wait until this process has ended.
  static void RunLater(const std::string& commands);
  /// Whether this is a machine of ./dev vm.
  static bool InMachine();

  /// Waits for the device that an earlier test has taken away.
  static void AwaitRestored();

 private:
  std::string address_;
  std::string device_ = "rxe0";
  std::string interface_;
  bool changed_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_RDMA_LINK_H_
