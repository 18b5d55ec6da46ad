#include "lib/cli/demo/demo_run.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "farfault/guest_memory.h"
#include "lib/cli/demo/remote_copy.h"
#include "lib/cli/demo/role_support.h"
#include "lib/cli/terminal/units.h"
#include "lib/util/deadline.h"
#include "lib/util/rdma_address.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

/// After the last wait of a role has run out, it still has to say so.
constexpr absl::Duration kGrace = absl::Seconds(15);

std::uint64_t DefaultThreads() { return std::clamp<std::uint64_t>(std::thread::hardware_concurrency() / 2, 1, 8); }

// Both ends have the same rails, in the same order.
void AddPushedBytes(const nlohmann::json& at_source, nlohmann::json& rails) {
  for (std::size_t i = 0; i < std::min(at_source.size(), rails.size()); ++i) {
    rails[i]["bytes_pushed"] = at_source[i]["bytes_written"];
  }
}

}  // namespace

DemoRun::DemoRun(const DemoOptions& options, ProgressBar& bar) : options_(options), bar_(bar) {
  guest_.page_size = options.hugetlb ? kHugePage : kSmallPage;
  guest_.bytes = (options.bytes + guest_.page_size - 1) / guest_.page_size * guest_.page_size;
  guest_.anonymous = options.anonymous;
  guest_.threads = options.threads == 0 ? DefaultThreads() : options.threads;
  guest_.seed = options.seed;
}

absl::Status DemoRun::Start() {
  absl::StatusOr<Judge> judge = Judge::Create(guest_);
  if (!judge.ok()) return judge.status();
  judge_ = std::make_unique<Judge>(*std::move(judge));
  if (absl::Status started = two_hosts() ? ReachSource() : StartSource(); !started.ok()) return started;
  if (absl::Status found = FindHost(); !found.ok()) return found;

  if (absl::Status status = Tell(*source_, "source", "plan", {{"guest", guest_}}); !status.ok()) return status;
  std::vector<Awaited> ready = {{source_.get(), "source", "ready", {}}};
  if (absl::Status status = Await(ready, "source"); !status.ok()) return status;
  program_summary_ = fmt::format("{} files, {} of text", FormatCount(ready[0].reply["files"].get<std::uint64_t>()),
                                 FormatBytes(ready[0].reply["text_bytes"].get<std::uint64_t>()));
  no_prepaging_ = ready[0].reply["no_prepaging"].get<std::string>();
  return absl::OkStatus();
}

absl::Status DemoRun::ReachSource() {
  bar_.Say(fmt::format("waiting for farfault demo --role source --listen {} on the other host (Ctrl-C to stop)",
                       options_.source_host));
  absl::StatusOr<std::unique_ptr<RoleLink>> source =
      ConnectToSource(options_.source_host, Deadline::After(options_.timeout));
  if (!source.ok()) return source.status();
  source_ = *std::move(source);
  absl::StatusOr<std::string> host = OwnHost(*source_);
  if (!host.ok()) return host.status();
  host_ = *std::move(host);
  return absl::OkStatus();
}

absl::Status DemoRun::StartSource() {
  std::vector<std::string> arguments = {"--judge", std::to_string(judge_->fd())};
  std::vector<int> inherited = {judge_->fd()};
  std::vector<std::unique_ptr<RoleLink>> theirs;
  const auto add_link = [&](const std::string& option) -> absl::StatusOr<std::unique_ptr<RoleLink>> {
    auto pair = RoleLink::CreatePair();
    if (!pair.ok()) return pair.status();
    arguments.insert(arguments.end(), {option, std::to_string(pair->second->fd())});
    inherited.push_back(pair->second->fd());
    theirs.push_back(std::move(pair->second));
    return std::move(pair->first);
  };
  absl::StatusOr<std::unique_ptr<RoleLink>> source = add_link("--source");
  if (!source.ok()) return source.status();
  source_ = *std::move(source);
  for (std::size_t i = 0; single_process() && i < options_.methods.size(); ++i) {
    absl::StatusOr<std::unique_ptr<RoleLink>> destination = add_link("--destination");
    if (!destination.ok()) return destination.status();
    destinations_.push_back(*std::move(destination));
  }
  absl::StatusOr<std::unique_ptr<RoleProcess>> process = RoleProcess::Spawn(arguments, inherited);
  if (!process.ok()) return process.status();
  source_process_ = *std::move(process);
  return absl::OkStatus();
}

