#ifndef FARFAULT_TEST_UNIT_CLI_QEMU_FAKE_QMP_H_
#define FARFAULT_TEST_UNIT_CLI_QEMU_FAKE_QMP_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "lib/util/unique_fd.h"

namespace farfault {

/// A monitor that says what a test wants it to say, to one client.
class FakeQmp {
 public:
  /// The lines to say when `command` has come, none for silence. Runs on a thread of this object.
  using Answers = std::function<std::vector<std::string>(const nlohmann::json& command)>;
  /// Instead of a line: hangs up.
  static constexpr const char* kHangUp = "";

  static std::string Greeting();
  /// What a QEMU says that has nothing to object to.
  static std::string Answer(const nlohmann::json& command, const nlohmann::json& returned = nlohmann::json::object());
  static std::string Refusal(const nlohmann::json& command, const std::string& why,
                             const std::string& error_class = "GenericError");

  FakeQmp(std::string greeting, Answers answers);
  ~FakeQmp();

  const std::string& path() const { return path_; }

 private:
  void Run();
  bool Say(int client, const std::string& line);

  const std::string greeting_;
  const Answers answers_;
  std::string path_;
  UniqueFd listener_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_UNIT_CLI_QEMU_FAKE_QMP_H_
