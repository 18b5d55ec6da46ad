#include "lib/transport/rails/rail_channel.h"

namespace farfault {

WorkRequest RailChannel::Translate(const WorkRequest& request) const {
  WorkRequest translated = request;
  if (!request.inline_data) translated.local_key = keys_.LocalKey(rail_.index, request.local_key);
  if (request.opcode != Opcode::kSend) translated.remote_key = keys_.PeersKey(rail_.index, request.remote_key);
  return translated;
}

PostResult RailChannel::Post(std::span<const WorkRequest> chain) {
  if (chain.size() > translated_.size()) return channel_->broken() ? PostResult::kBroken : PostResult::kFull;
  for (std::size_t i = 0; i < chain.size(); ++i) translated_[i] = Translate(chain[i]);
  const PostResult result = channel_->Post(std::span(translated_).first(chain.size()));
  if (result == PostResult::kOk) Count(chain);
  return result;
}

void RailChannel::Count(std::span<const WorkRequest> chain) {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  for (const WorkRequest& request : chain) {
    if (request.opcode == Opcode::kRead) read += request.length;
    if (request.opcode == Opcode::kWrite) written += request.length;
  }
  if (read > 0) rail_.bytes_read.fetch_add(read, std::memory_order_relaxed);
  if (written > 0) rail_.bytes_written.fetch_add(written, std::memory_order_relaxed);
}

std::string RailChannel::path() const {
  std::string path = channel_->path();
  return path.empty() ? rail_.address : path;
}

}  // namespace farfault
