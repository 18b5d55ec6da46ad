#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "machine.h"

namespace kvm_example {
namespace {

constexpr int kKick = SIGUSR1;
constexpr std::uint16_t kRoundPort = 0x10;
constexpr std::uint16_t kWrongPort = 0x11;

// Its only purpose is to make KVM_RUN return.
void IgnoreKicks() {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  sigaction(kKick, &action, nullptr);
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ != -1) close(fd_);
}

absl::StatusOr<std::unique_ptr<Vcpu>> Vcpu::Create(int machine, unsigned long index, std::size_t run_bytes) {
  IgnoreKicks();
  Fd fd(ioctl(machine, KVM_CREATE_VCPU, index));
  if (fd.get() == -1) return absl::ErrnoToStatus(errno, "KVM_CREATE_VCPU");
  void* const run = mmap(nullptr, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (run == MAP_FAILED) return absl::ErrnoToStatus(errno, "mapping a vCPU");
  return std::unique_ptr<Vcpu>(new Vcpu(std::move(fd), static_cast<kvm_run*>(run), run_bytes));
}

Vcpu::~Vcpu() {
  Stop();
  munmap(run_, run_bytes_);
}

void Vcpu::Run() {
  stopping_ = false;
  run_->immediate_exit = 0;
  thread_ = std::thread([this] { Loop(); });
}

void Vcpu::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  // A signal that comes just before KVM_RUN would be lost without it.
  __atomic_store_n(&run_->immediate_exit, 1, __ATOMIC_SEQ_CST);
  pthread_kill(thread_.native_handle(), kKick);
  thread_.join();
}

void Vcpu::Loop() {
  for (;;) {
    if (ioctl(fd_.get(), KVM_RUN, 0) == 0) {
      if (!HandleExit()) return;
      continue;
    }
    if (errno != EINTR && errno != EAGAIN) {
      Fail(absl::ErrnoToStatus(errno, "KVM_RUN"));
      return;
    }
    // Only here: KVM completes an OUT on the way into the next KVM_RUN, and until then its state is not whole.
    if (stopping_) return;
  }
}

bool Vcpu::HandleExit() {
  if (run_->exit_reason != KVM_EXIT_IO) {
    return Fail(absl::InternalError(fmt::format("the guest stopped with KVM exit reason {}", run_->exit_reason)));
  }
  std::uint32_t value = 0;
  std::memcpy(&value, reinterpret_cast<const char*>(run_) + run_->io.data_offset, sizeof value);
  if (run_->io.port == kRoundPort) {
    ++rounds_;
    return true;
  }
  if (run_->io.port == kWrongPort) {
    return Fail(absl::DataLossError(fmt::format("the guest found a wrong word at address {:#x}", value)));
  }
  return Fail(
      absl::InternalError(fmt::format("the guest wrote to port {:#x}, which nobody listens on", +run_->io.port)));
}

bool Vcpu::Fail(absl::Status why) {
  failure_ = std::move(why);
  failed_ = true;
  return false;
}

absl::Status Vcpu::status() const { return failed_ ? failure_ : absl::OkStatus(); }

absl::StatusOr<VcpuState> Vcpu::Save() const {
  VcpuState state{};
  if (ioctl(fd_.get(), KVM_GET_REGS, &state.regs) != 0) return absl::ErrnoToStatus(errno, "KVM_GET_REGS");
  if (ioctl(fd_.get(), KVM_GET_SREGS, &state.sregs) != 0) return absl::ErrnoToStatus(errno, "KVM_GET_SREGS");
  return state;
}

absl::Status Vcpu::Restore(const VcpuState& state) {
  if (ioctl(fd_.get(), KVM_SET_SREGS, &state.sregs) != 0) return absl::ErrnoToStatus(errno, "KVM_SET_SREGS");
  if (ioctl(fd_.get(), KVM_SET_REGS, &state.regs) != 0) return absl::ErrnoToStatus(errno, "KVM_SET_REGS");
  return absl::OkStatus();
}

}  // namespace kvm_example
