#include "lib/transport/tcp/frame_text.h"

#include <algorithm>

namespace farfault {

std::string_view FrameName(FrameType type) {
  switch (type) {
    case FrameType::kWrite:
      return "WRITE";
    case FrameType::kRead:
      return "READ";
    case FrameType::kSend:
      return "SEND";
    case FrameType::kReadResponse:
      return "READ response";
    case FrameType::kProgress:
      return "progress";
    case FrameType::kRefusal:
      return "refusal";
  }
  return "unknown frame";
}

std::string Printable(const std::byte* bytes, std::size_t count) {
  std::string text(reinterpret_cast<const char*>(bytes), count);
  const auto unprintable = [](char c) { return c < ' ' || c > '~'; };
  std::replace_if(text.begin(), text.end(), unprintable, '?');
  return text;
}

}  // namespace farfault
