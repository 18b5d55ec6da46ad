#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/session.h"
#include "lib/cli/connection_json.h"
#include "lib/cli/demo/role_support.h"
#include "lib/cli/demo/roles.h"
#include "lib/cli/workload/page_check.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

class DestinationRole {
 public:
  DestinationRole(RoleLink& link, GuestPlan guest, MovePlan move, Judge judge, OwnedRegion memory)
      : link_(link),
        guest_(guest),
        plan_(std::move(move)),
        judge_(std::move(judge)),
        memory_(std::move(memory)),
        program_(ShardsOf(guest_, memory_, judge_, Judge::Side::kDestination), Program::Journal::kFirstWrites) {}

  absl::Status Move();
  absl::Status Verify();

 private:
  absl::Status MoveRest(DestinationSession& session);
  void Corrupt();

  RoleLink& link_;
  const GuestPlan guest_;
  const MovePlan plan_;
  Judge judge_;
  OwnedRegion memory_;
  Program program_;
};

void CopyStats(const SessionStats& stats, DestinationReport& report) {
  report.faults_network = stats.faults_network;
  report.faults_local = stats.faults_local;
  LatencyHistogram stalls = stats.stall_network;
  stalls.Merge(stats.stall_local);
  report.stall_ns = {stalls.Quantile(0.5), stalls.Quantile(0.99), stalls.max(), stalls.sum()};
  report.bytes = stats.bytes_received;
  report.demanded = stats.pages_demanded;
  report.fetched = stats.pages_fetched;
  report.pushed = stats.pages_pushed;
  report.prepaged = stats.pages_prepaged;
  report.stale = stats.pages_stale;
  report.duplicates = stats.duplicates;
  report.chunks_collapsed = stats.chunks_collapsed;
}

/// Until all is there. Without a push the program alone decides at first what moves.
absl::Status DestinationRole::MoveRest(DestinationSession& session) {
  if (!plan_.push) {
    absl::Status demanded = session.WaitUntilResident(absl::Nanoseconds(plan_.demand_only_ns));
    if (demanded.ok() || !absl::IsDeadlineExceeded(demanded)) return demanded;
    if (absl::Status status = session.FetchRest(); !status.ok()) return status;
  }
  return session.WaitUntilResident(absl::Nanoseconds(plan_.timeout_ns));
}

absl::Status DestinationRole::Move() {
  DestinationReport report;
  const absl::Duration timeout = absl::Nanoseconds(plan_.timeout_ns);
  absl::StatusOr<GuestMemory> guest = GuestMemory::Create({memory_.region()});
  if (!guest.ok()) return guest.status();
  DestinationOptions options;
  options.listen = plan_.address;
  options.prepare_timeout = timeout;
  options.on_event = ForwardEvents(link_);
  absl::StatusOr<std::unique_ptr<DestinationSession>> session =
      DestinationSession::Create(*std::move(guest), std::move(options));
  if (!session.ok()) return WhileConnecting(session.status());
  const std::int64_t preparing_since = MonotonicNanos();
  if (const absl::Status status = (*session)->Prepare(); !status.ok()) return While("preparing", status);
  report.prepare_ns = MonotonicNanos() - preparing_since;

  if (const absl::Status status = (*session)->Activate(timeout); !status.ok()) return While("taking over", status);
  if (plan_.two_hosts) {
    // What the program has to know of its own past is on its way beside the memory.
    const absl::StatusOr<nlohmann::json> ledger = link_.Receive(Deadline::After(timeout));
    if (!ledger.ok()) return While("waiting for the source's ledger", ledger.status());
  }
  program_.Start();
  if (const absl::Status status = MoveRest(**session); !status.ok()) return While("moving", status);
  report.resident_at = MonotonicNanos();
  absl::SleepFor(absl::Nanoseconds(plan_.lead_out_ns));
  program_.Stop();

  report.resumed_at = program_.first_instruction_at();
  report.first_answer_at = program_.first_answer_at();
  report.answers = program_.operations();
  const SessionStats stats = (*session)->Stats();
  CopyStats(stats, report);
  report.connection = ConnectionToJson("", stats);  // The coordinator has heard of the path.
  session->reset();
  Corrupt();
  return link_.Send("moved", {{"report", report}});
}

void DestinationRole::Corrupt() {
  const std::uint64_t step = plan_.corrupt == 0 ? 0 : guest_.bytes / plan_.corrupt;
  for (std::uint64_t i = 0; i < plan_.corrupt; ++i) memory_.bytes()[i * step + step / 2] ^= std::byte{1};
}

absl::Status DestinationRole::Verify() {
  Verdict verdict;
  std::vector<WriteJournal::Entry> undo;
  for (std::size_t i = 0; i < program_.shards(); ++i) {
    for (WriteJournal::Entry entry : program_.journal(i)->entries()) {
      entry.offset += i * guest_.shard_bytes();
      undo.push_back(entry);
    }
  }
  const PageCheck pages = CheckPages(memory_.bytes(), guest_.page_size, judge_.page_digests(), std::move(undo),
                                     ForwardProgress(link_, "comparing pages", guest_.bytes));
  verdict.verified_pages = pages.verified;
  verdict.wrong_pages = pages.wrong;
  const auto progress = ForwardProgress(link_, "asking every question", guest_.bytes);
  const IndexCheck answers = program_.Check(
      [&](double done) { progress(static_cast<std::uint64_t>(done * static_cast<double>(guest_.bytes))); });
  verdict.wrong_answers = program_.wrong_answers() + answers.wrong;
  return link_.Send("verified", {{"verdict", verdict}});
}

}  // namespace

void PlayDestination(RoleLink& link, int judge_fd) {
  const absl::StatusOr<nlohmann::json> first = link.Receive(Deadline::Never());
  if (!first.ok()) return;
  const GuestPlan guest = (*first)["guest"].get<GuestPlan>();
  absl::StatusOr<Judge> judge = Judge::Open(judge_fd, guest, Judge::View::kDestination);
  if (!judge.ok()) FailRole(link, judge.status());
  absl::StatusOr<OwnedRegion> memory = AllocateGuest(guest);
  if (!memory.ok()) FailRole(link, memory.status());
  DestinationRole role(link, guest, (*first)["plan"].get<MovePlan>(), *std::move(judge), *std::move(memory));
  if (const absl::Status status = role.Move(); !status.ok()) FailRole(link, status);
  if (!link.Receive(Deadline::Never()).ok()) return;
  if (const absl::Status status = role.Verify(); !status.ok()) FailRole(link, status);
}

}  // namespace farfault
