#ifndef FARFAULT_LIB_CLI_DEMO_METHOD_H_
#define FARFAULT_LIB_CLI_DEMO_METHOD_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace farfault {

/// One way to move memory. Demand paging is always part of it: the guest runs at the destination before all is there.
struct Method {
  std::string name;   ///< As on the command line and in JSON.
  std::string title;  ///< As in tables.
  std::string summary;
  bool push = false;
  bool prepage = false;

  /// Without a push the destination has to fetch what the guest does not touch.
  bool fetch_rest() const { return !push; }
};

/// "demand", "push", "prepage", "all".
const std::vector<Method>& KnownMethods();

/// "every", or a list of names with commas between. kInvalidArgument names the known ones.
absl::StatusOr<std::vector<Method>> ParseMethods(std::string_view text);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_METHOD_H_
