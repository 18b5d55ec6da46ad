#ifndef FARFAULT_TEST_SUPPORT_QEMU_QEMU_MACHINE_H_
#define FARFAULT_TEST_SUPPORT_QEMU_QEMU_MACHINE_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "test/support/command_process.h"

namespace farfault {

/// What the guest of test/support/qemu/guest.c has counted since it began.
struct GuestReport {
  /// STALL_NS of guest.c.
  static constexpr double kStallMicroseconds = 20;

  std::uint64_t ms = 0;
  std::uint64_t rounds = 0;
  std::uint64_t touches = 0;
  std::uint64_t wrong = 0;
  std::uint64_t stalls = 0;
  std::uint64_t stall_ns = 0;
  std::uint64_t stall_max_ns = 0;
  std::vector<std::uint64_t> histogram;  ///< Bucket i: up to 2^((i+1)/4) microseconds.
};

/// The kernel that the guests run, or why there is none: ./dev names it in FARFAULT_GUEST_KERNEL.
absl::StatusOr<std::string> GuestKernel();

/// Debian's QEMU with a Linux guest whose only program checks its memory without pause. Killed with this object. One
/// thread.
class QemuMachine {
 public:
  struct Spec {
    /// Of its files; unique among the machines in `folder`.
    std::string name;
    /// Holds the sockets and the serial line's output; not the machine's to remove.
    std::filesystem::path folder;
    std::uint64_t ram_mib = 512;
    std::uint64_t touched_mib = 384;
    std::string pattern = "random";
    std::string role = "writer";
    /// RAM on a file in `ram_folder` that others may map; otherwise anonymous.
    bool shared_file = true;
    std::string ram_folder = "/dev/shm";
    /// share=on of its backend.
    bool share = true;
    /// Waits for a guest instead of starting one.
    bool incoming = false;
    /// With the interposer preloaded: FARFAULT_PAGER, empty for none.
    std::string pager_socket;
    /// FARFAULT_AGENT is set.
    bool agent = false;
    /// Preload the interposer at all.
    bool interposer = true;
    std::string machine = "q35,hpet=off";
    std::string accelerator = "tcg,thread=multi";
    std::vector<std::string> more_options;
  };

  /// kUnavailable when there is no QEMU, kernel, guest or interposer to start.
  static absl::StatusOr<std::unique_ptr<QemuMachine>> Start(const Spec& spec);
  ~QemuMachine();

  std::string qmp_socket() const { return Path(".qmp"); }
  std::string agent_socket() const { return Path(".agent"); }
  std::string ram_path() const;
  CommandProcess& process() { return *process_; }
  pid_t pid() const { return process_->pid(); }

  /// The newest report on this machine's serial line; none before the first.
  std::optional<GuestReport> Latest() const;
  /// A report that comes after this call and satisfies `done`.
  absl::StatusOr<GuestReport> WaitForReport(absl::Duration timeout, bool (*done)(const GuestReport&)) const;
  absl::StatusOr<GuestReport> WaitForRounds(std::uint64_t rounds, absl::Duration timeout) const;
  /// Whether QEMU's monitor answers.
  absl::Status WaitForMonitor(absl::Duration timeout) const;
  /// What QEMU and the guest printed, for a failed test.
  std::string Words() const;

 private:
  explicit QemuMachine(Spec spec) : spec_(std::move(spec)) {}
  std::vector<std::string> Command(const std::string& qemu, const std::string& kernel) const;
  std::string Path(const char* suffix) const { return (spec_.folder / (spec_.name + suffix)).string(); }

  Spec spec_;
  std::unique_ptr<CommandProcess> process_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_QEMU_QEMU_MACHINE_H_
