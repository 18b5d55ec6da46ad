#include "bench/engine/source_host.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <utility>

#include "bench/engine/image.h"
#include "farfault/farfault.h"

namespace farfault::bench {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(2);

enum class Order : std::uint32_t { kMove, kSwitchOver, kEndMove, kPlainCopy };

struct Command {
  Order order{};
  bool drain = false;
  MoveSpec move{};
  std::array<char, 128> address{};
  std::uint16_t port = 0;
  std::uint64_t bytes = 0;
  SocketCopyShape shape{};
};

/// How a command went.
struct Outcome {
  int code = 0;  ///< absl::StatusCode.
  std::array<char, 512> message{};
  std::int64_t when = 0;
  double metadata_bytes_per_page = 0;
};

template <std::size_t size>
void CopyText(std::string_view text, std::array<char, size>& out) {
  out = {};
  std::ranges::copy(text.substr(0, size - 1), out.begin());
}

Outcome OutcomeOf(const absl::Status& status) {
  Outcome outcome;
  outcome.code = static_cast<int>(status.code());
  CopyText({status.message().data(), status.message().size()}, outcome.message);
  return outcome;
}

/// The child's side: does as it is told.
class Server {
 public:
  Server(ProcessLine& line, const std::vector<RegionSpec>& regions) : line_(line) {
    if (!Reply(OutcomeOf(CreateMemory(regions)))) return;
    for (;;) {
      const auto command = line_.Receive<Command>(absl::Hours(24));
      if (!command.ok() || !Reply(Obey(*command))) return;
    }
  }

 private:
  bool Reply(const Outcome& outcome) { return line_.Send(outcome).ok(); }

  absl::Status CreateMemory(const std::vector<RegionSpec>& regions) {
    for (const RegionSpec& spec : regions) {
      auto memory = OwnedRegion::CreateShared(spec.name, spec.bytes);
      if (!memory.ok()) return memory.status();
      FillImage(memory->bytes());
      memory_.push_back(*std::move(memory));
    }
    return absl::OkStatus();
  }

  Outcome Obey(const Command& command) {
    switch (command.order) {
      case Order::kMove:
        return OutcomeOf(Move(command));
      case Order::kSwitchOver:
        return SwitchOver();
      case Order::kEndMove:
        return EndMove(command.drain);
      case Order::kPlainCopy:
        return OutcomeOf(PlainCopy(command));
    }
    return OutcomeOf(absl::InternalError("an unknown command"));
  }

  absl::Status Move(const Command& command) {
    std::vector<Region> regions;
    for (const OwnedRegion& memory : memory_) regions.push_back(memory.region());
    absl::StatusOr<GuestMemory> guest = GuestMemory::Create(std::move(regions));
    if (!guest.ok()) return guest.status();
    SourceOptions options;
    options.connect = command.address.data();
    options.push.enabled = command.move.push;
    options.track_dirty = command.move.prepage;
    options.track_history = command.move.prepage;
    if (const std::string predictor = command.move.predictor.data(); !predictor.empty()) {
      auto made = MakePredictor(predictor);
      if (!made.ok()) return made.status();
      options.predictor = *std::move(made);
    }
    auto session = SourceSession::Create(*std::move(guest), std::move(options));
    if (!session.ok()) return session.status();
    session_ = *std::move(session);
    return command.move.prepage ? PrePage(command.move.dirty_pages) : absl::OkStatus();
  }

  absl::Status PrePage(std::uint64_t dirty_pages) {
    PrePageBudget budget;
    for (const OwnedRegion& memory : memory_) budget.bytes += memory.region().length;
    budget.critical.push_back({0, budget.bytes / kSmallPage});
    const auto report = session_->PrePage(budget);
    if (!report.ok()) return report.status();
    // The guest writes on: the same words, so that the image stays what it is.
    const std::span<std::byte> memory = memory_.front().bytes();
    const std::uint64_t pages = memory.size() / kSmallPage;
    for (std::uint64_t i = 0; i < dirty_pages; ++i) {
      const std::uint64_t page = i * (pages / dirty_pages);
      *reinterpret_cast<volatile std::uint64_t*>(memory.data() + page * kSmallPage) = ImageWord(page);
    }
    return absl::OkStatus();
  }

  Outcome SwitchOver() {
    const std::int64_t stopped = MonotonicNanos();
    Outcome outcome = OutcomeOf(session_->SwitchOver());
    outcome.when = stopped;
    return outcome;
  }

  Outcome EndMove(bool drain) {
    Outcome outcome = OutcomeOf(drain ? session_->WaitUntilDrained(kPatience) : absl::OkStatus());
    outcome.metadata_bytes_per_page = session_->Stats().metadata_bytes_per_page;
    session_.reset();
    return outcome;
  }

  absl::Status PlainCopy(const Command& command) {
    const auto connection = ConnectOverLoopback(command.port, command.shape);
    if (!connection.ok()) return connection.status();
    return SendAll(connection->get(), memory_.front().bytes().first(command.bytes), command.shape.chunk_bytes);
  }

  ProcessLine& line_;
  std::vector<OwnedRegion> memory_;
  std::unique_ptr<SourceSession> session_;
};

}  // namespace

std::int64_t MonotonicNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

absl::StatusOr<std::unique_ptr<SourceHost>> SourceHost::Start(const std::vector<RegionSpec>& regions) {
  auto peer = ForkedPeer::Start([&regions](ProcessLine& line) { Server(line, regions); });
  if (!peer.ok()) return peer.status();
  std::unique_ptr<SourceHost> host(new SourceHost(*std::move(peer)));
  if (absl::Status status = host->WaitForOutcome().status(); !status.ok()) return status;
  return host;
}

absl::Status SourceHost::BeginMove(const std::string& address, const MoveSpec& spec) {
  Command command{.order = Order::kMove, .move = spec};
  CopyText(address, command.address);
  return peer_.line().Send(command);
}

absl::Status SourceHost::WaitUntilReady() { return WaitForOutcome().status(); }

absl::Status SourceHost::BeginSwitchOver() { return peer_.line().Send(Command{.order = Order::kSwitchOver}); }

absl::StatusOr<std::int64_t> SourceHost::WaitUntilSwitchedOver() { return WaitForOutcome(); }

absl::Status SourceHost::BeginPlainCopy(std::uint16_t port, std::uint64_t bytes, const SocketCopyShape& shape) {
  return peer_.line().Send(Command{.order = Order::kPlainCopy, .port = port, .bytes = bytes, .shape = shape});
}

absl::Status SourceHost::WaitUntilCopied() { return WaitForOutcome().status(); }

absl::StatusOr<double> SourceHost::EndMove(bool drain) {
  if (absl::Status status = peer_.line().Send(Command{.order = Order::kEndMove, .drain = drain}); !status.ok()) {
    return status;
  }
  const auto outcome = peer_.line().Receive<Outcome>();
  if (!outcome.ok()) return outcome.status();
  if (outcome->code != 0) return absl::Status(static_cast<absl::StatusCode>(outcome->code), outcome->message.data());
  return outcome->metadata_bytes_per_page;
}

absl::StatusOr<std::int64_t> SourceHost::WaitForOutcome() {
  const auto outcome = peer_.line().Receive<Outcome>();
  if (!outcome.ok()) return outcome.status();
  if (outcome->code == 0) return outcome->when;
  return absl::Status(static_cast<absl::StatusCode>(outcome->code), outcome->message.data());
}

}  // namespace farfault::bench
