#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "farfault/session.h"
#include "lib/cli/connection_json.h"
#include "lib/cli/demo/remote_copy.h"
#include "lib/cli/demo/role_support.h"
#include "lib/cli/demo/roles.h"
#include "lib/cli/workload/corpus.h"
#include "lib/cli/workload/index_builder.h"
#include "lib/cli/workload/page_check.h"
#include "lib/prepage/dirty_tracker.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

/// More text than this makes the index no more interesting; documents come in several editions then.
constexpr std::uint64_t kMaxCorpus = 128 << 20;

class SourceRole {
 public:
  SourceRole(RoleLink& link, GuestPlan plan, Judge judge, OwnedRegion memory)
      : link_(link), plan_(plan), judge_(std::move(judge)), memory_(std::move(memory)), ledger_(link, "ledger") {}

  absl::Status BuildProgram();
  absl::Status Obey(const nlohmann::json& order);

 private:
  absl::StatusOr<SourceReport> Move(const MovePlan& plan);
  absl::Status PrePage(SourceSession& session, const MovePlan& plan, SourceReport& report);
  absl::Status Digest(bool two_hosts);

  RoleLink& link_;
  const GuestPlan plan_;
  Judge judge_;
  OwnedRegion memory_;
  std::unique_ptr<Program> program_;
  RemoteCopy ledger_;
};

absl::Status SourceRole::BuildProgram() {
  link_.Send("progress", {{"step", "reading files"}, {"done", 0}, {"total", 0}}).IgnoreError();
  const std::uint64_t corpus_bytes = std::min(kMaxCorpus, std::max<std::uint64_t>(plan_.bytes / 4, 1 << 20));
  const absl::StatusOr<Corpus> corpus = Corpus::CollectFromMachine(corpus_bytes, plan_.seed);
  if (!corpus.ok()) return corpus.status();

  std::vector<Program::Shard> shards = ShardsOf(plan_, memory_, judge_, Judge::Side::kSource);
  std::vector<absl::Status> outcomes(shards.size());
  const auto progress = ForwardProgress(link_, "building the index", plan_.bytes);
  const auto build = [&](std::size_t i, const std::function<void(std::uint64_t)>& tell) {
    outcomes[i] = BuildIndex(shards[i].memory, shards[i].ledger, *corpus, plan_.seed + i, tell);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < shards.size(); ++i) threads.emplace_back(build, i, nullptr);
  build(0, [&](std::uint64_t done) { progress(done * shards.size()); });
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& outcome : outcomes) {
    if (!outcome.ok()) return outcome;
  }
  program_ = std::make_unique<Program>(shards, Program::Journal::kNone);
  return link_.Send("ready", {{"files", corpus->files()},
                              {"text_bytes", corpus->bytes()},
                              {"no_prepaging", absl::IsUnimplemented(DirtyTracker::CheckSupported())
                                                   ? "the source's kernel does not tell what a program writes: that "
                                                     "takes Linux 6.7 or later (Debian 12 has one in its backports)"
                                                   : ""}});
}

absl::Status SourceRole::Obey(const nlohmann::json& order) {
  if (order["kind"] == "digest") return Digest(order.value("two_hosts", false));
  if (order["kind"] == "clock") return link_.Send("clock", {{"now", MonotonicNanos()}});
  absl::StatusOr<SourceReport> report = Move(order["plan"].get<MovePlan>());
  if (!report.ok()) return report.status();
  report->wrong_answers = program_->wrong_answers();
  if (order["plan"]["two_hosts"].get<bool>()) {
    report->epoch = judge_.epoch();
    report->slices = judge_.OperationsPerSlice(Judge::Side::kSource);
  }
  return link_.Send("moved", {{"report", *report}});
}

absl::Status SourceRole::PrePage(SourceSession& session, const MovePlan& plan, SourceReport& report) {
  PrePageBudget budget;
  budget.bytes = plan.prepage_bytes;
  const absl::StatusOr<PrePageReport> prepaged = session.PrePage(budget);
  if (!prepaged.ok()) return prepaged.status();
  report.prepage_ns = absl::ToInt64Nanoseconds(prepaged->elapsed);
  report.prepaged_bytes = prepaged->bytes_sent;
  return absl::OkStatus();
}