absl::Status DemoRun::FindHost() {
  if (!options_.transport.starts_with("verbs")) return absl::OkStatus();
  absl::StatusOr<std::string> address = OwnRdmaAddress();
  if (!address.ok()) return address.status();
  host_ = *std::move(address);
  return absl::OkStatus();
}

std::string DemoRun::ListenAddress(std::size_t index) const {
  const std::size_t question = options_.transport.find('?');
  const std::string scheme = options_.transport.substr(0, question);
  const std::string query = question == std::string::npos ? "" : options_.transport.substr(question);
  return single_process() ? fmt::format("sim://demo-{}{}", index, query)
                          : fmt::format("{}://{}:0{}", scheme, host_, query);
}

MovePlan DemoRun::PlanOf(const Method& method, std::size_t index) const {
  MovePlan plan;
  plan.title = method.title;
  plan.address = ListenAddress(index);
  plan.push = method.push;
  plan.prepage = method.prepage;
  plan.predictor = options_.predictor;
  plan.prepage_bytes = options_.budget == 0 ? guest_.bytes / 3 : options_.budget;
  plan.timeout_ns = absl::ToInt64Nanoseconds(options_.timeout);
  plan.lead_in_ns = 500'000'000;
  plan.lead_out_ns = absl::ToInt64Nanoseconds(options_.after);
  plan.demand_only_ns = absl::ToInt64Nanoseconds(options_.demand_only);
  plan.corrupt = options_.corrupt;
  plan.two_hosts = two_hosts();
  return plan;
}

absl::Status DemoRun::StartDestination(std::size_t index, const MovePlan& plan) {
  if (!single_process()) {
    auto pair = RoleLink::CreatePair();
    if (!pair.ok()) return pair.status();
    // Those before it may have been left out.
    destinations_.resize(index + 1);
    destinations_[index] = std::move(pair->first);
    absl::StatusOr<std::unique_ptr<RoleProcess>> process = RoleProcess::Spawn(
        {"--judge", std::to_string(judge_->fd()), "--destination", std::to_string(pair->second->fd())},
        {judge_->fd(), pair->second->fd()});
    if (!process.ok()) return process.status();
    destination_process_ = *std::move(process);
  }
  return Tell(*destinations_[index], "destination", "plan", {{"guest", guest_}, {"plan", plan}});
}

