#include "lib/session/control_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <string_view>
#include <utility>

#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr std::size_t kMaxFailureText = 1024;
static_assert(kMaxWireRails == kMaxRails);

absl::Status Lost(const Channel& channel) {
  return absl::UnavailableError(fmt::format("the connection to the peer is lost{}", Because(channel.failure())));
}

}  // namespace

ControlLink::ControlLink(Channel& channel, std::span<std::byte> buffers, std::uint32_t buffers_key)
    : channel_(channel), buffers_(buffers), buffers_key_(buffers_key) {
  assert(buffers.size() >= kBufferBytes);
  for (std::uint64_t id = 0; id < kReceives; ++id) PostReceive(id);
}

void ControlLink::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void ControlLink::PostReceive(std::uint64_t id) {
  const PostResult result = channel_.PostReceive(id, ReceiveBuffer(id), buffers_key_);
  if (result != PostResult::kOk && result != PostResult::kBroken) Fail(Lost(channel_));
}

void ControlLink::Send(MessageType type, std::span<const std::byte> payload) {
  if (keys_ != nullptr) SendNewKeys();
  Queue(type, payload);
  PostSends();
}

void ControlLink::SendNewKeys() {
  const std::vector<RailKeys> news = keys_->Registered(keys_sent_);
  std::vector<WireRailKeys> wire;
  for (std::size_t begin = 0; begin < news.size(); begin += wire.size()) {
    wire.clear();
    for (const RailKeys& keys : std::span(news).subspan(begin, std::min(kMaxRailKeysPerMessage, news.size() - begin))) {
      wire.push_back({keys.key, keys.on_rail});
    }
    Queue(MessageType::kRailKeys, std::as_bytes(std::span(wire)));
  }
}

bool ControlLink::LearnKeys(std::span<const std::byte> payload) {
  if (payload.empty() || payload.size() % sizeof(WireRailKeys) != 0) {
    Fail(absl::DataLossError("the peer's keys for its rails make no sense; is it another version of farfault?"));
    return false;
  }
  std::vector<RailKeys> keys;
  for (; !payload.empty(); payload = payload.subspan(sizeof(WireRailKeys))) {
    WireRailKeys entry;
    std::memcpy(&entry, payload.data(), sizeof(entry));
    keys.push_back({entry.key, entry.on_rail});
  }
  keys_->Learn(keys);
  return true;
}

void ControlLink::Queue(MessageType type, std::span<const std::byte> payload) {
  assert(payload.size() <= kMaxPayload);
  const MessageHeader header{.type = static_cast<std::uint16_t>(type),
                             .length = static_cast<std::uint32_t>(payload.size())};
  std::vector<std::byte> message(sizeof(header) + payload.size());
  std::memcpy(message.data(), &header, sizeof(header));
  std::copy(payload.begin(), payload.end(), message.begin() + sizeof(header));
  outbox_.push_back(std::move(message));
}

void ControlLink::SendRuns(MessageType type, std::span<const PageRun> runs) {
  std::vector<WireRun> wire;
  for (std::size_t begin = 0; begin < runs.size(); begin += kMaxRunsPerMessage) {
    wire.clear();
    for (const PageRun& run : runs.subspan(begin, std::min(kMaxRunsPerMessage, runs.size() - begin))) {
      wire.push_back({run.first, run.count});
    }
    Send(type, std::as_bytes(std::span(wire)));
  }
}

std::vector<std::byte> EncodeFailure(const absl::Status& status) {
  const FailureMessage head{static_cast<std::uint32_t>(status.raw_code())};
  const std::string_view text(status.message().data(), std::min(status.message().size(), kMaxFailureText));
  std::vector<std::byte> payload(sizeof(head) + text.size());
  std::memcpy(payload.data(), &head, sizeof(head));
  std::memcpy(payload.data() + sizeof(head), text.data(), text.size());
  return payload;
}

