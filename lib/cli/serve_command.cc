#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/session.h"
#include "lib/cli/commands.h"
#include "lib/cli/image_name.h"
#include "lib/cli/option_types.h"
#include "lib/cli/pager/working_set.h"
#include "lib/cli/rail_summary.h"
#include "lib/cli/terminal/progress_bar.h"
#include "lib/cli/terminal/units.h"
#include "lib/cli/workload/timeline.h"
#include "lib/page/guest_mapping.h"
#include "lib/prepage/holes.h"
#include "lib/util/status_text.h"
#include "lib/util/whole_pages.h"

namespace farfault {
namespace {

struct ServeOptions {
  std::string path;
  std::string listen;
  std::string key;
  std::string predictor = "bubbling";
  std::string working_set;
  std::uint64_t page_size = kSmallPage;
  bool push = false;
  bool once = false;
};

/// Long enough to be for ever, short enough for every clock.
constexpr absl::Duration kForEver = absl::Hours(24 * 365);

struct Image {
  OwnedRegion memory;
  Region region;
  std::uint64_t bytes = 0;
};

absl::StatusOr<Image> OpenImage(const std::string& path, std::uint64_t page_size) {
  absl::StatusOr<OwnedRegion> memory = OwnedRegion::OpenFile(path);
  if (!memory.ok()) return memory.status();
  struct stat about{};
  if (fstat(memory->region().fd, &about) != 0) {
    return absl::InternalError(fmt::format("cannot find out how long {} is: {}", path, std::strerror(errno)));
  }
  Image image;
  image.memory = *std::move(memory);
  image.bytes = static_cast<std::uint64_t>(about.st_size);
  image.region = image.memory.region();
  image.region.name = MakeImageName(path, image.bytes);
  image.region.page_size = page_size;
  if (image.region.length % page_size == 0) return image;
  return absl::InvalidArgumentError(fmt::format(
      "{} has {} bytes, which is no multiple of --page-size {}: serve it with --page-size 4K, or, if its guest is on "
      "huge pages, take the whole image (truncate -s {} fills it up with zeros)",
      path, image.bytes, page_size, RoundUpToPages(image.bytes, page_size)));
}

absl::StatusOr<std::unique_ptr<Predictor>> ChoosePredictor(const Image& image, const ServeOptions& serve) {
  if (serve.working_set.empty()) return MakePredictor(serve.predictor);
  auto working_set = ReadWorkingSet(serve.working_set);
  if (!working_set.ok()) return working_set.status();
  const std::uint64_t pages = image.region.length / image.region.page_size;
  if (absl::Status same = CheckWorkingSet(*working_set, pages, image.region.page_size); !same.ok()) return same;
  return std::make_unique<WorkingSetPredictor>(std::move(working_set->order));
}

/// A snapshot of what has changed since another one (Firecracker's diff) is as long as a whole one, and nothing but
/// holes elsewhere.
absl::StatusOr<std::string> Describe(const std::string& path, const Image& image) {
  const absl::StatusOr<GuestMemory> memory = GuestMemory::Create({image.region});
  if (!memory.ok()) return memory.status();
  const absl::StatusOr<std::vector<PageRun>> holes = FindHoles(*memory);
  if (!holes.ok()) return holes.status();
  std::uint64_t pages = 0;
  for (const PageRun& hole : *holes) pages += hole.count;
  std::string text = fmt::format("{}: {} ({} bytes)", path, FormatBytes(image.bytes), image.bytes);
  if (pages == 0) return text;
  return text +
         fmt::format(", {} of it holes, which read as zeros (a diff snapshot has to be merged with its base first)",
                     FormatBytes(pages * image.region.page_size));
}

/// One destination, from its arrival until it has everything or is gone.
absl::Status ServeOne(const Image& image, ServeOptions& serve, ProgressBar& bar) {
  absl::StatusOr<GuestMemory> memory = GuestMemory::Create({image.region});
  if (!memory.ok()) return memory.status();
  SourceOptions options;
  options.listen = serve.listen;
  options.pre_shared_key = serve.key;
  options.peer_timeout = kForEver;
  options.track_dirty = false;
  options.track_history = false;
  options.push.enabled = serve.push;
  absl::StatusOr<std::unique_ptr<Predictor>> predictor = ChoosePredictor(image, serve);
  if (!predictor.ok()) return predictor.status();
  options.predictor = *std::move(predictor);
  options.on_event = [&](const Event& event) {
    if (event.kind == EventKind::kListening) {
      // A port that the kernel chose stays the same for the destinations to come.
      serve.listen = event.text;
      bar.Say(fmt::format("waiting for a destination at {} (Ctrl-C to stop)", event.text));
    } else if (event.kind == EventKind::kConnected && !event.text.empty()) {
      bar.Say("over " + event.text);
    } else if (event.kind == EventKind::kMoving) {
      bar.Update("serving", event.done, event.total);
    } else if (event.kind == EventKind::kHint) {
      bar.Say("hint: " + event.text);
    }
  };
  absl::StatusOr<std::unique_ptr<SourceSession>> session =
      SourceSession::Create(*std::move(memory), std::move(options));
  if (!session.ok()) return session.status();
  const std::int64_t began = MonotonicNanos();
  bar.Say("a destination has come");
  if (absl::Status status = (*session)->SwitchOver(); !status.ok()) return status;
  if (absl::Status status = (*session)->WaitUntilDrained(kForEver); !status.ok()) return status;
  const SessionStats stats = (*session)->Stats();
  bar.Say(fmt::format("served {} in {}, {} of it pushed", FormatBytes(image.bytes),
                      FormatNanos(MonotonicNanos() - began), FormatBytes(stats.bytes_sent)));
  if (stats.bytes_sent > 0 && !stats.rails.empty()) bar.Say("pushed over " + RailSummary(stats));
  return absl::OkStatus();
}

/// Whether another destination may have better luck: not when the address or the image is at fault.
bool WorthAnotherTry(const absl::Status& status) {
  return !absl::IsInvalidArgument(status) && !absl::IsAlreadyExists(status) && !absl::IsResourceExhausted(status) &&
         !absl::IsNotFound(status) && !absl::IsInternal(status);
}

int Serve(ServeOptions options) {
  const absl::StatusOr<Image> image = OpenImage(options.path, options.page_size);
  if (!image.ok()) return Complain(image.status());
  if (const auto predictor = ChoosePredictor(*image, options); !predictor.ok()) return Complain(predictor.status());
  const absl::StatusOr<std::string> description = Describe(options.path, *image);
  if (!description.ok()) return Complain(description.status());
  ProgressBar bar(ProgressBar::StyleFor(stderr, false));
  bar.Say(*description);
  for (;;) {
    absl::Status status = ServeOne(*image, options, bar);
    bar.Clear();
    // The destination only knows that we hung up.
    if (absl::Status whole = CheckFileLengths({&image->region, 1}); !status.ok() && !whole.ok()) status = whole;
    if (options.once) return status.ok() ? kExitGood : Complain(status);
    if (status.ok()) continue;
    if (!WorthAnotherTry(status)) return Complain(status);
    bar.Say(fmt::format("that destination is gone: {}", std::string(StatusText(status))));
    absl::SleepFor(absl::Milliseconds(200));
  }
}

CLI::Validator PossiblePage() {
  return CLI::Validator(
      [](const std::string& text) {
        const absl::StatusOr<std::uint64_t> bytes = ParseBytes(text);
        const bool possible = !bytes.ok() || *bytes == kSmallPage || *bytes == kHugePage;
        return possible ? std::string() : fmt::format("\"{}\": 4K and 2M are possible", text);
      },
      "");
}

}  // namespace

void AddServeCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("serve", "Export a file's bytes as memory for `farfault fetch`");
  auto options = std::make_shared<ServeOptions>();
  command->add_option("FILE", options->path, "The file, an image of memory")->required();
  AddAddress(*command, "--listen", options->listen, "Where destinations come to, like tcp://0.0.0.0:7000")->required();
  CLI::Option* const push = command->add_flag("--push", options->push, "Send pages unasked as well");
  CLI::Option* const predictor = AddPredictor(*command, "--predictor", options->predictor)->needs(push);
  command->add_option("--working-set", options->working_set, "Push in this order, of farfault pager --record, first")
      ->type_name("FILE")
      ->needs(push)
      ->excludes(predictor);
  AddBytes(*command, "--page-size", options->page_size, "Of the guest: 4K (default) or 2M, for a guest on hugetlbfs")
      ->check(PossiblePage());
  AddKeyFile(*command, options->key);
  command->add_flag("--once", options->once, "End after one destination instead of waiting for the next");
  command->callback([&action, options] { action = [options] { return Serve(*options); }; });
}

}  // namespace farfault
