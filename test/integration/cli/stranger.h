#ifndef FARFAULT_TEST_INTEGRATION_CLI_STRANGER_H_
#define FARFAULT_TEST_INTEGRATION_CLI_STRANGER_H_

#include <string>
#include <string_view>

#include "lib/util/unique_fd.h"

namespace farfault {

/// A TCP port on which somebody listens, who is not farfault. The test's own thread only.
class Stranger {
 public:
  Stranger();

  const std::string& address() const { return address_; }

  /// Takes the next connection, which says hello, answers it with these bytes and hangs up.
  void Answer(std::string_view bytes) const;

 private:
  UniqueFd fd_;
  std::string address_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_CLI_STRANGER_H_
