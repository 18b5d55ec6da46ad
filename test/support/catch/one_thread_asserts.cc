#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace farfault {
namespace {

/// Catch2's assertions are not thread-safe before 3.9, and a case that breaks this rule passes except once in many
/// runs. This makes it fail at every run: a thread must note what it saw, and the case check it after joining.
class OneThreadAsserts final : public Catch::EventListenerBase {
 public:
  using Catch::EventListenerBase::EventListenerBase;

  void testRunStarting(const Catch::TestRunInfo& /*info*/) override { runner_ = std::this_thread::get_id(); }

  void assertionStarting(const Catch::AssertionInfo& assertion) override {
    if (std::this_thread::get_id() == runner_) return;
    std::fprintf(stderr,
                 "%s:%zu: %.*s on a thread that does not run the test case; note the result and check it there\n",
                 assertion.lineInfo.file, assertion.lineInfo.line, static_cast<int>(assertion.macroName.size()),
                 assertion.macroName.data());
    std::abort();
  }

 private:
  std::thread::id runner_;
};

}  // namespace
}  // namespace farfault

CATCH_REGISTER_LISTENER(farfault::OneThreadAsserts)
