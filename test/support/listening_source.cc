#include "test/support/listening_source.h"

#include <future>
#include <utility>

#include "test/support/rdma.h"

namespace farfault {

ListeningSource::ListeningSource(GuestImage& image, SourceOptions options) {
  options.listen = SessionListenAddress();
  // Shared: the session keeps the listener for longer than this constructor lives.
  auto address = std::make_shared<std::promise<std::string>>();
  std::future<std::string> known = address->get_future();
  options.on_event = [address](const Event& event) {
    if (event.kind == EventKind::kListening) address->set_value(event.text);
  };
  thread_ = std::thread([this, &image, made = std::move(options)]() mutable {
    auto session = SourceSession::Create(image.memory(), std::move(made));
    status_ = session.status();
    if (session.ok()) session_ = *std::move(session);
  });
  address_ = known.get();
}

absl::Status ListeningSource::Join() {
  if (thread_.joinable()) thread_.join();
  return status_;
}

}  // namespace farfault
