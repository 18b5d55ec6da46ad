#ifndef FARFAULT_LIB_CLI_CONNECTION_JSON_H_
#define FARFAULT_LIB_CLI_CONNECTION_JSON_H_

#include <nlohmann/json.hpp>
#include <string_view>

#include "farfault/stats.h"

namespace farfault {

/// What this side has moved over each rail; empty without rails.
inline nlohmann::json RailsToJson(const SessionStats& stats) {
  nlohmann::json rails = nlohmann::json::array();
  for (const RailStats& rail : stats.rails) {
    rails.push_back({{"path", rail.path}, {"bytes_read", rail.bytes_read}, {"bytes_written", rail.bytes_written}});
  }
  return rails;
}

/// What carried a session. `path` is the text of its EventKind::kConnected, empty over what has no devices.
inline nlohmann::json ConnectionToJson(std::string_view path, const SessionStats& stats) {
  return {{"path", path},
          {"mtu", stats.mtu},
          {"reads_at_once", stats.reads_at_once},
          {"inline_bytes", stats.inline_bytes},
          {"demand_queue", stats.demand_queue},
          {"push_queue", stats.push_queue},
          {"rails", RailsToJson(stats)}};
}

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_CONNECTION_JSON_H_
