#include "farfault/version.h"

namespace farfault {

std::string_view Version() { return "0.1.0"; }

}  // namespace farfault
