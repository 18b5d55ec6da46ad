#ifndef FARFAULT_EXAMPLES_KVM_MACHINE_H_
#define FARFAULT_EXAMPLES_KVM_MACHINE_H_

#include <linux/kvm.h>
#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/farfault.h"

namespace kvm_example {

/// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }

 private:
  int fd_;
};

/// /dev/kvm, or what the environment's KVM_DEVICE names; kUnavailable when it cannot be opened.
absl::StatusOr<Fd> OpenKvm();

/// What has to move besides the memory. A VMM with devices, interrupts and floating point has more of it.
struct VcpuState {
  kvm_regs regs;
  kvm_sregs sregs;
};

/// One virtual CPU and the thread that runs it.
class Vcpu {
 public:
  static absl::StatusOr<std::unique_ptr<Vcpu>> Create(int machine, unsigned long index, std::size_t run_bytes);
  ~Vcpu();

  /// Until `Stop`. A vCPU may be stopped and run again.
  void Run();
  void Stop();

  // Only while it is stopped.
  absl::StatusOr<VcpuState> Save() const;
  absl::Status Restore(const VcpuState& state);

  /// Rounds that the guest has finished since this process runs it.
  std::uint64_t rounds() const { return rounds_; }
  /// Why it does not run any more, for instance what the guest found wrong.
  absl::Status status() const;

 private:
  Vcpu(Fd fd, kvm_run* run, std::size_t run_bytes) : fd_(std::move(fd)), run_(run), run_bytes_(run_bytes) {}
  void Loop();
  bool HandleExit();
  bool Fail(absl::Status why);

  Fd fd_;
  kvm_run* run_;
  std::size_t run_bytes_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::atomic<bool> failed_{false};
  absl::Status failure_;  // Written once, before failed_.
};

/// A machine with one range of memory at address 0 and `kVcpus` CPUs that check it.
class Machine {
 public:
  static constexpr std::size_t kVcpus = 2;
  /// Where the guest's own pages begin; its code lies below.
  static constexpr std::uint64_t kCheckedMemory = 1u << 20;

  /// `memory` outlives the machine. kUnavailable: no /dev/kvm here.
  static absl::StatusOr<std::unique_ptr<Machine>> Create(const farfault::Region& memory);

  /// Puts the guest's code into the memory, and every CPU at its start.
  absl::Status Boot();
  void Run();
  void Stop();

  absl::StatusOr<std::vector<VcpuState>> Save() const;
  absl::Status Restore(const std::vector<VcpuState>& states);

  /// From now on KVM notes what the CPUs write.
  absl::Status TrackDirty();
  /// The pages of the session, which has no other region, that were written since the last call.
  absl::StatusOr<std::vector<farfault::PageRun>> TakeDirty();

  /// Rounds of the slowest CPU.
  std::uint64_t rounds() const;
  absl::Status status() const;

 private:
  Machine(farfault::Region memory, Fd kvm, Fd machine)
      : memory_(std::move(memory)), kvm_(std::move(kvm)), machine_(std::move(machine)) {}
  absl::Status MapMemory(std::uint32_t flags);
  absl::Status AddVcpus();

  farfault::Region memory_;
  Fd kvm_;
  Fd machine_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace kvm_example

#endif  // FARFAULT_EXAMPLES_KVM_MACHINE_H_
