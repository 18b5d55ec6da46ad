#ifndef FARFAULT_TEST_SUPPORT_TWO_RAILS_H_
#define FARFAULT_TEST_SUPPORT_TWO_RAILS_H_

#include <string>

namespace farfault {

/// Two ways from this machine to itself. Over verbs (OverVerbs) the second one is a SoftRoCE device of its own, which
/// is made for the test and taken away when this process has ended; only a machine of ./dev vm allows that, and
/// elsewhere the test case is skipped. One test at a time, so tag it [serial].
class TwoRails {
 public:
  TwoRails();

  /// Where to listen, at ports of the system's choice.
  std::string listen() const { return first_ + ":0?rail=" + second_host_; }
  /// The same for `farfault demo --transport`.
  std::string demo_transport() const { return first_.substr(0, first_.find(':')) + "?rail=" + second_host_; }
  /// What sessions say that the second rail goes over.
  const std::string& second_path() const { return second_path_; }
  /// Ends what goes over the second rail, for good. `address` is where the listening end is: it names both ports.
  static void BreakSecond(const std::string& address);

 private:
  std::string first_;
  std::string second_host_;
  std::string second_path_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_TWO_RAILS_H_
