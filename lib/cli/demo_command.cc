#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/cli/commands.h"
#include "lib/cli/demo/demo_run.h"
#include "lib/cli/demo/host_link.h"
#include "lib/cli/demo/report.h"
#include "lib/cli/demo/role_support.h"
#include "lib/cli/demo/roles.h"
#include "lib/cli/demo/throughput_plot.h"
#include "lib/cli/option_types.h"
#include "lib/cli/output_file.h"
#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"
#include "lib/fault/userfaultfd.h"
#include "lib/transport/transport_registry.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

std::string MethodHelp() {
  std::string help = "Which methods, commas between; default every:";
  for (const Method& method : KnownMethods()) help += fmt::format("\n{:<8} {}", method.name, method.summary);
  return help;
}

void AddOptions(CLI::App& command, DemoOptions& options) {
  AddBytes(command, "--size", options.bytes, "Memory of the program (default 1GiB)");
  command
      .add_option_function<std::string>(
          "--method",
          [&options](const std::string& text) {
            absl::StatusOr<std::vector<Method>> methods = ParseMethods(text);
            if (!methods.ok()) throw CLI::ValidationError("--method", std::string(StatusText(methods.status())));
            options.methods = *std::move(methods);
          },
          MethodHelp())
      ->type_name("NAMES");
  AddPredictor(command, "--predictor", options.predictor);
  command
      .add_option_function<std::string>(
          "--transport",
          [&options](const std::string& text) {
            const std::string scheme = text.substr(0, text.find('?'));
            const bool tcp = text == "tcp" || text.starts_with("tcp?rail=");
            if (scheme != "sim" && scheme != "verbs" && !tcp) {
              throw CLI::ValidationError(
                  "--transport",
                  fmt::format("the demo cannot run over \"{}\": choose tcp or verbs (two processes; verbs "
                              "needs an RDMA device) or sim (two sides of one process; "
                              "\"sim?latency=5us&bandwidth=10Gbps\" for a network of your choice)",
                              text));
            }
            if (!IsTransport(scheme)) throw CLI::ValidationError("--transport", LacksTransport(scheme));
            if (scheme == "sim") {
              const absl::Status made = MakeTransport("sim://demo" + text.substr(scheme.size())).status();
              if (!made.ok()) throw CLI::ValidationError("--transport", std::string(StatusText(made)));
            }
            options.transport = text;
          },
          "tcp (default), verbs (at FARFAULT_ADDRESS, or where the first RDMA device is), sim, or "
          "\"sim?latency=5us&bandwidth=10Gbps\"; \"verbs?rail=10.9.1.1\" shares the work with a second device")
      ->type_name("NAME");
  command.add_option("--seed", options.seed, "Decides texts, questions and their order (default 1)")->type_name("N");
  command.add_option("--threads", options.threads, "Threads of the program (default: half the cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 64));
  AddBytes(command, "--budget", options.budget, "What pre-paging may send (default a third of the memory)")
      ->check(MoreThanZero("choose a method without pre-paging to send nothing"));
  AddDuration(command, "--demand-only", options.demand_only,
              "Without a push: fetch only what is touched for so long, then the rest (default 2s)");
  AddDuration(command, "--after", options.after,
              "Let the program run so long once everything is there (default 500ms)");
  command.add_flag("--anonymous", options.anonymous, "Anonymous memory: pages are copied in from a staging ring");
  command.add_flag("--hugetlb", options.hugetlb, "2 MiB pages of hugetlbfs")->excludes("--anonymous");
  AddDuration(command, "--timeout", options.timeout, "Give up when a step takes longer (default 5m)")
      ->check(MoreThanZero("every step takes some time"));
  AddOutputFile(command, "--plot", options.plot, CheckWritable, "Draw the program's throughput into this SVG file");
  command.add_flag("--json", options.json, "Print JSON, and no progress");
  command.add_option("--corrupt", options.corrupt, "Flip so many bytes at the destination: the checks must notice")
      ->group("");
}

std::string Subtitle(const DemoOptions& options, const DemoRun& run) {
  return fmt::format("{} of {} memory, index over {}, transport {}, predictor {}", FormatBytes(options.bytes),
                     options.anonymous ? "anonymous" : "shared", run.program_summary(), options.transport,
                     options.predictor);
}

absl::Status WritePlot(const DemoOptions& options, const DemoRun& run, const std::vector<MethodResult>& results) {
  const std::string svg = PlotThroughput(results, Subtitle(options, run));
  std::ofstream file(options.plot);
  file << svg;
  file.close();
  return file ? absl::OkStatus() : While("--plot", NotWritable(options.plot, errno));
}

/// One half of a demo on two hosts.
struct HostOptions {
  std::string role;
  std::string listen;
  std::string connect;
};

void AddHostOptions(CLI::App& command, HostOptions& options) {
  CLI::Option* role =
      command.add_option("--role", options.role,
                         "On two hosts: source waits for orders; destination gives them, takes all other "
                         "options and prints the results.\n"
                         "source$      farfault demo --role source --listen tcp://10.0.0.1:7001\n"
                         "destination$ farfault demo --role destination --connect tcp://10.0.0.1:7001 "
                         "--transport verbs");
  role->type_name("NAME")->check(CLI::IsMember({"source", "destination"}));
  AddAddress(command, "--listen", options.listen, "Where the source waits for the destination's orders")->needs(role);
  AddAddress(command, "--connect", options.connect, "Where the source waits")->needs(role);
}

absl::Status CheckHostOptions(const HostOptions& host, const DemoOptions& options) {
  const bool source = host.role == "source";
  const bool fits = host.role.empty() || (source ? host.connect.empty() && !host.listen.empty()
                                                 : host.listen.empty() && !host.connect.empty());
  if (!fits)
    return absl::InvalidArgumentError("--role source goes with --listen, and --role destination with --connect");
  if (!(host.listen + host.connect).empty() && !(host.listen + host.connect).starts_with("tcp://")) {
    return absl::InvalidArgumentError(
        "the source takes orders over tcp://HOST:PORT; what the memory moves over is --transport");
  }
  if (!host.role.empty() && options.transport.starts_with("sim")) {
    return absl::InvalidArgumentError("--transport sim is inside one process: choose tcp or verbs for two hosts");
  }
  return absl::OkStatus();
}

/// The orders bring a source what the destination was told: an option of its own would go unheard.
absl::Status CheckSourceOptions(const CLI::App& command) {
  for (const CLI::Option* const option : command.get_options()) {
    if (option->count() == 0) continue;
    // get_name() is empty for hidden ones.
    const std::string name = "--" + option->get_lnames().front();
    if (name == "--role" || name == "--listen") continue;
    return absl::InvalidArgumentError(
        fmt::format("--role source takes no {}: give it to the destination, whose orders the source obeys", name));
  }
  return absl::OkStatus();
}

int RunSource(const std::string& listen) {
  absl::StatusOr<std::unique_ptr<RoleLink>> link = AwaitCoordinator(listen, [](const std::string& address) {
    fmt::print(stderr, "waiting for farfault demo --role destination --connect {} (Ctrl-C to stop)\n", address);
  });
  if (!link.ok()) return Complain(link.status());
  const absl::Status status = ObeyAsSource(**link, -1);
  if (status.ok()) return kExitGood;
  Complain(status);
  // Threads of the program may still run.
  FailRole(**link, status);
}

/// What was found out before a failure is in `results` as well.
absl::Status MoveByEachMethod(const DemoOptions& options, DemoRun& run, std::vector<MethodResult>& results) {
  bool any = false;
  for (std::size_t i = 0; i < options.methods.size(); ++i) {
    const Method& method = options.methods[i];
    MethodResult& result = results.emplace_back();
    result.method = method;
    if (method.prepage && !run.no_prepaging().empty()) {
      result.left_out = run.no_prepaging();
      continue;
    }
    any = true;
    absl::StatusOr<MethodResult> moved = run.Move(i);
    if (!moved.ok()) {
      result.failure = StatusText(moved.status());
      return absl::Status(moved.status().code(), fmt::format("{}: {}", method.title, result.failure));
    }
    result = *std::move(moved);
  }
  if (!any) return absl::UnimplementedError(fmt::format("pre-paging: {}", run.no_prepaging()));
  return absl::OkStatus();
}

int RunDemo(const DemoOptions& options) {
  ProgressBar bar(ProgressBar::StyleFor(stderr, options.json));
  DemoRun run(options, bar);
  if (const absl::Status status = run.CheckMemory(); !status.ok()) {
    return Complain(status, absl::IsInvalidArgument(status) ? kExitUsage : kExitFailed);
  }
  // The destination asks for more of it, and says so; but not before the source has read files for a while.
  if (const auto right = Userfaultfd::KernelFeatures(); !right.ok()) return Complain(right.status());
  if (const absl::Status status = run.Start(); !status.ok()) {
    bar.Clear();
    return Complain(status);
  }
  bar.Say(fmt::format("A program answers questions about {}; its {} of memory move away under it.",
                      run.program_summary(), FormatBytes(options.bytes)));
  std::vector<MethodResult> results;
  const absl::Status moved = MoveByEachMethod(options, run, results);
  bar.Clear();
  if (options.json) {
    nlohmann::json all = nlohmann::json::array();
    for (const MethodResult& result : results) all.push_back(ToJson(result));
    fmt::print("{}\n", all.dump(2));
  } else if (std::ranges::any_of(results, &MethodResult::finished)) {
    fmt::print("{}", RenderResults(results, ColumnsOf(stdout).value_or(SIZE_MAX)));
  }
  if (!moved.ok()) return Complain(moved);
  std::erase_if(results, [](const MethodResult& result) { return !result.finished(); });
  if (!options.plot.empty()) {
    if (const absl::Status status = WritePlot(options, run, results); !status.ok()) return Complain(status);
    bar.Say("The picture is in " + options.plot);
  }
  if (std::ranges::all_of(results, [](const MethodResult& result) { return result.verdict.good(); })) return kExitGood;
  return Complain(
      absl::DataLossError("the destination's memory was not what it must be; see the last two columns, and "
                          "please report it with the seed"));
}

struct RoleOptions {
  int judge = -1;
  int source = -1;
  std::vector<int> destinations;
};

int PlayRoles(const RoleOptions& options) {
  std::vector<std::thread> threads;
  if (options.source >= 0) {
    threads.emplace_back([&] {
      RoleLink link(options.source);
      PlaySource(link, options.judge);
    });
  }
  for (const int fd : options.destinations) {
    threads.emplace_back([&options, fd] {
      RoleLink link(fd);
      PlayDestination(link, options.judge);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return kExitGood;
}

void AddRoleCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("demo-role", "One of the demo's processes");
  command->group("");
  auto options = std::make_shared<RoleOptions>();
  command->add_option("--judge", options->judge)->required();
  command->add_option("--source", options->source);
  command->add_option("--destination", options->destinations);
  command->callback([&action, options] { action = [options] { return PlayRoles(*options); }; });
}

}  // namespace

void AddDemoCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("demo", "Move a running program's memory and check every page and answer");
  auto options = std::make_shared<DemoOptions>();
  auto host = std::make_shared<HostOptions>();
  AddOptions(*command, *options);
  AddHostOptions(*command, *host);
  command->callback([&action, command, options, host] {
    action = [command, options, host] {
      absl::Status fits = CheckHostOptions(*host, *options);
      if (fits.ok() && host->role == "source") fits = CheckSourceOptions(*command);
      if (!fits.ok()) return Complain(fits, kExitUsage);
      options->source_host = host->connect;
      return host->role == "source" ? RunSource(host->listen) : RunDemo(*options);
    };
  });
  AddRoleCommand(app, action);
}

}  // namespace farfault
