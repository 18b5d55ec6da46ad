#include "lib/cli/option_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "farfault/predictor.h"
#include "farfault/version.h"
#include "lib/cli/terminal/units.h"
#include "lib/transport/transport_registry.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr std::size_t kMaxKey = 4096;

[[noreturn]] void Refuse(const std::string& name, std::string_view why) {
  throw CLI::ValidationError(name, std::string(why));
}

/// Those that reach another process.
std::string OtherTransports() {
  return absl::StrReplaceAll(std::string(TransportNames()), {{"sim ", ""}, {" sim", ""}});
}

}  // namespace

CLI::Option* AddBytes(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            const absl::StatusOr<std::uint64_t> bytes = ParseBytes(text);
            if (!bytes.ok()) Refuse(name, std::string(StatusText(bytes.status())));
            value = *bytes;
          },
          help)
      ->type_name("SIZE");
}

CLI::Option* AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
            if (!duration.ok()) Refuse(name, std::string(StatusText(duration.status())));
            value = *duration;
          },
          help)
      ->type_name("TIME");
}

CLI::Validator MoreThanZero(const std::string& remedy) {
  return CLI::Validator(
      [remedy](const std::string& text) {
        const bool zero = text.starts_with('0') && text.find_first_of("123456789") == std::string::npos;
        return zero ? "\"" + text + "\" is not more than zero: " + remedy : std::string();
      },
      "");
}

CLI::Option* AddPredictor(CLI::App& app, const std::string& name, std::string& value) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            const auto predictor = MakePredictor(text);
            if (!predictor.ok()) Refuse(name, std::string(StatusText(predictor.status())));
            value = text;
          },
          fmt::format("Order of the push (farfault predictors lists them; default {})", value))
      ->type_name("NAME");
}

bool IsTransport(std::string_view scheme) {
  const std::vector<std::string> known = absl::StrSplit(std::string(TransportNames()), ' ');
  return std::find(known.begin(), known.end(), scheme) != known.end();
}

CLI::Option* AddAddress(CLI::App& app, const std::string& name, std::string& value, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            const std::size_t end = text.find("://");
            if (text.starts_with("verbs://") && !IsTransport("verbs")) {
              Refuse(name, fmt::format("\"{}\": {}", text, LacksTransport("verbs")));
            }
            if (end == std::string::npos || !IsTransport(text.substr(0, end)) || end + 3 == text.size()) {
              Refuse(name, fmt::format("\"{}\" is not an address: write it like tcp://192.0.2.7:7000 (transports of "
                                       "this build: {})",
                                       text, OtherTransports()));
            }
            if (text.starts_with("sim://")) {
              Refuse(name, fmt::format("\"{}\" reaches nobody: sim:// joins two sides of one process, and the other "
                                       "side of this is another one; write an address like tcp://127.0.0.1:7000 "
                                       "(`farfault demo --transport sim` shows sim://)",
                                       text));
            }
            if (absl::Status status = CheckAddress(text); !status.ok()) Refuse(name, std::string(StatusText(status)));
            value = text;
          },
          help)
      ->type_name("ADDRESS");
}

CLI::Option* AddOutputFile(CLI::App& app, const std::string& name, std::string& value, OutputCheck check,
                           const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, &value, check](const std::string& path) {
            if (absl::Status writable = check(path); !writable.ok()) Refuse(name, StatusText(writable));
            value = path;
          },
          help)
      ->type_name("FILE");
}

CLI::Option* AddKeyFile(CLI::App& app, std::string& key) {
  return app
      .add_option_function<std::string>(
          "--key-file",
          [&key](const std::string& path) {
            std::ifstream file(path, std::ios::binary);
            if (!file) Refuse("--key-file", fmt::format("cannot read \"{}\": check its name and rights", path));
            key.assign(std::istreambuf_iterator<char>(file), {});
            if (key.empty() || key.size() > kMaxKey) {
              Refuse("--key-file", fmt::format("\"{}\" holds {} bytes: a key has 1 to {}", path, key.size(), kMaxKey));
            }
          },
          "File with the secret that both ends share")
      ->type_name("FILE");
}

}  // namespace farfault
