// A virtual machine monitor that links farfault: a guest with two virtual CPUs checks its own memory without pause and
// moves to another process in the middle of it.
//
//     example_kvm_migrate [--demand-only] [MIB [ADDRESS]]     64 MiB and tcp://127.0.0.1:0 unless said otherwise
//
// With --demand-only nothing is pre-paged or pushed: what the CPUs touch is fetched, and the rest at the end.
// Exit status: 0 the guest never saw a wrong word, 1 it did or something failed, 77 there is no KVM here.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "farfault/farfault.h"
#include "machine.h"

namespace ff = farfault;
using kvm_example::Fd;
using kvm_example::Machine;
using kvm_example::VcpuState;

namespace {

constexpr int kNoKvm = 77;
constexpr char kSecret[] = "change me";
constexpr std::uint64_t kRoundsBefore = 3;
constexpr std::uint64_t kRoundsAfter = 5;
constexpr int kPrePageRounds = 3;
constexpr std::uint64_t kSmallestGuest = (4u << 20) + Machine::kCheckedMemory;
constexpr std::uint64_t kLargestGuest = 2u << 30;  // Below where a PC has its devices.

struct Job {
  std::uint64_t bytes = (64 << 20) + Machine::kCheckedMemory;
  std::string listen = "tcp://127.0.0.1:0";
  bool demand_only = false;
};

[[noreturn]] void Die(const char* role, const absl::Status& why) {
  std::fprintf(stderr, "kvm_migrate: %s: %s\n", role, why.ToString().c_str());
  std::exit(1);
}
template <typename T>
T OrDie(const char* role, absl::StatusOr<T> value) {
  if (!value.ok()) Die(role, value.status());
  return *std::move(value);
}
void OrDie(const char* role, const absl::Status& status) {
  if (!status.ok()) Die(role, status);
}

// What a hypervisor moves over a connection of its own: here the address to connect to, then the CPUs.
void Send(int socket, const void* bytes, std::size_t length) {
  if (send(socket, bytes, length, MSG_NOSIGNAL) != static_cast<ssize_t>(length)) {
    Die("socket", absl::ErrnoToStatus(errno, "sending to the other process"));
  }
}
std::size_t Receive(int socket, void* bytes, std::size_t capacity) {
  const ssize_t length = recv(socket, bytes, capacity, 0);
  if (length <= 0) Die("socket", absl::UnknownError("the other process has gone"));
  return static_cast<std::size_t>(length);
}

void RunRounds(const char* role, const Machine& machine, std::uint64_t rounds) {
  while (machine.rounds() < rounds) {
    OrDie(role, machine.status());
    usleep(1000);
  }
}

int RunSource(int socket, const Job& job) {
  const char* const role = "source";
  const ff::OwnedRegion memory = OrDie(role, ff::OwnedRegion::CreateShared("ram", job.bytes));
  const auto machine = OrDie(role, Machine::Create(memory.region()));
  OrDie(role, machine->Boot());
  machine->Run();
  RunRounds(role, *machine, kRoundsBefore);

  char address[256];
  ff::SourceOptions options;
  options.connect = std::string(address, Receive(socket, address, sizeof address));
  options.pre_shared_key = kSecret;
  options.track_dirty = false;  // KVM does.
  options.push.enabled = !job.demand_only;
  auto session = OrDie(
      role, ff::SourceSession::Create(OrDie(role, ff::GuestMemory::Create({memory.region()})), std::move(options)));

  std::uint64_t dirty_pages = 0;
  std::uint64_t sent_pages = 0;
  const auto report_dirty = [&] {
    const std::vector<ff::PageRun> dirty = OrDie(role, machine->TakeDirty());
    for (const ff::PageRun& run : dirty) dirty_pages += run.count;
    OrDie(role, session->ReportDirty(dirty));
  };
  // The log begins before the first page is sent: what is written from then on is stale at the destination.
  OrDie(role, machine->TrackDirty());
  for (int round = 0; round < kPrePageRounds && !job.demand_only; ++round) {
    ff::PrePageBudget budget;
    budget.time = absl::Milliseconds(200);
    sent_pages += OrDie(role, session->PrePage(budget)).pages_sent;
    report_dirty();
  }

  machine->Stop();
  OrDie(role, machine->status());
  report_dirty();
  const std::uint64_t rounds = machine->rounds();
  // The CPUs go ahead of the switchover; they may run over there as soon as the destination's Activate returns.
  const std::vector<VcpuState> cpus = OrDie(role, machine->Save());
  Send(socket, cpus.data(), cpus.size() * sizeof(VcpuState));
  const absl::Status switched = session->SwitchOver();
  if (!switched.ok() && !absl::IsDataLoss(switched)) {  // It never started over there, so it goes on here.
    machine->Run();
    RunRounds(role, *machine, rounds + kRoundsAfter);
    fmt::print("source: the guest goes on here, {} rounds, every word right\n", machine->rounds());
  }
  OrDie(role, switched);
  OrDie(role, session->WaitUntilDrained(absl::Minutes(2)));
  fmt::print("source: {} rounds, pre-paged {} pages while KVM logged {} as written, switched over in {:.2f} ms\n",
             rounds, sent_pages, dirty_pages, static_cast<double>(session->Stats().switchover_ns) / 1e6);
  return 0;
}

int RunDestination(int socket, const Job& job, pid_t source) {
  const char* const role = "destination";
  const ff::OwnedRegion memory = OrDie(role, ff::OwnedRegion::CreateShared("ram", job.bytes));
  const auto machine = OrDie(role, Machine::Create(memory.region()));

  ff::DestinationOptions options;
  options.listen = job.listen;
  options.pre_shared_key = kSecret;
  options.on_event = [&](const ff::Event& event) {
    if (event.kind == ff::EventKind::kListening) Send(socket, event.text.data(), event.text.size());
  };
  auto session = OrDie(role, ff::DestinationSession::Create(OrDie(role, ff::GuestMemory::Create({memory.region()})),
                                                            std::move(options)));
  OrDie(role, session->Prepare());
  OrDie(role, session->Activate(absl::Minutes(2)));

  std::vector<VcpuState> cpus(Machine::kVcpus);
  if (Receive(socket, cpus.data(), cpus.size() * sizeof(VcpuState)) != cpus.size() * sizeof(VcpuState)) {
    Die(role, absl::DataLossError("the state of the CPUs has another size"));
  }
  OrDie(role, machine->Restore(cpus));
  machine->Run();
  if (job.demand_only) {
    RunRounds(role, *machine, 1);
    OrDie(role, session->FetchRest());
  }
  OrDie(role, session->WaitUntilResident(absl::Minutes(2)));

  int status = 0;
  if (waitpid(source, &status, 0) != source || status != 0) Die(role, absl::UnknownError("the source failed"));
  RunRounds(role, *machine, machine->rounds() + kRoundsAfter);  // The source is gone for good.
  machine->Stop();
  OrDie(role, machine->status());

  const ff::SessionStats stats = session->Stats();
  fmt::print(
      "destination: {} rounds, every word right; {} network faults (p50 {:.0f} us, p99 {:.0f} us), {} local; "
      "pages pre-paged {}, pushed {}, on demand {}, fetched at the end {}, holes {}\n",
      machine->rounds(), stats.faults_network, static_cast<double>(stats.stall_network.Quantile(0.5)) / 1e3,
      static_cast<double>(stats.stall_network.Quantile(0.99)) / 1e3, stats.faults_local,
      stats.total_pages - stats.hole_pages - stats.pages_pushed - stats.pages_demanded - stats.pages_fetched,
      stats.pages_pushed, stats.pages_demanded, stats.pages_fetched, stats.hole_pages);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const name = argv[0];
  Job job;
  if (argc > 1 && std::string_view(argv[1]) == "--demand-only") {
    job.demand_only = true;
    ++argv, --argc;
  }
  if (argc > 1) job.bytes = (std::strtoull(argv[1], nullptr, 10) << 20) + Machine::kCheckedMemory;
  if (argc > 2) job.listen = argv[2];
  if (argc > 3 || job.bytes < kSmallestGuest || job.bytes > kLargestGuest) {
    std::fprintf(stderr, "usage: %s [--demand-only] [MIB [ADDRESS]], 4 to 2047 MiB\n", name);
    return 1;
  }
  if (const absl::Status kvm = kvm_example::OpenKvm().status(); absl::IsUnavailable(kvm)) {
    std::fprintf(stderr, "kvm_migrate: skipped: %s\n", std::string(kvm.message()).c_str());
    return kNoKvm;
  }
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    Die("socket", absl::ErrnoToStatus(errno, "socketpair"));
  }
  Fd ours(sockets[0]);
  Fd theirs(sockets[1]);
  const pid_t source = fork();  // Two processes: nothing but the socket and farfault's connection joins them.
  if (source == -1) Die("source", absl::ErrnoToStatus(errno, "fork"));
  if (source == 0) {
    ours = Fd();
    return RunSource(theirs.get(), job);
  }
  theirs = Fd();
  return RunDestination(ours.get(), job, source);
}
