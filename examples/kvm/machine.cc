#include "machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

extern "C" const std::byte guest_code[];
extern "C" const std::byte guest_code_end[];

namespace kvm_example {
namespace {

constexpr std::uint64_t kCode = 0x1000;

// Flat 4 GiB segments, protected mode, no paging.
void EnterProtectedMode(kvm_sregs& sregs) {
  kvm_segment segment{};
  segment.base = 0;
  segment.limit = 0xffffffff;
  segment.selector = 0x10;
  segment.type = 3;  // Data, read and write, accessed.
  segment.present = 1;
  segment.db = 1;
  segment.s = 1;
  segment.g = 1;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
  segment.selector = 0x08;
  segment.type = 11;  // Code, execute and read, accessed.
  sregs.cs = segment;
  sregs.cr0 |= 1;
}

VcpuState StartOf(std::size_t index, std::uint64_t bytes, VcpuState state) {
  const std::uint64_t pages =
      std::bit_floor((bytes - Machine::kCheckedMemory) / Machine::kVcpus / farfault::kSmallPage);
  EnterProtectedMode(state.sregs);
  state.regs = {};
  state.regs.rip = kCode;
  state.regs.rflags = 2;
  state.regs.rsi = Machine::kCheckedMemory + index * pages * farfault::kSmallPage;
  state.regs.rbp = pages;
  state.regs.rsp = pages - 1;
  return state;
}

}  // namespace

absl::StatusOr<Fd> OpenKvm() {
  const char* const named = std::getenv("KVM_DEVICE");
  const char* const path = named == nullptr ? "/dev/kvm" : named;
  Fd kvm(open(path, O_RDWR | O_CLOEXEC));
  if (kvm.get() == -1) {
    return absl::UnavailableError(
        fmt::format("{0} cannot be opened: {1}; load kvm_intel or kvm_amd (modprobe; in a virtual machine its host "
                    "must allow nested "
                    "ones), and give this user the device (setfacl -m u:USER:rw {0})",
                    path, std::strerror(errno)));
  }
  if (ioctl(kvm.get(), KVM_GET_API_VERSION, 0) == KVM_API_VERSION) return kvm;
  return absl::FailedPreconditionError(fmt::format("{} is no KVM, or one of another version than 12", path));
}

absl::StatusOr<std::unique_ptr<Machine>> Machine::Create(const farfault::Region& memory) {
  absl::StatusOr<Fd> opened = OpenKvm();
  if (!opened.ok()) return opened.status();
  Fd kvm = *std::move(opened);
  Fd fd(ioctl(kvm.get(), KVM_CREATE_VM, 0));
  if (fd.get() == -1) return absl::ErrnoToStatus(errno, "KVM_CREATE_VM");
  std::unique_ptr<Machine> machine(new Machine(memory, std::move(kvm), std::move(fd)));
  if (absl::Status status = machine->MapMemory(0); !status.ok()) return status;
  if (absl::Status status = machine->AddVcpus(); !status.ok()) return status;
  return machine;
}

absl::Status Machine::MapMemory(std::uint32_t flags) {
  const kvm_userspace_memory_region slot{.slot = 0,
                                         .flags = flags,
                                         .guest_phys_addr = 0,
                                         .memory_size = memory_.length,
                                         .userspace_addr = reinterpret_cast<std::uint64_t>(memory_.base)};
  if (ioctl(machine_.get(), KVM_SET_USER_MEMORY_REGION, &slot) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "KVM_SET_USER_MEMORY_REGION");
}

absl::Status Machine::AddVcpus() {
  const int run_bytes = ioctl(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_bytes < 0) return absl::ErrnoToStatus(errno, "KVM_GET_VCPU_MMAP_SIZE");
  for (std::size_t i = 0; i < kVcpus; ++i) {
    auto vcpu = Vcpu::Create(machine_.get(), i, static_cast<std::size_t>(run_bytes));
    if (!vcpu.ok()) return vcpu.status();
    vcpus_.push_back(*std::move(vcpu));
  }
  return absl::OkStatus();
}

absl::Status Machine::Boot() {
  std::memcpy(memory_.base + kCode, guest_code, static_cast<std::size_t>(guest_code_end - guest_code));
  auto states = Save();
  if (!states.ok()) return states.status();
  for (std::size_t i = 0; i < kVcpus; ++i) (*states)[i] = StartOf(i, memory_.length, (*states)[i]);
  return Restore(*states);
}

void Machine::Run() {
  for (const auto& vcpu : vcpus_) vcpu->Run();
}

void Machine::Stop() {
  for (const auto& vcpu : vcpus_) vcpu->Stop();
}

absl::StatusOr<std::vector<VcpuState>> Machine::Save() const {
  std::vector<VcpuState> states;
  for (const auto& vcpu : vcpus_) {
    auto state = vcpu->Save();
    if (!state.ok()) return state.status();
    states.push_back(*state);
  }
  return states;
}

absl::Status Machine::Restore(const std::vector<VcpuState>& states) {
  absl::Status status;
  for (std::size_t i = 0; i < kVcpus; ++i) status.Update(vcpus_[i]->Restore(states[i]));
  return status;
}

absl::Status Machine::TrackDirty() { return MapMemory(KVM_MEM_LOG_DIRTY_PAGES); }

absl::StatusOr<std::vector<farfault::PageRun>> Machine::TakeDirty() {
  const std::uint64_t pages = memory_.length / farfault::kSmallPage;
  std::vector<std::uint64_t> bits((pages + 63) / 64);
  kvm_dirty_log log{};
  log.dirty_bitmap = bits.data();
  if (ioctl(machine_.get(), KVM_GET_DIRTY_LOG, &log) != 0) return absl::ErrnoToStatus(errno, "KVM_GET_DIRTY_LOG");
  std::vector<farfault::PageRun> dirty;
  for (std::uint64_t page = 0; page < pages; ++page) {
    if ((bits[page / 64] >> (page % 64) & 1) == 0) continue;
    if (!dirty.empty() && dirty.back().end() == page) {
      ++dirty.back().count;
    } else {
      dirty.push_back({.first = page, .count = 1});
    }
  }
  return dirty;
}

std::uint64_t Machine::rounds() const {
  std::uint64_t fewest = UINT64_MAX;
  for (const auto& vcpu : vcpus_) fewest = std::min(fewest, vcpu->rounds());
  return fewest;
}

absl::Status Machine::status() const {
  absl::Status status;
  for (const auto& vcpu : vcpus_) status.Update(vcpu->status());
  return status;
}

}  // namespace kvm_example
