#ifndef FARFAULT_LIB_TRANSPORT_TCP_FRAME_TEXT_H_
#define FARFAULT_LIB_TRANSPORT_TCP_FRAME_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "lib/transport/tcp/tcp_frame.h"

// Frames in the words of errors.
namespace farfault {

std::string_view FrameName(FrameType type);

/// The peer's text, fit for a terminal.
std::string Printable(const std::byte* bytes, std::size_t count);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_FRAME_TEXT_H_
