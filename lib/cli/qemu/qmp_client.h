#ifndef FARFAULT_LIB_CLI_QEMU_QMP_CLIENT_H_
#define FARFAULT_LIB_CLI_QEMU_QMP_CLIENT_H_

#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/util/deadline.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// A connection to QEMU's monitor in its machine protocol (QMP, docs/interop/qmp-spec). One command at a time; events
/// that come meanwhile are kept. One thread.
class QmpClient {
 public:
  /// Connects to the UNIX socket of `-qmp unix:PATH,server=on`. `who` names the QEMU in errors ("source").
  /// kUnavailable: nobody listens there, or another client is connected (QEMU serves one and lets the others wait);
  /// kInvalidArgument: what listens there does not speak QMP.
  static absl::StatusOr<QmpClient> Connect(std::string who, const std::string& path, absl::Duration timeout);

  /// Runs a command and returns what QEMU returned. kFailedPrecondition carries QEMU's own words; kUnimplemented: this
  /// QEMU does not have the command; neither has done anything. kUnavailable: QEMU has gone; kDeadlineExceeded: whether
  /// the command was or will be carried out is open, and its answer will be ignored.
  absl::StatusOr<nlohmann::json> Execute(const std::string& command, const nlohmann::json& arguments,
                                         absl::Duration timeout);
  absl::StatusOr<nlohmann::json> Execute(const std::string& command,
                                         const nlohmann::json& arguments = nlohmann::json::object()) {
    return Execute(command, arguments, kPatience);
  }

  /// The same, given up with kDeadlineExceeded as soon as `go_on`, which is asked now and then, says no.
  absl::StatusOr<nlohmann::json> ExecuteWhile(const std::string& command, absl::Duration timeout,
                                              absl::FunctionRef<bool()> go_on);

  /// The same for a command that QEMU's main loop need not be free for. kUnimplemented: this QEMU has no such thing.
  absl::StatusOr<nlohmann::json> ExecuteOutOfBand(const std::string& command, const nlohmann::json& arguments,
                                                  absl::Duration timeout);

  /// Waits until `event` has come since the last ForgetEvents and returns its data.
  absl::StatusOr<nlohmann::json> WaitFor(const std::string& event, absl::Duration timeout);
  /// The same, and returns when QEMU says that it happened, which is a time of day.
  absl::StatusOr<absl::Time> WaitForTime(const std::string& event, absl::Duration timeout);
  /// After `quit`: OK when QEMU has gone.
  absl::Status WaitUntilGone(absl::Duration timeout);
  void ForgetEvents() { events_.clear(); }
  /// Whether QEMU closes the connection within `patience`, or has, without asking it anything: it ends, or has ended.
  bool HasGone(absl::Duration patience) const;

  /// "7.2.22".
  const std::string& version() const { return version_; }
  const std::string& who() const { return who_; }

  /// What QEMU has said, after all, to the last refused command whose answer had been given up. OK: nothing.
  const absl::Status& late_refusal() const { return late_refusal_; }

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(30);  // A busy QEMU is not a dead one.
  static constexpr std::size_t kMaxMessage = 4u << 20;
  static constexpr std::size_t kMaxEvents = 4096;

  QmpClient(std::string who, UniqueFd fd) : who_(std::move(who)), fd_(std::move(fd)) {}

  absl::StatusOr<nlohmann::json> Ask(const char* how, const std::string& command, const nlohmann::json& arguments,
                                     absl::Duration timeout, absl::FunctionRef<bool()> go_on);
  absl::StatusOr<nlohmann::json> FindEvent(const std::string& event, absl::Duration timeout);
  absl::Status Greet(Deadline deadline);
  absl::Status Send(const nlohmann::json& message, Deadline deadline);
  absl::StatusOr<nlohmann::json> ReadMessage(Deadline deadline);
  absl::Status Gone(const char* what) const;

  std::string who_;
  UniqueFd fd_;
  std::string input_;
  std::string version_;
  bool out_of_band_ = false;
  std::int64_t last_id_ = 0;
  absl::Status late_refusal_;
  std::deque<nlohmann::json> events_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_QMP_CLIENT_H_
