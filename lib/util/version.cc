#include "farfault/version.h"

#define FARFAULT_QUOTE(major, minor, patch) #major "." #minor "." #patch
#define FARFAULT_QUOTE_VALUES(...) FARFAULT_QUOTE(__VA_ARGS__)

namespace farfault {

std::string_view Version() {
  return FARFAULT_QUOTE_VALUES(FARFAULT_VERSION_MAJOR, FARFAULT_VERSION_MINOR, FARFAULT_VERSION_PATCH);
}

}  // namespace farfault