absl::StatusOr<SourceReport> SourceRole::Move(const MovePlan& plan) {
  SourceReport report;
  const absl::Duration timeout = absl::Nanoseconds(plan.timeout_ns);
  absl::StatusOr<GuestMemory> guest = GuestMemory::Create({memory_.region()});
  if (!guest.ok()) return guest.status();
  SourceOptions options;
  options.connect = plan.address;
  options.prepare_timeout = timeout;
  options.push.enabled = plan.push;
  options.track_dirty = plan.prepage;
  options.track_history = plan.prepage;
  options.on_event = ForwardEvents(link_);
  absl::StatusOr<std::unique_ptr<Predictor>> predictor = MakePredictor(plan.predictor);
  if (!predictor.ok()) return predictor.status();
  options.predictor = *std::move(predictor);

  // All but what changes until the program stops.
  if (plan.two_hosts) {
    judge_.RestartTimelines();
    if (absl::Status sent = ledger_.Update(judge_.ledger_bytes()); !sent.ok()) return sent;
  }
  program_->Start();
  report.began_at = MonotonicNanos();
  absl::StatusOr<std::unique_ptr<SourceSession>> session = SourceSession::Create(*std::move(guest), std::move(options));
  if (!session.ok()) return WhileConnecting(session.status());
  if (plan.prepage) {
    if (const absl::Status status = PrePage(**session, plan, report); !status.ok()) return While("pre-paging", status);
  }
  const std::int64_t still_to_run = plan.lead_in_ns - (MonotonicNanos() - report.began_at);
  absl::SleepFor(absl::Nanoseconds(std::max<std::int64_t>(still_to_run, 0)));

  report.stopped_at = MonotonicNanos();
  program_->Stop();
  if (plan.two_hosts) {
    if (absl::Status sent = ledger_.Update(judge_.ledger_bytes()); !sent.ok()) return sent;
    if (absl::Status sent = link_.Send("ledger_complete"); !sent.ok()) return sent;
  }
  if (const absl::Status status = (*session)->SwitchOver(); !status.ok()) return While("switching over", status);
  if (const absl::Status status = (*session)->WaitUntilDrained(timeout); !status.ok()) return While("moving", status);
  const SessionStats stats = (*session)->Stats();
  report.bytes_sent = stats.bytes_sent;
  report.rails = RailsToJson(stats);
  report.hints_seen = stats.hints_seen;
  report.pages_yielded = stats.pages_yielded;
  report.hole_pages = stats.hole_pages;
  return report;
}

absl::Status SourceRole::Digest(bool two_hosts) {
  const auto progress = ForwardProgress(link_, "reading the source's pages", plan_.bytes);
  if (absl::Status status = DigestPages(memory_.region(), judge_.page_digests(), progress); !status.ok()) {
    return status;
  }
  if (two_hosts) {
    RemoteCopy digests(link_, "digests");
    if (absl::Status sent = digests.Update(std::as_bytes(judge_.page_digests())); !sent.ok()) return sent;
  }
  return link_.Send("digested");
}

}  // namespace

absl::Status ObeyAsSource(RoleLink& link, int judge_fd) {
  const absl::StatusOr<nlohmann::json> first = link.Receive(Deadline::Never());
  if (!first.ok()) return absl::OkStatus();
  const GuestPlan plan = (*first)["guest"].get<GuestPlan>();
  absl::StatusOr<Judge> judge = judge_fd < 0 ? Judge::Create(plan) : Judge::Open(judge_fd, plan, Judge::View::kSource);
  if (!judge.ok()) return judge.status();
  absl::StatusOr<OwnedRegion> memory = AllocateGuest(plan);
  if (!memory.ok()) return memory.status();
  SourceRole role(link, plan, *std::move(judge), *std::move(memory));
  if (absl::Status status = role.BuildProgram(); !status.ok()) return status;
  for (;;) {
    const absl::StatusOr<nlohmann::json> order = link.Receive(Deadline::Never());
    if (!order.ok()) return absl::OkStatus();
    if (absl::Status status = role.Obey(*order); !status.ok()) return status;
  }
}

void PlaySource(RoleLink& link, int judge_fd) {
  if (const absl::Status status = ObeyAsSource(link, judge_fd); !status.ok()) FailRole(link, status);
}

}  // namespace farfault
