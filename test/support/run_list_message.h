#ifndef FARFAULT_TEST_SUPPORT_RUN_LIST_MESSAGE_H_
#define FARFAULT_TEST_SUPPORT_RUN_LIST_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "lib/push/run_list.h"

namespace farfault {

/// A run list as the source sends it.
inline std::vector<std::byte> RunListMessage(std::uint64_t number, const std::vector<PageRun>& runs,
                                             std::uint32_t flags = 0) {
  const RunListHeader header{.flags = flags, .number = number, .runs = static_cast<std::uint32_t>(runs.size())};
  std::vector<std::byte> message(sizeof(header) + runs.size() * sizeof(RunListEntry));
  std::memcpy(message.data(), &header, sizeof(header));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunListEntry entry{runs[i].first, static_cast<std::uint32_t>(runs[i].count), 0};
    std::memcpy(message.data() + sizeof(header) + i * sizeof(entry), &entry, sizeof(entry));
  }
  return message;
}

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_RUN_LIST_MESSAGE_H_
