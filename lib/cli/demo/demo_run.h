#ifndef FARFAULT_LIB_CLI_DEMO_DEMO_RUN_H_
#define FARFAULT_LIB_CLI_DEMO_DEMO_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/cli/demo/demo_memory.h"
#include "lib/cli/demo/demo_options.h"
#include "lib/cli/demo/host_link.h"
#include "lib/cli/demo/judge.h"
#include "lib/cli/demo/plan.h"
#include "lib/cli/demo/role_link.h"
#include "lib/cli/demo/role_process.h"
#include "lib/cli/terminal/progress_bar.h"

namespace farfault {

struct MethodResult {
  Method method;
  /// Why there is no more to report: it was left out, or ended early. Empty otherwise.
  std::string left_out;
  std::string failure;
  bool finished() const { return left_out.empty() && failure.empty(); }

  SourceReport source;
  DestinationReport destination;
  Verdict verdict;
  /// Answers of the program per `Timeline::kSlice`, from `epoch` on.
  std::int64_t epoch = 0;
  std::vector<std::uint64_t> source_slices;
  std::vector<std::uint64_t> destination_slices;
  /// By how much times between the two sides may be wrong: they have one clock on one host.
  std::int64_t clock_error_ns = 0;
};

/// The demo's coordinator: starts the roles, tells them what to do, and sees that they do it in time.
class DemoRun {
 public:
  DemoRun(const DemoOptions& options, ProgressBar& bar);

  /// See CheckDemoMemory.
  absl::Status CheckMemory() const { return CheckDemoMemory(options_, guest_); }
  absl::Status Start();
  absl::StatusOr<MethodResult> Move(std::size_t index);

  /// "12 files, 34.5 MiB of text"; after `Start`.
  const std::string& program_summary() const { return program_summary_; }
  /// Why `Move` cannot do the methods that pre-page; empty when it can. After `Start`.
  const std::string& no_prepaging() const { return no_prepaging_; }

 private:
  struct Awaited {
    RoleLink* link = nullptr;
    std::string_view role;
    std::string_view kind;
    nlohmann::json reply;
    bool done = false;
  };

  bool two_hosts() const { return !options_.source_host.empty(); }
  bool single_process() const { return options_.transport.starts_with("sim"); }
  absl::Status FindHost();
  absl::Status StartSource();
  absl::Status ReachSource();
  void ToOwnClock(MethodResult& result) const;
  absl::Status TakeBookkeeping(std::string_view kind, const nlohmann::json& line);
  std::string ListenAddress(std::size_t index) const;
  MovePlan PlanOf(const Method& method, std::size_t index) const;
  absl::Status StartDestination(std::size_t index, const MovePlan& plan);
  absl::Status Tell(RoleLink& link, std::string_view role, std::string_view kind,
                    nlohmann::json body = nlohmann::json::object());
  absl::Status Await(std::vector<Awaited>& awaited, const std::string& title);
  absl::Status Take(Awaited& from, const std::string& title);
  absl::Status WithOtherComplaint(absl::Status first, const Awaited& from, std::vector<Awaited>& awaited);
  std::string FateOf(std::string_view role);

  const DemoOptions& options_;
  ProgressBar& bar_;
  std::string host_ = "127.0.0.1";
  GuestPlan guest_;
  std::unique_ptr<Judge> judge_;
  std::unique_ptr<RoleProcess> source_process_;  // Null: on another host.
  std::unique_ptr<RoleProcess> destination_process_;
  std::unique_ptr<RoleLink> source_;
  std::vector<std::unique_ptr<RoleLink>> destinations_;
  std::set<std::string> said_;
  std::string path_;  // What carried the last move.
  std::string program_summary_;
  std::string no_prepaging_;
  ClockOffset source_clock_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_DEMO_RUN_H_
