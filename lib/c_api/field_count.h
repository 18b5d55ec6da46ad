#ifndef FARFAULT_LIB_C_API_FIELD_COUNT_H_
#define FARFAULT_LIB_C_API_FIELD_COUNT_H_

#include <cstddef>
#include <type_traits>
#include <utility>

namespace farfault {

/// More fields than any struct has.
inline constexpr std::size_t kMostFields = 64;

/// Stands for a value of whatever type a field has; never made.
struct AnyField {
  template <typename Field>
  operator Field() const;  // NOLINT(google-explicit-constructor): to become any field by itself is what it is for
};

template <typename T, std::size_t... indexes>
consteval bool TakesFields(std::index_sequence<indexes...>) {
  return requires { T{(static_cast<void>(indexes), AnyField())...}; };
}

/// How many fields an aggregate has: as many as can be given a value in braces. A base class counts as one, an array as
/// many as it has elements.
template <typename T, std::size_t count = kMostFields>
  requires std::is_aggregate_v<T>
consteval std::size_t FieldCount() {
  if constexpr (TakesFields<T>(std::make_index_sequence<count>())) {
    static_assert(count < kMostFields, "raise kMostFields");
    return count;
  } else {
    return FieldCount<T, count - 1>();
  }
}

}  // namespace farfault

#endif  // FARFAULT_LIB_C_API_FIELD_COUNT_H_
