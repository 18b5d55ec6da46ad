#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "farfault/farfault.h"
#include "lib/util/notification.h"
#include "lib/util/status_text.h"
#include "test/integration/runtime/scripted_source.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

// A source that closes at each step from the first connection to the switchover: the destination says so at once and
// what to do, and its memory can be used for something else.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kImage = 4u << 20;
const std::vector<GuestImage::Spec> kOneRegion = {{.length = kImage}};

// Far more than a test may take: whoever notices late is noticed.
DestinationOptions Patient() {
  DestinationOptions options;
  options.peer_timeout = absl::Seconds(60);
  options.handshake_timeout = absl::Seconds(60);
  options.prepare_timeout = absl::Seconds(60);
  return options;
}

// A destination on a thread of its own, which is left behind when it hangs.
class Arrival {
 public:
  struct Ending {
    absl::Status status;
    bool created = false;
    bool prepared = false;
  };

  explicit Arrival(DestinationOptions options)
      : may_prepare_(std::make_shared<Notification>()), listening_(std::make_shared<std::promise<std::string>>()) {
    options.on_event = [listening = listening_](const Event& event) {
      if (event.kind == EventKind::kListening) listening->set_value(event.text);
    };
    std::promise<Ending> ending;
    std::promise<void> touched;
    ending_ = ending.get_future();
    touched_ = touched.get_future();
    thread_ = std::thread([&image = image_, may_prepare = may_prepare_, made = std::move(options),
                           ending = std::move(ending), touched = std::move(touched)]() mutable {
      Ending came = Come(image, std::move(made), *may_prepare);
      ending.set_value(std::move(came));
      // A page that is still armed parks this thread.
      for (std::size_t at = 0; at < image.bytes().size(); at += kSmallPage) image.bytes()[at] = std::byte{1};
      touched.set_value();
    });
  }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  ~Arrival() {
    if (MemoryIsFree()) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }

  std::string address() { return listening_->get_future().get(); }
  void MayPrepare() { may_prepare_->Notify(); }
  Ending End() {
    REQUIRE(Done(ending_));
    return ending_.get();
  }
  bool MemoryIsFree() const { return Done(touched_); }

 private:
  static Ending Come(GuestImage& image, DestinationOptions options, Notification& may_prepare) {
    auto session = DestinationSession::Create(image.memory(), std::move(options));
    if (!session.ok()) return {session.status()};
    may_prepare.Wait();
    absl::Status status = (*session)->Prepare();
    if (!status.ok()) return {std::move(status), true};
    status = (*session)->Activate(absl::Seconds(60));
    if (status.ok()) status = (*session)->WaitUntilResident(absl::Seconds(60));
    return {std::move(status), true, true};
  }

  GuestImage& image_ = ImmortalImage(kOneRegion);
  std::shared_ptr<Notification> may_prepare_;
  std::shared_ptr<std::promise<std::string>> listening_;
  std::future<Ending> ending_;
  std::future<void> touched_;
  std::thread thread_;
};

std::string Text(const absl::Status& status) { return std::string(StatusText(status)); }

// What is told of a source that has left after this step.
std::string_view WhereItLeft(SourceStep last) {
  switch (last) {
    case SourceStep::kConnected:
      return "while waiting for the peer's greeting";
    case SourceStep::kGreeted:
      return "while waiting for the peer's proof that it knows the key";
    case SourceStep::kProved:
      return "while waiting for the peer's list of regions";
    case SourceStep::kToldRegions:
    case SourceStep::kOpenedDemandChannel:
      return "";  // Whether it listens no more or hangs up is a matter of luck.
    case SourceStep::kOpenedPushChannel:
    case SourceStep::kToldHoles:
    case SourceStep::kToldMemory:
      return "while waiting for the peer's addresses";
    case SourceStep::kToldTables:
    case SourceStep::kHeardPrepared:
    case SourceStep::kHeardMayActivate:
    case SourceStep::kToldDirtyRuns:
      return "the guest has not run here and may go on at the source";
  }
  return {};
}

void CheckTold(const absl::Status& status, SourceStep last) {
  INFO(status.ToString());
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(Text(status), ContainsSubstring(std::string(WhereItLeft(last))));
  CHECK_THAT(Text(status), ContainsSubstring("closed the connection") || ContainsSubstring("nobody listens at") ||
                               ContainsSubstring("broke the connection off") ||
                               ContainsSubstring("Connection reset by peer"));
  CHECK_THAT(Text(status), ContainsSubstring("see there why") && ContainsSubstring("then begin again"));
}

