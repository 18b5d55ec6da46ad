#include "lib/cli/pager/cloud_hypervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "farfault/guest_memory.h"
#include "lib/cli/commands.h"
#include "lib/cli/pager/page_requests.h"
#include "lib/cli/pager/unix_socket.h"
#include "lib/cli/pager/vm_config.h"
#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {

namespace cloud_hypervisor {
namespace {

using Json = nlohmann::json;

/// Wherever it stands: the layers around it differ from version to version.
const Json* FindKey(const Json& json, const std::string& key) {
  if (json.is_object()) {
    if (const auto found = json.find(key); found != json.end()) return &*found;
  }
  if (!json.is_structured()) return nullptr;
  for (const Json& element : json) {
    if (const Json* found = FindKey(element, key)) return found;
  }
  return nullptr;
}

absl::StatusOr<Slot> ParseSlot(const Json& json) {
  const auto number = [&json](const char* key) -> std::optional<std::uint64_t> {
    if (!json.is_object()) return std::nullopt;
    const auto found = json.find(key);
    if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
    return found->get<std::uint64_t>();
  };
  const auto slot = number("slot");
  const auto gpa = number("gpa");
  const auto size = number("size");
  const auto file_offset = number("file_offset");
  if (slot && gpa && size && file_offset && *slot <= UINT32_MAX && *size > 0 && *size <= INT64_MAX - *file_offset &&
      *size <= UINT64_MAX - *gpa) {
    return Slot{static_cast<std::uint32_t>(*slot), *gpa, *size, *file_offset};
  }
  return absl::InvalidArgumentError(fmt::format(
      "the migration's configuration has a memory mapping that makes no sense: {}", json.dump().substr(0, 200)));
}

}  // namespace

absl::StatusOr<Migration> ParseMigration(std::string_view config, std::string_view state) {
  Json json = Json::parse(config, nullptr, false);
  if (json.is_discarded()) return absl::InvalidArgumentError("the migration's configuration is not JSON");
  const Json* const mappings = FindKey(json, "guest_ram_mappings");
  if (mappings == nullptr || !mappings->is_array() || mappings->empty()) {
    return absl::InvalidArgumentError(
        "the migration's configuration has no \"guest_ram_mappings\": is it what Cloud Hypervisor has sent as Config?");
  }
  Migration migration{.config = {}, .state = std::string(state), .warning = {}, .slots = {}};
  if (const Json* const vm_config = FindKey(json, "vm_config"); vm_config != nullptr) {
    if (absl::Status supported = CheckVmConfig(*vm_config); !supported.ok()) return supported;
    migration.warning = WarningFor(*vm_config);
  } else {
    migration.warning =
        "the migration's configuration has no \"vm_config\", so nobody has looked for what is not supported: "
        "hugetlbfs, prefault, devices that are passed through or live in another process";
  }
  for (const Json& mapping : *mappings) {
    const auto slot = ParseSlot(mapping);
    if (!slot.ok()) return slot.status();
    migration.slots.push_back(*slot);
  }
  std::sort(migration.slots.begin(), migration.slots.end(),
            [](const Slot& a, const Slot& b) { return a.file_offset < b.file_offset; });
  std::uint64_t end = 0;
  for (const Slot& slot : migration.slots) {
    if (slot.file_offset != end || slot.size % kSmallPage != 0) {
      return absl::UnimplementedError(
          fmt::format("memory slot {} of {} bytes begins at {} of its file, not at {}: memory zones with files of "
                      "their own are not "
                      "supported; give the guest one zone",
                      slot.slot, slot.size, slot.file_offset, end));
    }
    end += slot.size;
  }
  // Versions that have the key want it set; older ones are told by receive-migration alone.
  if (json.is_object() && json.contains("memory_mode")) {
    const std::string old = json["memory_mode"].is_string() ? json["memory_mode"].get<std::string>() : "Precopy";
    json["memory_mode"] = old.starts_with('p') ? "postcopy" : "Postcopy";
  }
  migration.config = json.dump();
  return migration;
}

namespace {

template <typename Struct>
std::string_view BytesOf(const Struct& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

absl::Status ExpectOk(int socket, const char* what) {
  Response response;
  if (absl::Status status = ReceiveAll(socket, &response, sizeof(response)); !status.ok()) {
    return absl::Status(status.code(),
                        fmt::format("Cloud Hypervisor does not answer {}: {}", what, std::string(status.message())));
  }
  if (response.status == Status::kOk && response.length == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("Cloud Hypervisor refuses {} (status {}); its log says why", what,
                                                   static_cast<int>(response.status)));
}

absl::Status Tell(int socket, Command command, std::string_view payload, const char* what) {
  absl::Status status = SendAll(socket, BytesOf(Request{.command = command, .length = payload.size()}));
  if (status.ok()) status = SendAll(socket, payload);
  return status.ok() ? ExpectOk(socket, what) : status;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::ErrnoToStatus(errno, fmt::format("'{}' cannot be read: the folder of --migration holds what Cloud "
                                                  "Hypervisor has sent as Config and State",
                                                  path));
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::StatusOr<Migration> ReadMigration(const std::string& folder) {
  const auto config = ReadFile(folder + "/migration_config.json");
  if (!config.ok()) return config.status();
  const auto state = ReadFile(folder + "/state.json");
  if (!state.ok()) return state.status();
  return ParseMigration(*config, *state);
}

absl::Status SendMemory(int control, const Migration& migration, int file) {
  for (const Slot& slot : migration.slots) {
    absl::Status status =
        SendAll(control, BytesOf(Request{.command = Command::kMemoryFd, .length = sizeof(slot.slot)}));
    if (status.ok()) status = SendAll(control, BytesOf(slot.slot), std::span(&file, 1));
    if (status.ok()) status = ExpectOk(control, "a memory file");
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

/// Up to the moment when the guest may run. The connection for page faults must be there before State is sent.
absl::Status HandOver(int control, const Migration& migration, const PagerOptions& options, int file,
                      PageRequests& requests) {
  absl::Status status = Tell(control, Command::kStart, {}, "the start of the migration");
  if (status.ok()) status = SendMemory(control, migration, file);
  if (status.ok()) status = Tell(control, Command::kConfig, migration.config, "the configuration");
  if (!status.ok()) return status;
  auto faults = ConnectUnix(options.cloud_hypervisor);
  if (!faults.ok()) return faults.status();
  if (status = SendAll(faults->get(), BytesOf(kFaultRole)); !status.ok()) return status;
  requests.Serve(*std::move(faults));
  status = Tell(control, Command::kState, migration.state, "the state");
  if (!status.ok()) return status;
  return Tell(control, options.paused ? Command::kCompletePaused : Command::kComplete, {}, "the end of the migration");
}

absl::StatusOr<GuestMemory> MemoryLike(std::span<const RemoteRegion> source, const Region& file) {
  std::vector<Region> regions;
  std::uint64_t offset = 0;
  for (const RemoteRegion& remote : source) {
    if (remote.page_size != kSmallPage || remote.length > file.length - offset) {
      return absl::FailedPreconditionError(fmt::format(
          "the guest has {} bytes of memory in pages of {}, region '{}' of the source {} in pages of {}: is "
          "it this guest's image?",
          file.length, kSmallPage, remote.name, remote.length, remote.page_size));
    }
    regions.push_back({.name = remote.name,
                       .base = file.base + offset,
                       .length = remote.length,
                       .page_size = kSmallPage,
                       .fd = file.fd,
                       .file_offset = offset});
    offset += remote.length;
  }
  if (offset == file.length) return GuestMemory::Create(std::move(regions));
  return absl::FailedPreconditionError(fmt::format(
      "the guest has {} bytes of memory, the source's image {}: serve this guest's own image", file.length, offset));
}

struct Outcome {
  absl::Status end;
  std::uint64_t requests = 0;
};

// `file` outlives the guest's session.
Outcome PageGuest(const PagerOptions& options, const StopSignal& stop, OwnedRegion& file, PagedGuest& guest,
                  ProgressBar& bar) {
  const auto migration = ReadMigration(options.migration);
  if (!migration.ok()) return {migration.status()};
  if (!migration->warning.empty()) bar.Say("hint: " + migration->warning);
  auto control = ConnectUnix(options.cloud_hypervisor);
  if (!control.ok()) return {control.status()};
  auto made = OwnedRegion::CreateShared("cloud-hypervisor", migration->total_bytes());
  if (!made.ok()) return {made.status()};
  file = *std::move(made);
  auto source = guest.FindSource("ram", migration->total_bytes(), kSmallPage);
  if (!source.ok()) return {source.status()};
  auto memory = MemoryLike(*source, file.region());
  if (!memory.ok()) return {memory.status()};
  if (absl::Status attached = guest.Attach(*std::move(memory), ""); !attached.ok()) return {attached};
  PageRequests requests(migration->slots, file.bytes());
  Outcome outcome{HandOver(control->get(), *migration, options, file.region().fd, requests)};
  if (outcome.end.ok()) {
    bar.Say("Cloud Hypervisor has the guest");
    outcome.end = guest.Page([&] { return stop.given() || requests.ended(); });
    // Its pages are here, but it may not have asked for all of them.
    while (outcome.end.ok() && !requests.ended() && !stop.given()) absl::SleepFor(absl::Milliseconds(20));
    if (absl::IsCancelled(outcome.end) && requests.ended()) outcome.end = requests.end();
  }
  outcome.requests = requests.answered();
  // A thread that waits for a page which never comes does not end.
  if (!outcome.end.ok() && !requests.HangUp(absl::Seconds(1))) {
    bar.Clear();
    Complain(outcome.end);
    std::fflush(nullptr);
    _exit(kExitFailed);
  }
  return outcome;
}

/// Ends the process some time after it was told to stop: until the guest is there, what is waited for (a source, an
/// answer) may never come.
class LastResort {
 public:
  explicit LastResort(const StopSignal& stop)
      : done_(eventfd(0, EFD_CLOEXEC)), thread_([this, &stop] { Watch(stop); }) {}
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;
  ~LastResort() {
    static_cast<void>(eventfd_write(done_.get(), 1));
    thread_.join();
  }

 private:
  static constexpr int kFarewellMilliseconds = 2000;

  void Watch(const StopSignal& stop) const {
    std::array<pollfd, 2> fds = {pollfd{.fd = done_.get(), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = stop.fd(), .events = POLLIN, .revents = 0}};
    while (poll(fds.data(), fds.size(), -1) < 0) {
    }
    if (fds[0].revents != 0 || poll(fds.data(), 1, kFarewellMilliseconds) == 1) return;
    std::fputs("farfault: stopped while it waited\n", stderr);
    std::fflush(nullptr);
    _exit(kExitFailed);
  }

  UniqueFd done_;
  std::thread thread_;
};

}  // namespace
}  // namespace cloud_hypervisor

absl::Status RunCloudHypervisor(const PagerOptions& options, ProgressBar& bar, const StopSignal& stop) {
  const Stopwatch watch;
  OwnedRegion file;
  PagedGuest guest(options, bar);
  const cloud_hypervisor::LastResort last_resort(stop);
  const cloud_hypervisor::Outcome outcome = cloud_hypervisor::PageGuest(options, stop, file, guest, bar);
  bar.Clear();
  const PagerReport report{.guest = options.cloud_hypervisor,
                           .source = options.from.empty() ? options.listen : options.from,
                           .stats = guest.Stats(),
                           .elapsed = watch.Elapsed(),
                           .requests = outcome.requests,
                           .end = outcome.end};
  if (options.json) {
    fmt::print("{}\n", ReportAsJson(report));
  } else if (guest.session() != nullptr) {
    bar.Say(ReportAsTable(report));
  }
  return outcome.end;
}

}  // namespace farfault
