#include "lib/cli/demo/method.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_split.h"

namespace farfault {

const std::vector<Method>& KnownMethods() {
  static const std::vector<Method> methods = {
      {.name = "demand",
       .title = "demand paging",
       .summary = "fetch a page when the program touches it, the rest later",
       .push = false,
       .prepage = false},
      {.name = "push",
       .title = "active push",
       .summary = "the source sends pages unasked, best guess first",
       .push = true,
       .prepage = false},
      {.name = "prepage",
       .title = "pre-paging",
       .summary = "send hot pages before the switchover, fetch the rest after it",
       .push = false,
       .prepage = true},
      {.name = "all",
       .title = "all three",
       .summary = "pre-paging, then active push with demand paging",
       .push = true,
       .prepage = true},
  };
  return methods;
}

absl::StatusOr<std::vector<Method>> ParseMethods(std::string_view text) {
  if (text == "every") return KnownMethods();
  std::vector<Method> methods;
  for (const std::string& name : std::vector<std::string>(absl::StrSplit(std::string(text), ','))) {
    const auto known = std::find_if(KnownMethods().begin(), KnownMethods().end(),
                                    [&](const Method& method) { return method.name == name; });
    if (known == KnownMethods().end()) {
      return absl::InvalidArgumentError(
          fmt::format("there is no method \"{}\": choose from demand, push, prepage and all (several with commas "
                      "between), or every",
                      name));
    }
    methods.push_back(*known);
  }
  return methods;
}

}  // namespace farfault
