#include "lib/cli/workload/checksum.h"

#include <array>
#include <cstring>

namespace farfault {
namespace {

__extension__ using Uint128 = unsigned __int128;

constexpr std::array<std::uint64_t, 5> kSecrets = {0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3,
                                                   0x589965cc75374cc3, 0x1d8e4e27c47d124f};

std::uint64_t Fold(std::uint64_t a, std::uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t Load(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

}  // namespace

std::uint64_t Checksum(std::span<const std::byte> bytes) {
  // Two lanes of sixteen bytes each keep the multiplier busy.
  std::uint64_t a = Fold(bytes.size() ^ kSecrets[0], kSecrets[1]);
  std::uint64_t b = a ^ kSecrets[4];
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 32; left -= 32, at += 32) {
    a = Fold(Load(at) ^ kSecrets[1], Load(at + 8) ^ a);
    b = Fold(Load(at + 16) ^ kSecrets[2], Load(at + 24) ^ b);
  }
  if (left > 0) {
    std::array<std::byte, 32> tail{};
    std::memcpy(tail.data(), at, left);
    a = Fold(Load(tail.data()) ^ kSecrets[1], Load(tail.data() + 8) ^ a);
    b = Fold(Load(tail.data() + 16) ^ kSecrets[2], Load(tail.data() + 24) ^ b);
  }
  return Fold(a ^ kSecrets[3], b ^ kSecrets[0]);
}

std::uint64_t Checksum(std::initializer_list<std::uint64_t> words) {
  return Checksum(std::as_bytes(std::span(words.begin(), words.size())));
}

}  // namespace farfault
