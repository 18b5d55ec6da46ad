#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "farfault/session.h"
#include "lib/cli/commands.h"
#include "lib/cli/fetch_report.h"
#include "lib/cli/image_name.h"
#include "lib/cli/option_types.h"
#include "lib/cli/output_file.h"
#include "lib/cli/peer_advice.h"
#include "lib/cli/rail_summary.h"
#include "lib/cli/sha256.h"
#include "lib/cli/terminal/progress_bar.h"
#include "lib/cli/touch_pattern.h"
#include "lib/cli/workload/timeline.h"
#include "lib/fault/userfaultfd.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

struct FetchOptions {
  std::string from;
  std::string key;
  std::string pattern = "sequential";
  std::uint64_t stride = 16;
  std::uint64_t seed = 1;
  std::uint64_t threads = 4;
  bool rest = false;
  absl::Duration wait = absl::Hours(24 * 365);
  absl::Duration timeout = absl::Minutes(5);
  std::string output;
  bool json = false;
};

class Fetch {
 public:
  Fetch(const FetchOptions& options, ProgressBar& bar) : options_(options), bar_(bar) {}

  absl::StatusOr<Fetched> Run();

 private:
  SessionOptions CommonOptions();
  absl::Status Allocate();
  absl::StatusOr<std::unique_ptr<DestinationSession>> Attach();
  absl::Status FaultIn(DestinationSession& session);
  absl::Status WaitUntilResident(DestinationSession& session);
  absl::Status WriteOutput() const;

  std::span<const std::byte> image() const { return std::span(memory_.bytes()).first(name_.bytes); }

  const FetchOptions& options_;
  ProgressBar& bar_;
  OwnedRegion memory_;
  ImageName name_;
  bool told_waiting_ = false;
  std::string path_;
};

SessionOptions Fetch::CommonOptions() {
  SessionOptions common;
  common.connect = options_.from;
  common.pre_shared_key = options_.key;
  common.peer_timeout = options_.wait;
  common.on_event = [this](const Event& event) {
    switch (event.kind) {
      case EventKind::kWaitingForPeer:
        if (!std::exchange(told_waiting_, true)) {
          bar_.Say(fmt::format("waiting for a source at {}: farfault serve FILE --listen '{}' there (Ctrl-C to stop)",
                               options_.from, options_.from));
        }
        break;
      case EventKind::kConnected:
        path_ = event.text;
        if (!path_.empty()) bar_.Say("over " + path_);
        break;
      case EventKind::kPreparing:
        bar_.Update("preparing memory", event.done, event.total);
        break;
      case EventKind::kMoving:
        bar_.Update("fetching " + name_.file, event.done, event.total);
        break;
      case EventKind::kHint:
        bar_.Say("hint: " + event.text);
        break;
      default:
        break;
    }
  };
  return common;
}

