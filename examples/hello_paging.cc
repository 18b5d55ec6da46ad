// Moves 64 MiB of memory from a source to a destination in one process, over TCP on the loopback interface. In real
// life the two halves below run in two processes or on two hosts, and what "runs" in the memory is a guest.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "farfault/farfault.h"

namespace ff = farfault;

namespace {

constexpr std::uint64_t kLength = 64 << 20;
constexpr std::uint64_t kPages = kLength / ff::kSmallPage;

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "hello_paging: %s\n", value.status().ToString().c_str());
  std::exit(1);
}
void OrDie(const absl::Status& status) { OrDie<int>(status.ok() ? absl::StatusOr<int>(0) : status); }

std::uint64_t& WordOf(const ff::OwnedRegion& memory, std::uint64_t page) {
  return *reinterpret_cast<std::uint64_t*>(memory.region().base + page * ff::kSmallPage);
}

void RunSource(std::string address) {
  const ff::OwnedRegion memory = OrDie(ff::OwnedRegion::CreateShared("guest", kLength));
  for (std::uint64_t page = 0; page < kPages; ++page) WordOf(memory, page) = page + 1;

  ff::SourceOptions options;
  options.connect = std::move(address);
  options.pre_shared_key = "change me";
  options.predictor = OrDie(ff::MakePredictor("bubbling"));
  auto session =
      OrDie(ff::SourceSession::Create(OrDie(ff::GuestMemory::Create({memory.region()})), std::move(options)));

  ff::PrePageBudget budget;  // Pre-paging: while the guest still runs here, what matters most goes ahead.
  budget.bytes = 8 << 20;
  budget.critical = {{.first = 0, .count = 256}};
  const absl::StatusOr<ff::PrePageReport> report = session->PrePage(budget);
  if (!absl::IsUnimplemented(report.status())) OrDie(report.status());  // It needs Linux 6.7; the rest does not.
  WordOf(memory, 7) = 777;  // A page that was sent already: it counts as stale now and is not used over there.

  // From here on the guest is stopped. Demand paging begins when this returns, the push soon after.
  OrDie(session->SwitchOver());
  OrDie(session->WaitUntilDrained(absl::Seconds(60)));
  std::printf("source: pre-paged %llu pages, sent %llu in all\n",
              static_cast<unsigned long long>(report.ok() ? report->pages_sent : 0),
              static_cast<unsigned long long>(session->Stats().pages_sent));
}

void RunDestination(std::promise<std::string> address) {
  const ff::OwnedRegion memory = OrDie(ff::OwnedRegion::CreateShared("guest", kLength));
  ff::DestinationOptions options;
  options.listen = "tcp://127.0.0.1:0";
  options.pre_shared_key = "change me";
  options.on_event = [&](const ff::Event& event) {
    if (event.kind == ff::EventKind::kListening) address.set_value(event.text);
  };
  auto session =
      OrDie(ff::DestinationSession::Create(OrDie(ff::GuestMemory::Create({memory.region()})), std::move(options)));
  OrDie(session->Prepare());                    // The guest still runs at the source.
  OrDie(session->Activate(absl::Seconds(60)));  // Now it may run here: a touch of a missing page fetches it.

  std::uint64_t wrong = 0;
  const auto touch = [&](std::uint64_t page) { wrong += WordOf(memory, page) != (page == 7 ? 777 : page + 1); };
  for (std::uint64_t i = 0; i < kPages / 2; ++i) touch(i * 7919 % kPages);  // Some order that nobody guesses.
  OrDie(session->FetchRest());  // Reads ahead what nobody has touched. Without a push nothing else brings it.
  OrDie(session->WaitUntilResident(absl::Seconds(60)));
  for (std::uint64_t page = 0; page < kPages; ++page) touch(page);
  OrDie(session->status());  // Of a session that has failed: why, and what can be done.
  const ff::SessionStats stats = session->Stats();
  std::printf("destination: %s; %llu network faults, %llu local; p99 stall %.1f us; %llu pages pushed, %llu wrong\n",
              std::string(ff::SessionStateName(session->state())).c_str(),
              static_cast<unsigned long long>(stats.faults_network),
              static_cast<unsigned long long>(stats.faults_local),
              static_cast<double>(stats.stall_network.Quantile(0.99)) / 1e3,
              static_cast<unsigned long long>(stats.pages_pushed), static_cast<unsigned long long>(wrong));
  if (wrong > 0) std::exit(1);
}

}  // namespace

int main() {
  std::printf("farfault %s (transports: %s)\n", std::string(ff::Version()).c_str(),
              std::string(ff::TransportNames()).c_str());
  std::promise<std::string> address;
  std::future<std::string> known_address = address.get_future();
  std::future<void> destination = std::async(std::launch::async, RunDestination, std::move(address));
  RunSource(known_address.get());
  destination.get();
}
