#include "lib/sim/interleave.h"

#include <utility>

#include "lib/util/interleave.h"

namespace farfault {
namespace {

thread_local sim::InterleaveScope::Hook current_hook = nullptr;
thread_local void* current_argument = nullptr;

}  // namespace

namespace sim {

InterleaveScope::InterleaveScope(Hook hook, void* argument)
    : previous_hook_(std::exchange(current_hook, hook)),
      previous_argument_(std::exchange(current_argument, argument)) {}

InterleaveScope::~InterleaveScope() {
  current_hook = previous_hook_;
  current_argument = previous_argument_;
}

}  // namespace sim

#ifdef FARFAULT_INTERLEAVE
void InterleavePoint() {
  if (current_hook != nullptr) current_hook(current_argument);
}
#endif

}  // namespace farfault
