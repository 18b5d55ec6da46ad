#ifndef FARFAULT_LIB_TRANSPORT_SIM_BUFFER_POOL_H_
#define FARFAULT_LIB_TRANSPORT_SIM_BUFFER_POOL_H_

#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace farfault::sim {

/// Bytes on the wire. Buffers are kept by size class, so that a busy wire stops allocating. One thread at a time.
class BufferPool {
 public:
  struct Buffer {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size_class = 0;
  };

  Buffer Take(std::size_t length) {
    const std::size_t size_class = static_cast<std::size_t>(std::bit_width(length | 63));
    std::vector<std::unique_ptr<std::byte[]>>& free = free_[size_class];
    if (free.empty()) {
      return {std::make_unique_for_overwrite<std::byte[]>(std::size_t{1} << size_class), size_class};
    }
    Buffer buffer{std::move(free.back()), size_class};
    free.pop_back();
    return buffer;
  }

  void Return(Buffer buffer) {
    if (buffer.bytes != nullptr) free_[buffer.size_class].push_back(std::move(buffer.bytes));
  }

 private:
  std::array<std::vector<std::unique_ptr<std::byte[]>>, 65> free_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_BUFFER_POOL_H_