// Says what came of it when the source has left.
void CheckLeft(Arrival& destination, SourceStep last) {
  const Arrival::Ending ending = destination.End();
  CheckTold(ending.status, last);
  CHECK(ending.created == (last >= SourceStep::kToldTables));
  if (last > SourceStep::kHeardPrepared) CHECK(ending.prepared);
  CHECK(destination.MemoryIsFree());
}

TEST_CASE("a source that leaves at any step of the handshake is told of at once, and leaves no memory armed") {
  RequireUserfaultfd();
  const SourceStep last = GENERATE(from_range(SourceSteps(SourceStep::kConnected, SourceStep::kToldDirtyRuns)));
  CAPTURE(static_cast<int>(last));
  GuestImage image(kOneRegion);
  image.Fill(1);
  GuestImage copy(kOneRegion);
  copy.Fill(1);
  auto source = std::make_unique<ScriptedSource>(image);
  DestinationOptions options = Patient();
  options.connect = source->address();
  Arrival destination(std::move(options));
  if (last >= SourceStep::kHeardPrepared) destination.MayPrepare();
  source->Play(last);
  source.reset();
  if (last < SourceStep::kHeardPrepared) destination.MayPrepare();
  CheckLeft(destination, last);
  CHECK(image.FirstDifference(copy).empty());
}

TEST_CASE("a destination that listens outlasts a source that leaves before its data channels are open") {
  RequireUserfaultfd();
  const SourceStep last = GENERATE(from_range(SourceSteps(SourceStep::kConnected, SourceStep::kOpenedDemandChannel)));
  CAPTURE(static_cast<int>(last));
  GuestImage image(kOneRegion);
  image.Fill(2);
  DestinationOptions options = Patient();
  options.listen = "tcp://127.0.0.1:0";
  Arrival destination(std::move(options));
  destination.MayPrepare();
  const std::string address = destination.address();
  ScriptedSource(image, address).Play(last);

  SourceOptions true_options;
  true_options.connect = address;
  auto source = SourceSession::Create(image.memory(), std::move(true_options));
  INFO(source.status().ToString());
  REQUIRE(source.ok());
  CHECK((*source)->SwitchOver().ok());
  const Arrival::Ending ending = destination.End();
  INFO(ending.status.ToString());
  CHECK(ending.status.ok());
  CHECK((*source)->WaitUntilDrained(absl::Seconds(60)).ok());
}

TEST_CASE("a destination that listens is told of a source that leaves with its data channels open") {
  RequireUserfaultfd();
  const SourceStep last = GENERATE(from_range(SourceSteps(SourceStep::kOpenedPushChannel, SourceStep::kToldDirtyRuns)));
  CAPTURE(static_cast<int>(last));
  GuestImage image(kOneRegion);
  DestinationOptions options = Patient();
  options.listen = "tcp://127.0.0.1:0";
  Arrival destination(std::move(options));
  if (last >= SourceStep::kHeardPrepared) destination.MayPrepare();
  auto source = std::make_unique<ScriptedSource>(image, destination.address());
  source->Play(last);
  source.reset();
  if (last < SourceStep::kHeardPrepared) destination.MayPrepare();
  CheckLeft(destination, last);
}

TEST_CASE("a destination that listens in vain says what became of the last source that tried") {
  const SourceStep last = GENERATE(from_range(SourceSteps(SourceStep::kConnected, SourceStep::kOpenedDemandChannel)));
  CAPTURE(static_cast<int>(last));
  GuestImage image(kOneRegion);
  DestinationOptions options = Patient();
  options.listen = "tcp://127.0.0.1:0";
  options.peer_timeout = absl::Seconds(1);
  Arrival destination(std::move(options));
  ScriptedSource(image, destination.address()).Play(last);
  const Arrival::Ending ending = destination.End();
  INFO(ending.status.ToString());
  CHECK(absl::IsUnavailable(ending.status));
  CHECK_THAT(Text(ending.status), ContainsSubstring("nobody connected to tcp://127.0.0.1:") &&
                                      ContainsSubstring("start the other end") &&
                                      ContainsSubstring("the last peer that tried: the "));
  CHECK_FALSE(ending.created);
  CHECK(destination.MemoryIsFree());
}

}  // namespace
}  // namespace farfault
