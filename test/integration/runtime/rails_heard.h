#ifndef FARFAULT_TEST_INTEGRATION_RUNTIME_RAILS_HEARD_H_
#define FARFAULT_TEST_INTEGRATION_RUNTIME_RAILS_HEARD_H_

#include <mutex>
#include <string>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/whole_sessions.h"
#include "test/support/verbs_ends.h"

namespace farfault {

/// Where a session listened and what carries it, as it said.
struct Heard {
  EventListener Listener() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex);
      if (event.kind == EventKind::kListening) address = event.text;
      if (event.kind == EventKind::kConnected) path = event.text;
      if (event.kind == EventKind::kHint) hints += event.text + "\n";
      if (event.kind == EventKind::kFailed) failure = event.text;
    };
  }
  std::string Get(std::string Heard::* what) const {
    const std::lock_guard lock(mutex);
    return this->*what;
  }
  std::string WaitFor(std::string Heard::* what) const {
    const absl::Time deadline = absl::Now() + kVerbsPatience;
    while (Get(what).empty() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
    return Get(what);
  }

  mutable std::mutex mutex;
  std::string address;
  std::string path;
  std::string hints;
  std::string failure;
};

inline DestinationOptions Told(Heard& heard) {
  DestinationOptions options;
  options.on_event = heard.Listener();
  return options;
}

inline PrePageBudget Everything() {
  PrePageBudget budget;
  budget.bytes = kImage;
  return budget;
}

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_RUNTIME_RAILS_HEARD_H_
