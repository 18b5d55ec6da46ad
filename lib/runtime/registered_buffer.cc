#include "lib/runtime/registered_buffer.h"

#include <fmt/format.h>

#include <utility>

#include "lib/util/status_text.h"

namespace farfault {

absl::StatusOr<RegisteredBuffer> RegisteredBuffer::Create(Transport& transport, std::size_t bytes,
                                                          RemoteAccess access) {
  auto memory = Mapping::Anonymous(bytes);
  if (!memory.ok()) {
    return absl::ResourceExhaustedError(
        fmt::format("no memory for {} bytes of buffers and tables: {}", bytes, StatusText(memory.status())));
  }
  auto registration = transport.Register(memory->bytes(), access);
  if (!registration.ok()) return registration.status();
  return RegisteredBuffer(*std::move(memory), *std::move(registration));
}

}  // namespace farfault