void ControlLink::PostSends() {
  while (!outbox_.empty() && sends_in_use_ < kSends) {
    const std::vector<std::byte>& message = outbox_.front();
    const std::span<std::byte> buffer = SendBuffer(next_send_);
    std::copy(message.begin(), message.end(), buffer.begin());
    const WorkRequest request{.opcode = Opcode::kSend,
                              .signaled = true,
                              .id = next_send_,
                              .local = buffer.data(),
                              .length = static_cast<std::uint32_t>(message.size()),
                              .local_key = buffers_key_};
    const PostResult result = channel_.Post(request);
    // When it is broken Receive says so, once it has nothing else to say.
    if (result != PostResult::kOk) return;
    outbox_.pop_front();
    ++next_send_;
    ++sends_in_use_;
  }
}

void ControlLink::TakeBack() {
  if (!handed_out_) return;
  PostReceive(*handed_out_);
  handed_out_.reset();
}

std::optional<ControlMessage> ControlLink::Receive() {
  TakeBack();
  Completion completion;
  std::uint32_t learnt = 0;
  bool lost = false;
  do {
    // Asked first: what came before the peer broke it has come by then.
    lost = channel_.broken();
    // A peer that tells keys without end must not keep the caller here.
    while ((lost || learnt < kReceives) && NextCompletion(completion)) {
      // Behind a request that was lost there may be a message that was not: why the peer hung up, for one.
      if (completion.status != CompletionStatus::kOk) continue;
      if (completion.opcode != Opcode::kReceive) {
        --sends_in_use_;
        continue;
      }
      const std::optional<ControlMessage> message = Decode(completion);
      const bool is_keys = message && message->type == MessageType::kRailKeys && keys_ != nullptr;
      if (!is_keys) return message;
      if (!LearnKeys(message->payload)) return std::nullopt;
      TakeBack();
      ++learnt;
    }
  } while (!lost && channel_.broken());
  PostSends();
  if (lost) Fail(Lost(channel_));
  return std::nullopt;
}

bool ControlLink::NextCompletion(Completion& completion) {
  if (arrived_.empty()) return channel_.Poll(std::span(&completion, 1)) == 1;
  completion = arrived_.front();
  arrived_.pop_front();
  return true;
}

bool ControlLink::StillConnected() {
  Completion completion;
  while (channel_.Poll(std::span(&completion, 1)) == 1 && completion.status == CompletionStatus::kOk) {
    if (completion.opcode == Opcode::kReceive) {
      arrived_.push_back(completion);
    } else {
      --sends_in_use_;
    }
  }
  PostSends();
  return !channel_.broken();
}

std::optional<ControlMessage> ControlLink::Decode(const Completion& completion) {
  const std::span<const std::byte> buffer = ReceiveBuffer(completion.id).first(completion.length);
  MessageHeader header;
  if (buffer.size() >= sizeof(header)) std::memcpy(&header, buffer.data(), sizeof(header));
  if (buffer.size() < sizeof(header) || header.magic != kWireMagic || header.length != buffer.size() - sizeof(header)) {
    Fail(
        absl::DataLossError("the peer sent a control message that makes no sense; is it another version of farfault?"));
    return std::nullopt;
  }
  handed_out_ = completion.id;
  return ControlMessage{static_cast<MessageType>(header.type), buffer.subspan(sizeof(header))};
}

std::optional<std::vector<PageRun>> DecodeRuns(std::span<const std::byte> payload) {
  if (payload.size() % sizeof(WireRun) != 0) return std::nullopt;
  std::vector<PageRun> runs;
  for (std::size_t at = 0; at < payload.size(); at += sizeof(WireRun)) {
    WireRun run;
    std::memcpy(&run, payload.data() + at, sizeof(run));
    runs.push_back({run.first, run.count});
  }
  return runs;
}

absl::Status DecodeFailure(std::span<const std::byte> payload) {
  FailureMessage head;
  if (payload.size() < sizeof(head)) return absl::UnknownError("the peer failed without a reason");
  std::memcpy(&head, payload.data(), sizeof(head));
  std::string text(reinterpret_cast<const char*>(payload.data()) + sizeof(head),
                   std::min(payload.size() - sizeof(head), kMaxFailureText));
  // It ends up on a terminal.
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  const auto code =
      head.code >= 1 && head.code <= 16 ? static_cast<absl::StatusCode>(head.code) : absl::StatusCode::kUnknown;
  return absl::Status(code, fmt::format("the peer says: {}", text));
}

}  // namespace farfault
