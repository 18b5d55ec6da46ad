#ifndef FARFAULT_LIB_CLI_PAGER_PAGED_GUEST_H_
#define FARFAULT_LIB_CLI_PAGER_PAGED_GUEST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/session.h"
#include "lib/cli/give_way.h"
#include "lib/cli/terminal/progress_bar.h"

namespace farfault {

/// What a pager was told to do with each guest.
struct PagerOptions {
  std::string socket;            ///< Where hypervisors come to.
  std::string cloud_hypervisor;  ///< Where a Cloud Hypervisor waits that receives; instead of `socket`.
  std::string migration;         ///< The folder with what is sent to it.
  bool paused = false;           ///< Its guest is left paused.
  std::string from;              ///< The source listens there,
  std::string listen;            ///< or comes here.
  std::string key;
  int nice = kGivesWay;
  std::string state;        ///< File for a pager that follows this one; empty: none.
  std::string record;       ///< Write the order of faults there; empty: nowhere.
  std::string working_set;  ///< Read this order ahead of demand; empty: none.
  bool populate = false;    ///< Before the source comes.
  bool rest = false;        ///< Read what is left, too.
  bool once = false;
  bool json = false;
  absl::Duration wait = absl::Hours(24 * 365);  ///< For the source.
  absl::Duration patience = absl::Seconds(10);  ///< For a handshake.
};

/// How one guest fared.
struct PagerReport {
  std::string guest;
  std::string source;
  SessionStats stats;
  absl::Duration elapsed;
  bool taken_over = false;
  std::uint64_t requests = 0;  ///< Of Cloud Hypervisor.
  absl::Status end;            ///< OK: every page is here.
};

/// One guest on its way from its source: what is the same whoever the hypervisor is. One thread.
class PagedGuest {
 public:
  PagedGuest(const PagerOptions& options, ProgressBar& bar) : options_(options), bar_(bar) {}

  /// The regions of the source that listens, or, when the source comes to us, the one that the guest says it is.
  absl::StatusOr<std::vector<RemoteRegion>> FindSource(const std::string& name, std::uint64_t bytes,
                                                       std::uint64_t page_size);

  /// Up to the moment when the guest may run.
  absl::Status Attach(GuestMemory memory, const std::string& state_file);
  /// Until every page is here, something fails, or `stopped` says so (kCancelled); then the record is written.
  absl::Status Page(const std::function<bool()>& stopped);

  const DestinationSession* session() const { return session_.get(); }
  SessionStats Stats() const { return session_ == nullptr ? SessionStats{} : session_->Stats(); }

 private:
  SessionOptions CommonOptions();
  absl::Status Prefetch();
  absl::Status Record() const;

  const PagerOptions& options_;
  ProgressBar& bar_;
  std::uint64_t pages_ = 0;
  std::uint64_t page_size_ = 0;
  std::unique_ptr<DestinationSession> session_;
  bool told_waiting_ = false;
  bool met_ = false;  // The source.
};

/// As one JSON object.
std::string ReportAsJson(const PagerReport& report);
/// As a table.
std::string ReportAsTable(const PagerReport& report);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_PAGED_GUEST_H_
