#ifndef FARFAULT_TEST_SUPPORT_QEMU_QMP_PROXY_H_
#define FARFAULT_TEST_SUPPORT_QEMU_QMP_PROXY_H_

#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// Stands between a QEMU's monitor and its client, and does to some commands what a QEMU may do to any. One client
/// after the other, each with a connection of its own to QEMU. The methods are for one thread; say what is to happen
/// before the client sends the command.
class QmpProxy {
 public:
  /// Listens at `path`, and connects to `qemu` when somebody comes.
  QmpProxy(std::string path, std::string qemu);
  ~QmpProxy();

  const std::string& path() const { return path_; }

  /// QEMU does not hear of `command`; the client hears that it is refused.
  void Refuse(const std::string& command) { Set(command, Treatment::kRefuse); }
  /// QEMU carries `command` out, and its answer comes when the client has sent another.
  void AnswerLate(const std::string& command) { Set(command, Treatment::kAnswerLate); }
  /// QEMU hears of `command` when Release is called, and nobody hears anything until then.
  void Hold(const std::string& command) { Set(command, Treatment::kHold); }
  /// QEMU does not hear of `command`, and nobody answers.
  void Swallow(const std::string& command) { Set(command, Treatment::kSwallow); }
  /// The first line of QEMU's that has `words` in it reaches the client when Release is called, and nobody hears
  /// anything until then.
  void HoldAnswer(const std::string& words);
  /// How often `command` has come.
  int Count(const std::string& command);
  bool WaitUntilHeld(absl::Duration timeout);
  void Release();

 private:
  enum class Treatment { kPass, kRefuse, kAnswerLate, kHold, kSwallow };

  void Set(const std::string& command, Treatment treatment);
  Treatment CountAndTreat(const std::string& command);
  void Run();
  void Serve(int client, int qemu);
  bool FromClient(const std::string& line, int client, int qemu);
  bool FromQemu(const std::string& line, int client);
  bool MustHold(const std::string& line);
  bool WaitForRelease();

  const std::string path_;
  const std::string qemu_path_;
  UniqueFd listener_;
  UniqueFd stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Treatment> treatments_;
  std::map<std::string, int> counts_;
  std::string held_words_;  // Empty: none.
  bool held_ = false;
  bool released_ = false;
  bool stopping_ = false;
  nlohmann::json late_id_;  // The thread's alone, like the next.
  std::string late_answer_;
  std::thread thread_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_QEMU_QMP_PROXY_H_
