#ifndef FARFAULT_LIB_SIM_INTERLEAVE_H_
#define FARFAULT_LIB_SIM_INTERLEAVE_H_

namespace farfault::sim {

/// What happens at every InterleavePoint of this thread while it exists. Without FARFAULT_INTERLEAVE there are none.
class InterleaveScope {
 public:
  using Hook = void (*)(void* argument);
  InterleaveScope(Hook hook, void* argument);
  ~InterleaveScope();
  InterleaveScope(const InterleaveScope&) = delete;
  InterleaveScope& operator=(const InterleaveScope&) = delete;

 private:
  Hook previous_hook_;
  void* previous_argument_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_INTERLEAVE_H_
