#ifndef FARFAULT_LIB_CLI_OPTION_TYPES_H_
#define FARFAULT_LIB_CLI_OPTION_TYPES_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

// Options whose values have units or come from a list: what is wrong with them is said before anything is started.
namespace farfault {

CLI::Option* AddBytes(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& help);
CLI::Option* AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help);
/// Refuses a number that is all zeros, whatever its unit, with what to do instead.
CLI::Validator MoreThanZero(const std::string& remedy);
/// A specification for `MakePredictor`.
CLI::Option* AddPredictor(CLI::App& app, const std::string& name, std::string& value);
/// "tcp://HOST:PORT" and the like, of a process that is not this one: never sim://.
CLI::Option* AddAddress(CLI::App& app, const std::string& name, std::string& value, const std::string& help);
/// The name of a file whose contents are the pre-shared key.
CLI::Option* AddKeyFile(CLI::App& app, std::string& key);

/// A file that is written at the end; `check` (lib/cli/output_file.h) says whether it can be.
using OutputCheck = absl::Status (*)(const std::string& path);
CLI::Option* AddOutputFile(CLI::App& app, const std::string& name, std::string& value, OutputCheck check,
                           const std::string& help);

/// Whether `scheme` is among `TransportNames()`.
bool IsTransport(std::string_view scheme);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_OPTION_TYPES_H_