absl::Status Fetch::Allocate() {
  const absl::StatusOr<std::vector<RemoteRegion>> regions = DescribeSource(CommonOptions());
  if (!regions.ok()) return regions.status();
  if (regions->size() != 1) {
    return absl::FailedPreconditionError(
        fmt::format("the source at {} offers {} regions of memory, not one image: fetch reads what farfault serve "
                    "exports",
                    options_.from, regions->size()));
  }
  const RemoteRegion& remote = regions->front();
  name_ = ParseImageName(remote.name, remote.length, remote.page_size);
  absl::StatusOr<OwnedRegion> memory =
      OwnedRegion::CreateShared(remote.name, remote.length, OwnedRegion::Placement{.page_size = remote.page_size});
  if (!memory.ok()) return memory.status();
  memory_ = *std::move(memory);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DestinationSession>> Fetch::Attach() {
  absl::StatusOr<GuestMemory> guest = GuestMemory::Create({memory_.region()});
  if (!guest.ok()) return guest.status();
  DestinationOptions options;
  static_cast<SessionOptions&>(options) = CommonOptions();
  told_waiting_ = false;
  absl::StatusOr<std::unique_ptr<DestinationSession>> session =
      DestinationSession::Create(*std::move(guest), std::move(options));
  if (!session.ok()) return session.status();
  if (absl::Status status = (*session)->Prepare(); !status.ok()) return status;
  if (absl::Status status = (*session)->Activate(options_.timeout); !status.ok()) return status;
  return session;
}

/// Until everything is here. Slow is fine, standing still is not.
absl::Status Fetch::WaitUntilResident(DestinationSession& session) {
  std::uint64_t resident = 0;
  Deadline deadline = Deadline::After(options_.timeout);
  for (;;) {
    absl::Status status = session.WaitUntilResident(absl::Milliseconds(500));
    if (status.ok() || !absl::IsDeadlineExceeded(status)) return status;
    const std::uint64_t now_resident = session.Stats().resident_pages;
    if (std::exchange(resident, now_resident) != now_resident) {
      deadline = Deadline::After(options_.timeout);
    } else if (deadline.Passed()) {
      return absl::DeadlineExceededError(fmt::format(
          "no page has come from {} for {}: check the network and the source, or wait longer with --timeout",
          options_.from, absl::FormatDuration(options_.timeout)));
    }
  }
}

absl::Status Fetch::FaultIn(DestinationSession& session) {
  const std::uint64_t page_size = memory_.region().page_size;
  const std::vector<std::uint64_t> order = TouchOrder(
      *ParseTouchPattern(options_.pattern), memory_.bytes().size() / page_size, options_.stride, options_.seed);
  std::atomic<std::size_t> next{0};
  const auto touch = [&] {
    const volatile std::byte* const base = memory_.bytes().data();
    for (std::size_t i = next.fetch_add(1); i < order.size(); i = next.fetch_add(1)) {
      static_cast<void>(base[order[i] * page_size]);
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < options_.threads; ++i) threads.emplace_back(touch);
  absl::Status status = options_.rest ? session.FetchRest() : absl::OkStatus();
  if (status.ok()) status = WaitUntilResident(session);
  if (!status.ok()) {
    // The threads may be parked on pages that will never come: nobody can join them.
    bar_.Clear();
    // What has not come is still in the source's file.
    if (absl::IsUnavailable(status)) {
      status = absl::UnavailableError(fmt::format("{}, then run this again", StatusText(status)));
    }
    Complain(status);
    std::fflush(nullptr);
    _exit(kExitFailed);
  }
  for (std::thread& thread : threads) thread.join();
  return status;
}

absl::Status Fetch::WriteOutput() const {
  const int fd = open(options_.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return NotWritable(options_.output, errno);
  int error = 0;
  std::span<const std::byte> left = image();
  while (error == 0 && !left.empty()) {
    const ssize_t wrote = write(fd, left.data(), left.size());
    if (wrote > 0) {
      left = left.subspan(static_cast<std::size_t>(wrote));
    } else if (wrote == 0) {
      error = EIO;
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  // Some file systems say only here that there was no room.
  if (close(fd) != 0 && error == 0) error = errno;
  return error == 0 ? absl::OkStatus() : NotWritable(options_.output, error);
}

absl::StatusOr<Fetched> Fetch::Run() {
  if (absl::Status status = Allocate(); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<DestinationSession>> session = Attach();
  if (!session.ok()) return session.status();
  Fetched fetched;
  const std::int64_t began = MonotonicNanos();
  if (absl::Status status = FaultIn(**session); !status.ok()) return status;
  fetched.nanoseconds = MonotonicNanos() - began;
  fetched.stats = (*session)->Stats();
  session->reset();
  fetched.name = name_;
  fetched.pattern = options_.pattern;
  fetched.path = path_;
  absl::StatusOr<std::string> sha256 =
      Sha256(image(), [&](std::size_t done) { bar_.Update("computing the SHA-256", done, image().size()); });
  if (!sha256.ok()) return sha256.status();
  fetched.sha256 = *std::move(sha256);
  if (!options_.output.empty()) {
    if (absl::Status status = WriteOutput(); !status.ok()) return status;
  }
  return fetched;
}

int RunFetch(const FetchOptions& options) {
  // Nobody should wait for a source first.
  if (const auto right = Userfaultfd::KernelFeatures(); !right.ok()) return Complain(right.status());
  ProgressBar bar(ProgressBar::StyleFor(stderr, options.json));
  const absl::StatusOr<Fetched> fetched = Fetch(options, bar).Run();
  bar.Clear();
  if (!fetched.ok()) return Complain(AdviseInstead(fetched.status(), "wait longer with --wait"));
  if (options.json) {
    fmt::print("{}\n", FetchedAsJson(*fetched));
    return kExitGood;
  }
  // As sha256sum prints it, so that the line can be compared and piped; the rest is for the eye.
  fmt::print("{}  {}\n", fetched->sha256, fetched->name.file);
  std::fflush(stdout);
  fmt::print(stderr, "{}", FetchedAsTable(*fetched));
  if (!fetched->stats.rails.empty()) fmt::print(stderr, "read over {}\n", RailSummary(fetched->stats));
  return kExitGood;
}

void CheckHasEffect(const CLI::App& command, const FetchOptions& options) {
  for (const auto& [name, pattern] : {std::pair("--stride", "strided"), std::pair("--seed", "random")}) {
    if (command.count(name) == 0 || options.pattern == pattern) continue;
    throw CLI::ValidationError(name, fmt::format("has no effect without --pattern {}", pattern));
  }
}

}  // namespace

void AddFetchCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("fetch", "Attach to what `farfault serve` exports, fault it in, hash it");
  auto options = std::make_shared<FetchOptions>();
  AddAddress(*command, "--from", options->from, "Where the source listens, like tcp://192.0.2.7:7000")->required();
  command
      ->add_option_function<std::string>(
          "--pattern",
          [&options = *options](const std::string& text) {
            const absl::StatusOr<TouchPattern> pattern = ParseTouchPattern(text);
            if (!pattern.ok()) throw CLI::ValidationError("--pattern", std::string(StatusText(pattern.status())));
            options.pattern = text;
          },
          "Order in which pages are touched: random, sequential (default), strided")
      ->type_name("NAME");
  command->add_option("--stride", options->stride, "Of --pattern strided, in pages (default 16)")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--seed", options->seed, "Of --pattern random (default 1)")->type_name("N");
  command->add_option("--threads", options->threads, "Threads that touch pages (default 4)")
      ->type_name("N")
      ->check(CLI::Range(1, 256));
  command->add_flag("--rest", options->rest, "Read ahead of the touches as well");
  AddKeyFile(*command, options->key);
  AddDuration(*command, "--wait", options->wait, "How long to wait for the source to appear (default for ever)")
      ->check(MoreThanZero("leave it out to wait for ever"));
  AddDuration(*command, "--timeout", options->timeout,
              "Give up when nothing moves for so long, once connected (default 5m)")
      ->check(MoreThanZero("every page takes some time"));
  AddOutputFile(*command, "--output", options->output, CheckWritable, "Write the bytes to this file, too");
  command->add_flag("--json", options->json, "Print JSON, and no progress");
  command->callback([command, &action, options] {
    CheckHasEffect(*command, *options);
    action = [options] { return RunFetch(*options); };
  });
}

}  // namespace farfault
