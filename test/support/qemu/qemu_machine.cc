#include "test/support/qemu/qemu_machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "test/support/qemu/initramfs.h"

namespace farfault {
namespace {

using nlohmann::json;

// What keeps the boot of an emulated guest short.
constexpr std::string_view kKernelOptions =
    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr audit=0 tsc=reliable no_timer_check init_on_alloc=0 "
    "random.trust_cpu=on";

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<GuestReport> Parse(std::string_view line) {
  const json said = json::parse(line.begin(), line.end(), nullptr, false);
  if (!said.is_object() || !said.contains("histogram")) return std::nullopt;
  GuestReport report;
  report.ms = said.value("ms", std::uint64_t{0});
  report.rounds = said.value("rounds", std::uint64_t{0});
  report.touches = said.value("touches", std::uint64_t{0});
  report.wrong = said.value("wrong", std::uint64_t{0});
  report.stalls = said.value("stalls", std::uint64_t{0});
  report.stall_ns = said.value("stall_ns", std::uint64_t{0});
  report.stall_max_ns = said.value("stall_max_ns", std::uint64_t{0});
  report.histogram = said.value("histogram", std::vector<std::uint64_t>());
  return report;
}

}  // namespace

absl::StatusOr<std::string> GuestKernel() {
  const char* const kernel = std::getenv("FARFAULT_GUEST_KERNEL");
  if (kernel != nullptr && access(kernel, R_OK) == 0) return kernel;
  return absl::UnavailableError(
      "there is no kernel for a Linux guest: ./dev test names one once ./dev setup has fetched it (or set "
      "FARFAULT_GUEST_KERNEL to a vmlinux)");
}

absl::StatusOr<std::unique_ptr<QemuMachine>> QemuMachine::Start(const Spec& spec) {
  const std::string qemu = "/usr/bin/qemu-system-x86_64";
  if (access(qemu.c_str(), X_OK) != 0)
    return absl::UnavailableError(qemu + " is not installed: ./dev setup installs it");
  auto kernel = GuestKernel();
  if (!kernel.ok()) return kernel.status();
  std::unique_ptr<QemuMachine> machine(new QemuMachine(spec));
  if (absl::Status packed = WriteInitramfs(machine->Path(".initramfs"), FARFAULT_GUEST_INIT); !packed.ok())
    return packed;
  // An earlier machine of this name has left what would be taken for this one's.
  for (const std::string& stale : {machine->ram_path(), machine->qmp_socket(), machine->Path(".serial")}) {
    std::filesystem::remove(stale);
  }
  machine->process_ = std::make_unique<CommandProcess>(machine->Command(qemu, *kernel));
  return machine;
}

QemuMachine::~QemuMachine() {
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove(ram_path(), ignored);
}

std::string QemuMachine::ram_path() const {
  return fmt::format("{}/farfault-{}-{}.ram", spec_.ram_folder, getpid(), spec_.name);
}

std::vector<std::string> QemuMachine::Command(const std::string& qemu, const std::string& kernel) const {
  std::vector<std::string> words = {"/usr/bin/env"};
  if (spec_.interposer) {
    words.push_back("FARFAULT_RAM=" + ram_path());
    if (!spec_.pager_socket.empty()) words.push_back("FARFAULT_PAGER=" + spec_.pager_socket);
    if (spec_.agent) words.push_back("FARFAULT_AGENT=" + agent_socket());
    words.emplace_back("LD_PRELOAD=" FARFAULT_QEMU_INTERPOSER);
  }
  const std::string machine = spec_.shared_file ? spec_.machine + ",memory-backend=ram" : spec_.machine;
  const std::string append = fmt::format("{} guest.mib={} guest.pattern={} guest.role={}", kKernelOptions,
                                         spec_.touched_mib, spec_.pattern, spec_.role);
  for (const std::string& word : std::vector<std::string>{qemu,
                                                          "-nodefaults",
                                                          "-no-user-config",
                                                          "-display",
                                                          "none",
                                                          "-no-reboot",
                                                          "-accel",
                                                          spec_.accelerator,
                                                          "-cpu",
                                                          "max,la57=off,cx16=off",  // See machine.sh.
                                                          "-smp",
                                                          "1",
                                                          "-m",
                                                          fmt::format("{}M", spec_.ram_mib),
                                                          "-machine",
                                                          machine,
                                                          "-kernel",
                                                          kernel,
                                                          "-initrd",
                                                          Path(".initramfs"),
                                                          "-append",
                                                          append,
                                                          "-serial",
                                                          "file:" + Path(".serial"),
                                                          "-qmp",
                                                          fmt::format("unix:{},server=on,wait=off", qmp_socket())}) {
    words.push_back(word);
  }
  if (spec_.shared_file) {
    words.insert(words.end(),
                 {"-object", fmt::format("memory-backend-file,id=ram,size={}M,mem-path={},share={},align=2M",
                                         spec_.ram_mib, ram_path(), spec_.share ? "on" : "off")});
  }
  if (spec_.incoming) words.insert(words.end(), {"-incoming", "defer"});
  // farfault says when the guest may run; QEMU's own migration starts it by itself.
  if (!spec_.pager_socket.empty()) words.emplace_back("-S");
  words.insert(words.end(), spec_.more_options.begin(), spec_.more_options.end());
  return words;
}

std::optional<GuestReport> QemuMachine::Latest() const {
  const std::string text = Contents(Path(".serial"));
  std::size_t end = text.rfind('\n');
  while (end != std::string::npos && end > 0) {
    const std::size_t begin = text.rfind('\n', end - 1);
    const std::size_t first = begin == std::string::npos ? 0 : begin + 1;
    if (auto report = Parse(std::string_view(text).substr(first, end - first))) return report;
    end = begin;
  }
  return std::nullopt;
}

absl::StatusOr<GuestReport> QemuMachine::WaitForReport(absl::Duration timeout, bool (*done)(const GuestReport&)) const {
  const absl::Time deadline = absl::Now() + timeout;
  const std::optional<GuestReport> first = Latest();
  for (;;) {
    const auto report = Latest();
    if (report && (!first || report->ms != first->ms) && done(*report)) return *report;
    if (process_->Wait(absl::ZeroDuration()) != -1) return absl::AbortedError("QEMU has ended: " + Words());
    if (absl::Now() > deadline) return absl::DeadlineExceededError("the guest does not report: " + Words());
    absl::SleepFor(absl::Milliseconds(20));
  }
}

absl::StatusOr<GuestReport> QemuMachine::WaitForRounds(std::uint64_t rounds, absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    auto report = WaitForReport(deadline - absl::Now(), [](const GuestReport&) { return true; });
    if (!report.ok() || report->rounds >= rounds) return report;
  }
}

absl::Status QemuMachine::WaitForMonitor(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  while (!std::filesystem::exists(qmp_socket())) {
    if (process_->Wait(absl::ZeroDuration()) != -1) return absl::AbortedError("QEMU has ended: " + Words());
    if (absl::Now() > deadline) return absl::DeadlineExceededError("QEMU makes no monitor: " + Words());
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

std::string QemuMachine::Words() const {
  const std::string serial = Contents(Path(".serial"));
  const int status = process_->Wait(absl::ZeroDuration());
  return fmt::format("{}: QEMU {} and said '{}', the guest's serial line ends with '{}'", spec_.name,
                     status == -1 ? "runs" : fmt::format("has ended with status {}", status), process_->Err(),
                     serial.substr(serial.size() - std::min<std::size_t>(serial.size(), 4000)));
}

}  // namespace farfault
