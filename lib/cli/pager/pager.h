#ifndef FARFAULT_LIB_CLI_PAGER_PAGER_H_
#define FARFAULT_LIB_CLI_PAGER_PAGER_H_

#include <atomic>
#include <list>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "lib/cli/pager/front_desk.h"
#include "lib/cli/pager/keeper.h"
#include "lib/cli/pager/paged_guest.h"
#include "lib/cli/terminal/progress_bar.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// SIGINT and SIGTERM as something to wait on: blocks them in this thread and those that it starts.
class StopSignal {
 public:
  StopSignal();
  /// Readable when one has come.
  int fd() const { return fd_.get(); }
  bool given() const;

 private:
  UniqueFd fd_;
};

/// The daemon: takes guests in at the front desk and pages each on a thread of its own.
class Pager {
 public:
  Pager(const PagerOptions& options, ProgressBar& bar, const StopSignal& stop)
      : options_(options), bar_(bar), stop_(stop) {}
  ~Pager();

  /// Until it is told to stop, or with `once` until the first guest has ended, whose end it returns.
  absl::Status Run();

 private:
  struct Served {
    Arrival::Guest arrival;
    KeptGuest kept;
    std::atomic<bool> vacated = false;  ///< There is room for another guest, although this one's end is still told.
    std::atomic<bool> ended = false;
    absl::Status end;
    std::thread thread;
  };

  std::string keeper_path() const { return options_.state + ".keeper"; }
  absl::StatusOr<std::optional<TakenOver>> FindKept() const;
  bool HasNeverRun(const Handshake& handshake) const;
  void Begin(Arrival::Guest arrival, KeptGuest kept);
  void Serve(Served& served);
  absl::Status Page(Served& served, PagedGuest& guest);
  absl::Status Keep(Served& served) const;
  static bool MayNeedPages(const Served& served, const PagedGuest& guest);
  void Report(const Served& served, const PagedGuest& guest, absl::Duration elapsed);
  bool Busy() const;
  bool HasGuest() const;

  const PagerOptions& options_;
  ProgressBar& bar_;
  const StopSignal& stop_;
  std::list<Served> served_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_PAGER_H_
