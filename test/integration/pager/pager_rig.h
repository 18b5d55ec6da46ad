#ifndef FARFAULT_TEST_INTEGRATION_PAGER_PAGER_RIG_H_
#define FARFAULT_TEST_INTEGRATION_PAGER_PAGER_RIG_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "test/support/command_process.h"

namespace farfault {

/// A folder, an image in it, and `farfault serve` that exports it.
class ServedImage {
 public:
  explicit ServedImage(std::uint64_t bytes, const std::vector<std::string>& serve_arguments = {});
  ~ServedImage();

  const std::string& address() const { return address_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// HashPage of a page as it must arrive.
  std::uint64_t Sum(std::uint64_t page) const;
  std::span<const std::byte> page(std::uint64_t page) const;
  std::uint64_t pages() const { return bytes_.size() / 4096; }
  CommandProcess& serve() { return *serve_; }

  /// `farfault pager --socket … --from …` with more arguments, when it listens.
  std::vector<std::string> PagerCommand(const std::vector<std::string>& more) const;
  std::string socket() const { return path("pager.sock"); }

 private:
  std::string folder_;
  std::vector<std::byte> bytes_;
  std::string address_;
  std::optional<CommandProcess> serve_;
};

/// The end of what the process has printed, as JSON.
nlohmann::json ReportOf(const CommandProcess& process);

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_PAGER_PAGER_RIG_H_
