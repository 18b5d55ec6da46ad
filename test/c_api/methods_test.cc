#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "farfault/c.h"
#include "farfault/farfault.h"
#include "lib/c_api/handles.h"

// Every method of the sessions of C++ is reached through a function of C. A method that is new does not compile here
// until it is written down below, and then fails until there is a function that calls it.
namespace farfault {
namespace {

/// The names of the methods that have been called.
class Called {
 public:
  void Note(const std::string& method) const { methods_.insert(method); }
  std::set<std::string> Take() { return std::exchange(methods_, {}); }

 private:
  mutable std::set<std::string> methods_;
};

template <typename Side>
class NotedSession : public Side {
 public:
  explicit NotedSession(const Called& called) : called_(called) {}

  SessionState state() const override {
    called_.Note("state");
    return SessionState::kResident;
  }
  absl::Status status() const override {
    called_.Note("status");
    return absl::AbortedError("status");
  }
  SessionStats Stats() const override {
    called_.Note("Stats");
    return {};
  }
  void Cancel() override { called_.Note("Cancel"); }

 protected:
  const Called& called_;
};

class NotedSource final : public NotedSession<SourceSession> {
 public:
  using NotedSession::NotedSession;

  absl::StatusOr<PrePageReport> PrePage(const PrePageBudget& budget) override {
    called_.Note("PrePage");
    return PrePageReport{.pages_sent = budget.bytes, .elapsed = {}};
  }
  absl::Status ReportDirty(std::span<const PageRun> dirty) override {
    called_.Note("ReportDirty");
    return dirty.size() == 1 && dirty[0] == PageRun{3, 4} ? absl::OkStatus() : absl::InternalError("other pages");
  }
  absl::Status SwitchOver() override {
    called_.Note("SwitchOver");
    return absl::OkStatus();
  }
  absl::Status WaitUntilDrained(absl::Duration timeout) override {
    called_.Note("WaitUntilDrained");
    return timeout == absl::Nanoseconds(5) ? absl::OkStatus() : absl::InternalError("another time");
  }
};

class NotedDestination final : public NotedSession<DestinationSession> {
 public:
  using NotedSession::NotedSession;

  absl::Status Prepare() override {
    called_.Note("Prepare");
    return absl::OkStatus();
  }
  absl::Status Activate(absl::Duration timeout) override {
    called_.Note("Activate");
    return timeout == absl::InfiniteDuration() ? absl::OkStatus() : absl::InternalError("another time");
  }
  absl::Status FetchRest() override {
    called_.Note("FetchRest");
    return absl::OkStatus();
  }
  absl::Status Fetch(std::vector<PageRun> order) override {
    called_.Note("Fetch");
    return order == std::vector<PageRun>{{8, 1}, {3, 4}} ? absl::OkStatus() : absl::InternalError("other pages");
  }
  std::vector<PageIndex> FaultOrder() const override {
    called_.Note("FaultOrder");
    return {9, 4};
  }
  absl::Status WaitUntilResident(absl::Duration timeout) override {
    called_.Note("WaitUntilResident");
    return timeout == absl::Nanoseconds(6) ? absl::OkStatus() : absl::InternalError("another time");
  }
};

const std::set<std::string> kOfBoth = {"state", "status", "Stats", "Cancel"};

void CallWhatBothHave(farfault_session* session) {
  CHECK(farfault_session_state(session) == FARFAULT_STATE_RESIDENT);
  CHECK(farfault_session_status(session) == FARFAULT_ABORTED);
  CHECK(farfault_session_stats(session, nullptr, nullptr, nullptr) == FARFAULT_OK);
  CHECK(farfault_session_cancel(session) == FARFAULT_OK);
}

TEST_CASE("every method of a source has a function in C") {
  Called called;
  farfault_source source;
  source.session = std::make_unique<NotedSource>(called);
  source.base.session = source.session.get();
  CallWhatBothHave(farfault_source_session(&source));
  CHECK(called.Take() == kOfBoth);

  farfault_prepage_budget budget;
  farfault_prepage_budget_init(&budget, sizeof(budget));
  budget.bytes = 7;
  farfault_prepage_report report{};
  report.struct_size = sizeof(report);
  const farfault_page_run run{3, 4};
  CHECK(farfault_source_prepage(&source, &budget, &report) == FARFAULT_OK);
  CHECK(report.pages_sent == 7);
  CHECK(farfault_source_report_dirty(&source, &run, 1) == FARFAULT_OK);
  CHECK(farfault_source_switch_over(&source) == FARFAULT_OK);
  CHECK(farfault_source_wait_until_drained(&source, 5) == FARFAULT_OK);
  CHECK(called.Take() == std::set<std::string>{"PrePage", "ReportDirty", "SwitchOver", "WaitUntilDrained"});
}

TEST_CASE("every method of a destination has a function in C") {
  Called called;
  farfault_destination destination;
  destination.session = std::make_unique<NotedDestination>(called);
  destination.base.session = destination.session.get();
  CallWhatBothHave(farfault_destination_session(&destination));
  CHECK(called.Take() == kOfBoth);

  const farfault_page_run order[] = {{8, 1}, {3, 4}};
  std::uint64_t pages[2] = {};
  std::size_t count = 0;
  CHECK(farfault_destination_prepare(&destination) == FARFAULT_OK);
  CHECK(farfault_destination_activate(&destination, FARFAULT_FOREVER) == FARFAULT_OK);
  CHECK(farfault_destination_fetch_rest(&destination) == FARFAULT_OK);
  CHECK(farfault_destination_fetch(&destination, order, 2) == FARFAULT_OK);
  CHECK(farfault_destination_fault_order(&destination, pages, 2, &count) == FARFAULT_OK);
  CHECK((count == 2 && pages[0] == 9 && pages[1] == 4));
  CHECK(farfault_destination_wait_until_resident(&destination, 6) == FARFAULT_OK);
  CHECK(called.Take() ==
        std::set<std::string>{"Prepare", "Activate", "FetchRest", "Fetch", "FaultOrder", "WaitUntilResident"});
}

}  // namespace
}  // namespace farfault
