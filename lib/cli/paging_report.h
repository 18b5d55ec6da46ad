#ifndef FARFAULT_LIB_CLI_PAGING_REPORT_H_
#define FARFAULT_LIB_CLI_PAGING_REPORT_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "farfault/stats.h"

// What a destination has come to, as every command that pages prints it.
namespace farfault {

/// An object: faults, how long they stalled, and how the pages came.
nlohmann::json PagingToJson(const SessionStats& stats);

/// What stands around the columns that are the same everywhere.
struct PagingRow {
  std::string heading;  ///< Of the first column.
  std::string name;
  std::int64_t nanoseconds = 0;
  std::string last_heading;
  std::string last;
};

/// A table of one row.
std::string PagingAsTable(const PagingRow& row, const SessionStats& stats);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGING_REPORT_H_
