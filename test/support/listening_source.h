#ifndef FARFAULT_TEST_SUPPORT_LISTENING_SOURCE_H_
#define FARFAULT_TEST_SUPPORT_LISTENING_SOURCE_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "farfault/farfault.h"
#include "test/support/session_pair.h"

namespace farfault {

/// A source that listens on a free port (SessionListenAddress), made on a thread of its own since that waits for the
/// peer.
class ListeningSource {
 public:
  /// Returns when the port is known. The image outlives this object.
  ListeningSource(GuestImage& image, SourceOptions options);
  ~ListeningSource() { Join().IgnoreError(); }

  const std::string& address() const { return address_; }
  /// Waits until the session has been made, or could not be.
  absl::Status Join();
  /// After Join has returned OK.
  SourceSession& session() { return *session_; }

 private:
  std::thread thread_;
  std::string address_;
  absl::Status status_;
  std::unique_ptr<SourceSession> session_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_LISTENING_SOURCE_H_
