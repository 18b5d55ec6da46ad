#ifndef FARFAULT_LIB_C_API_STRUCTS_H_
#define FARFAULT_LIB_C_API_STRUCTS_H_

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "absl/status/status.h"
#include "farfault/c/options.h"
#include "farfault/c/stats.h"
#include "lib/c_api/status.h"

// Structs that begin with struct_size, as programs of other versions pass them; the rules are those that Linux's
// copy_struct_from_user() has for structs of system calls.
namespace farfault {

/// How large `T` was in the version that introduced it: no program can know less. A struct that grows gets a
/// specialisation with its old size.
template <typename T>
inline constexpr std::size_t kFirstSize = sizeof(T);
template <>
inline constexpr std::size_t kFirstSize<farfault_destination_options> = 56;
template <>
inline constexpr std::size_t kFirstSize<farfault_stats> = 200;

template <typename T>
concept SizedStruct = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> && offsetof(T, struct_size) == 0;

/// Sets as much of `*given` as fits into `size` bytes to `defaults`, further bytes to zero.
template <SizedStruct T>
void WriteDefaults(T defaults, T* given, std::size_t size) {
  if (given == nullptr || size < sizeof(defaults.struct_size)) return;
  defaults.struct_size = size;
  std::memset(static_cast<void*>(given), 0, size);
  std::memcpy(static_cast<void*>(given), &defaults, std::min(size, sizeof(T)));
}

template <SizedStruct T>
absl::Status CheckSize(const T* given, const char* name) {
  if (absl::Status set = NotNull(given, name); !set.ok()) return set;
  if (given->struct_size >= kFirstSize<T>) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{}: struct_size is {}, but the struct has {} bytes or more; give the struct its value with its init "
                  "function, or zero it and set struct_size to its sizeof",
                  name, given->struct_size, kFirstSize<T>));
}

inline bool AllZero(const void* bytes, std::size_t size) {
  const auto* const first = static_cast<const unsigned char*>(bytes);
  return std::all_of(first, first + size, [](unsigned char byte) { return byte == 0; });
}

/// Copies what a caller passed over `known`, which holds the defaults.
template <SizedStruct T>
absl::Status ReadStruct(const T* given, const char* name, T* known) {
  if (absl::Status checked = CheckSize(given, name); !checked.ok()) return checked;
  const std::size_t size = given->struct_size;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(given);
  if (size > sizeof(T) && !AllZero(bytes + sizeof(T), size - sizeof(T))) {
    return absl::UnimplementedError(fmt::format(
        "{}: a field behind the {} bytes that this version of the library knows is set (struct_size is {}); "
        "link a newer library, or leave it zero",
        name, sizeof(T), size));
  }
  std::memcpy(static_cast<void*>(known), given, std::min(size, sizeof(T)));
  if constexpr (requires { known->reserved; }) {
    if (!AllZero(&known->reserved, sizeof(known->reserved))) {
      return absl::InvalidArgumentError(fmt::format("{}: reserved is not 0", name));
    }
  }
  if constexpr (requires { known->reserved_end; }) {
    if (!AllZero(&known->reserved_end, sizeof(known->reserved_end))) {
      return absl::InvalidArgumentError(fmt::format("{}: reserved_end is not 0", name));
    }
  }
  return absl::OkStatus();
}

/// Copies `known` into what a caller passed, as much of it as the caller knows; further bytes become zero. After a
/// CheckSize that was OK.
template <SizedStruct T>
void WriteStruct(const T& known, T* given) {
  WriteDefaults(known, given, given->struct_size);
}

}  // namespace farfault

#endif  // FARFAULT_LIB_C_API_STRUCTS_H_