absl::StatusOr<MethodResult> DemoRun::Move(std::size_t index) {
  MethodResult result;
  result.method = options_.methods[index];
  const std::string& title = result.method.title;
  MovePlan plan = PlanOf(result.method, index);
  judge_->RestartTimelines();
  if (absl::Status status = StartDestination(index, plan); !status.ok()) return status;
  RoleLink* const destination = destinations_[index].get();

  std::vector<Awaited> listening = {{destination, "destination", "listening", {}}};
  if (absl::Status status = Await(listening, title); !status.ok()) return status;
  plan.address = listening[0].reply["address"].get<std::string>();
  if (two_hosts()) {
    const absl::StatusOr<ClockOffset> clock = CompareClocks(*source_, Deadline::After(options_.timeout));
    if (!clock.ok()) return clock.status();
    source_clock_ = *clock;
  }
  if (absl::Status status = Tell(*source_, "source", "move", {{"plan", plan}}); !status.ok()) return status;
  std::vector<Awaited> moved = {{source_.get(), "source", "moved", {}}, {destination, "destination", "moved", {}}};
  if (absl::Status status = Await(moved, title); !status.ok()) return status;
  result.source = moved[0].reply["report"].get<SourceReport>();
  result.destination = moved[1].reply["report"].get<DestinationReport>();
  result.destination.connection["path"] = path_;
  AddPushedBytes(result.source.rails, result.destination.connection["rails"]);

  if (absl::Status status = Tell(*source_, "source", "digest", {{"two_hosts", two_hosts()}}); !status.ok()) {
    return status;
  }
  std::vector<Awaited> digested = {{source_.get(), "source", "digested", {}}};
  if (absl::Status status = Await(digested, title); !status.ok()) return status;
  if (absl::Status status = Tell(*destination, "destination", "verify"); !status.ok()) return status;
  std::vector<Awaited> verified = {{destination, "destination", "verified", {}}};
  if (absl::Status status = Await(verified, title); !status.ok()) return status;
  result.verdict = verified[0].reply["verdict"].get<Verdict>();
  result.verdict.wrong_answers += result.source.wrong_answers;

  result.epoch = judge_->epoch();
  result.source_slices = judge_->OperationsPerSlice(Judge::Side::kSource);
  result.destination_slices = judge_->OperationsPerSlice(Judge::Side::kDestination);
  if (two_hosts()) ToOwnClock(result);
  if (destination_process_ != nullptr) {
    const std::string fate = destination_process_->Reap(Deadline::After(kGrace));
    destination_process_.reset();
    if (!fate.empty()) return absl::InternalError("the destination process " + fate + " after it had finished");
  }
  return result;
}

void DemoRun::ToOwnClock(MethodResult& result) const {
  SourceReport& source = result.source;
  result.clock_error_ns = source_clock_.error_ns;
  for (std::int64_t* const time : {&source.began_at, &source.stopped_at, &source.epoch}) {
    *time -= source_clock_.ahead_ns;
  }
  const std::int64_t later = std::max<std::int64_t>(0, (source.epoch - result.epoch) / Timeline::kSlice);
  result.source_slices.assign(static_cast<std::size_t>(later), 0);
  result.source_slices.insert(result.source_slices.end(), source.slices.begin(), source.slices.end());
}

absl::Status DemoRun::TakeBookkeeping(std::string_view kind, const nlohmann::json& line) {
  if (kind == "ledger_complete") return Tell(*destinations_.back(), "destination", "ledger");
  return RemoteCopy::Apply(line,
                           kind == "ledger" ? judge_->ledger_bytes() : std::as_writable_bytes(judge_->page_digests()));
}

// A process that has ended cannot be told anything, and may have said before why.
absl::Status DemoRun::Tell(RoleLink& link, std::string_view role, std::string_view kind, nlohmann::json body) {
  absl::Status sent = link.Send(kind, std::move(body));
  if (!absl::IsUnavailable(sent)) return sent;
  for (;;) {
    const absl::StatusOr<nlohmann::json> line = link.Receive(Deadline::After(absl::Seconds(1)));
    if (!line.ok()) return absl::UnavailableError(FateOf(role));
    if ((*line)["kind"] != "error") continue;
    return absl::InternalError(fmt::format("{}: {}", role, (*line)["text"].get<std::string>()));
  }
}

absl::Status DemoRun::Await(std::vector<Awaited>& awaited, const std::string& title) {
  const absl::Duration patience = options_.timeout + kGrace;
  Deadline deadline = Deadline::After(patience);
  for (;;) {
    std::vector<pollfd> fds;
    std::vector<Awaited*> open;
    bool buffered = false;
    for (Awaited& one : awaited) {
      if (one.done) continue;
      fds.push_back({one.link->fd(), POLLIN, 0});
      open.push_back(&one);
      buffered |= one.link->has_line();
    }
    if (open.empty()) return absl::OkStatus();
    const int ready = poll(fds.data(), fds.size(), buffered ? 0 : 1000);
    if (ready < 0 && errno != EINTR) return absl::InternalError("poll on the demo's processes failed");
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (!open[i]->link->has_line() && fds[i].revents == 0) continue;
      deadline = Deadline::After(patience);
      if (const absl::Status status = Take(*open[i], title); !status.ok()) {
        return WithOtherComplaint(status, *open[i], awaited);
      }
    }
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(
          fmt::format("the {} has said nothing for {}: give it longer with --timeout, or report this with the output "
                      "of the same command and --seed {}",
                      open[0]->role, absl::FormatDuration(patience), options_.seed));
    }
  }
}

