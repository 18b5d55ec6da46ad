#ifndef FARFAULT_LIB_CLI_FETCH_REPORT_H_
#define FARFAULT_LIB_CLI_FETCH_REPORT_H_

#include <cstdint>
#include <string>

#include "farfault/stats.h"
#include "lib/cli/image_name.h"

namespace farfault {

/// What `farfault fetch` has come to.
struct Fetched {
  ImageName name;
  std::string sha256;
  std::string pattern;
  SessionStats stats;
  std::string path;  ///< The text of EventKind::kConnected.
  std::int64_t nanoseconds = 0;
};

/// As one JSON object.
std::string FetchedAsJson(const Fetched& fetched);
/// As a table.
std::string FetchedAsTable(const Fetched& fetched);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_FETCH_REPORT_H_
