#include <memory>
#include <string>

#include "lib/cli/commands.h"
#include "lib/cli/give_way.h"
#include "lib/cli/option_types.h"
#include "lib/cli/output_file.h"
#include "lib/cli/pager/cloud_hypervisor.h"
#include "lib/cli/pager/pager.h"
#include "lib/cli/pager/working_set.h"
#include "lib/page/page_state_file.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr const char* kFooter = R"(Firecracker: start the pager, then load the snapshot with
  "mem_backend": {"backend_type": "Uffd", "backend_path": "SOCKET"}
and let `farfault serve` export the snapshot's memory file at --from. Several microVMs may come to one pager.

Cloud Hypervisor: `ch-remote receive-migration receiver_url=unix:SOCKET,memory_mode=postcopy`, then
  farfault pager --cloud-hypervisor SOCKET --migration FOLDER --from ADDRESS
with migration_config.json and state.json of an offloaded snapshot in FOLDER, and its memory served at --from.

A pager that dies leaves its guests waiting, not broken. With --state the same command, started again, goes on where it
was.)";

absl::Status CheckRecord(const std::string& path) { return CheckReplaceable(path, WorkingSetDraft(path)); }

/// A pager that takes a guest over goes on with the file that is there.
absl::Status CheckState(const std::string& path) { return CheckUpdatable(path, PageStateFile::DraftOf(path)); }

absl::Status Check(const PagerOptions& options) {
  if (options.from.empty() == options.listen.empty()) {
    return absl::InvalidArgumentError(
        "say where the pages come from: --from ADDRESS (a source that listens) or --listen ADDRESS (one that comes "
        "here)");
  }
  if (options.socket.empty() == options.cloud_hypervisor.empty()) {
    return absl::InvalidArgumentError(
        "say who is paged: --socket PATH (hypervisors come there, as Firecracker does) or --cloud-hypervisor PATH");
  }
  if (options.cloud_hypervisor.empty() != options.migration.empty()) {
    return absl::InvalidArgumentError("--cloud-hypervisor and --migration belong together");
  }
  if (!options.cloud_hypervisor.empty() && !options.state.empty()) {
    return absl::InvalidArgumentError(
        "--state is for guests that come to --socket: Cloud Hypervisor gives no descriptor");
  }
  if (options.working_set.empty()) return absl::OkStatus();
  return ReadWorkingSet(options.working_set).status();
}

int Run(const PagerOptions& options) {
  if (absl::Status checked = Check(options); !checked.ok()) return Complain(checked, kExitUsage);
  const StopSignal stop;
  ProgressBar bar(ProgressBar::StyleFor(stderr, false));
  // Before there are threads, which inherit it.
  if (absl::Status gives_way = GiveWay(options.nice); !gives_way.ok()) bar.Say(std::string(StatusText(gives_way)));
  absl::Status status;
  if (options.socket.empty()) {
    status = RunCloudHypervisor(options, bar, stop);
  } else {
    status = Pager(options, bar, stop).Run();
  }
  bar.Clear();
  return status.ok() ? kExitGood : Complain(status);
}

}  // namespace

void AddPagerCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("pager", "Bring a hypervisor's guest its memory, page by page");
  auto options = std::make_shared<PagerOptions>();
  command->add_option("--socket", options->socket, "UNIX socket to which hypervisors hand their userfaultfd")
      ->type_name("PATH");
  AddAddress(*command, "--from", options->from, "Where the source listens, like tcp://192.0.2.7:7000");
  CLI::Option* const listen =
      AddAddress(*command, "--listen", options->listen, "Where a live source comes to, like tcp://0.0.0.0:7000");
  AddKeyFile(*command, options->key);
  command->add_flag("--populate", options->populate, "Take all of the guest's memory before a source is waited for")
      ->needs(listen);
  command->add_flag("--rest", options->rest, "Read what nobody asks for as well, so that paging comes to an end");
  AddOutputFile(*command, "--record", options->record, CheckRecord,
                "Write down the order in which the guest touches its memory");
  command->add_option("--working-set", options->working_set, "Read pages in this order before they are asked for")
      ->type_name("FILE");
  AddOutputFile(*command, "--state", options->state, CheckState,
                "Let a pager that is started later go on with the guest; best on a tmpfs");
  command->add_option("--cloud-hypervisor", options->cloud_hypervisor, "Socket at which a Cloud Hypervisor receives")
      ->type_name("PATH");
  command->add_option("--migration", options->migration, "What it is to receive besides its memory")
      ->type_name("FOLDER");
  command->add_flag("--paused", options->paused, "Leave the guest of --cloud-hypervisor paused");
  command->add_flag("--once", options->once, "End after one guest instead of waiting for the next");
  AddDuration(*command, "--wait", options->wait, "How long to wait for the source to appear (default for ever)")
      ->check(MoreThanZero("leave it out to wait for ever"));
  AddDuration(*command, "--patience", options->patience, "How long a hypervisor's handshake may take (default 10s)")
      ->check(MoreThanZero("a handshake takes some time"));
  AddNice(*command, options->nice);
  command->add_flag("--json", options->json, "Print a report as JSON when a guest's paging has ended");
  command->footer(kFooter);
  command->callback([&action, options] { action = [options] { return Run(*options); }; });
}

}  // namespace farfault