absl::Status DemoRun::Take(Awaited& from, const std::string& title) {
  absl::StatusOr<nlohmann::json> line = from.link->Receive(Deadline::After(absl::Seconds(5)));
  if (absl::IsUnavailable(line.status())) return absl::UnavailableError(FateOf(from.role));
  if (!line.ok()) return line.status();
  const std::string kind = (*line)["kind"].get<std::string>();
  if (kind == from.kind) {
    from.reply = *std::move(line);
    from.done = true;
  } else if (kind == "progress") {
    const std::string step = (*line)["step"].get<std::string>();
    // What has arrived counts, and what was sent is ahead of it: the two in turns would go back and forth.
    if (step == "moving" && from.role == "source") return absl::OkStatus();
    bar_.Update(title + ": " + step, (*line)["done"].get<std::uint64_t>(), (*line)["total"].get<std::uint64_t>());
  } else if (kind == "ledger" || kind == "ledger_complete" || kind == "digests") {
    return TakeBookkeeping(kind, *line);
  } else if (kind == "connected" && from.role == "destination") {
    path_ = (*line)["path"].get<std::string>();
    if (said_.insert(path_).second) bar_.Say("over " + path_);
  } else if (kind == "hint") {
    const std::string text = (*line)["text"].get<std::string>();
    if (said_.insert(text).second) bar_.Say("hint: " + text);
  } else if (kind == "error") {
    return absl::InternalError(fmt::format("{}: {}", from.role, (*line)["text"].get<std::string>()));
  }
  return absl::OkStatus();
}

/// When one side fails the other does, too, a moment later; one of the two knows why.
absl::Status DemoRun::WithOtherComplaint(absl::Status first, const Awaited& from, std::vector<Awaited>& awaited) {
  for (Awaited& other : awaited) {
    if (&other == &from || other.done) continue;
    const Deadline deadline = Deadline::After(absl::Seconds(1));
    for (;;) {
      const absl::StatusOr<nlohmann::json> line = other.link->Receive(deadline);
      if (!line.ok()) break;
      if ((*line)["kind"] != "error") continue;
      return absl::Status(
          first.code(),
          BothComplaints(StatusText(first), fmt::format("{}: {}", other.role, (*line)["text"].get<std::string>())));
    }
  }
  // A process that was killed says nothing itself: the other one notices first.
  RoleProcess* const peer = from.role == "source" ? destination_process_.get() : source_process_.get();
  const std::string fate = peer == nullptr ? "" : peer->FateIfEnded(Deadline::After(absl::Milliseconds(200)));
  if (fate.empty()) return first;
  return absl::Status(first.code(),
                      fmt::format("the {} process {} ({})", from.role == "source" ? "destination" : "source", fate,
                                  std::string(StatusText(first))));
}

std::string DemoRun::FateOf(std::string_view role) {
  const bool own_process = role == "destination" && destination_process_ != nullptr;
  if (!own_process && source_process_ == nullptr) {
    return fmt::format("the source at {} has left; what it printed says why", options_.source_host);
  }
  RoleProcess& process = own_process ? *destination_process_ : *source_process_;
  const std::string fate = process.Reap(Deadline::After(absl::Seconds(2)));
  return fmt::format("the {} process {}; if the machine ran out of memory (see dmesg), try a smaller --size", role,
                     fate.empty() ? "ended early" : fate);
}

}  // namespace farfault
