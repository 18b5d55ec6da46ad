#ifndef FARFAULT_TEST_QEMU_SCENE_H_
#define FARFAULT_TEST_QEMU_SCENE_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "test/support/command_process.h"
#include "test/support/qemu/qemu_machine.h"

namespace farfault {

/// The report of a migration that has to succeed.
nlohmann::json RequireMoved(CommandProcess& migration, const QemuMachine& destination);
/// The guest goes on for `more_rounds` visits to its memory and has found nothing wrong in it since it began.
void CheckRunsWell(const QemuMachine& machine, std::uint64_t more_rounds);
/// The command has failed (exit status 1), and says all of `words`.
void CheckRefused(CommandProcess& command, const std::vector<std::string>& words);

/// A guest, and everything that moving it needs: a pager and a destination per move. The case is skipped (in CI: fails)
/// where there is no QEMU.
class Scene {
 public:
  /// Of an emulated guest too, whose every step takes minutes.
  static constexpr absl::Duration kPatience = absl::Minutes(8);
  /// A guest of an emulated guest has taken two minutes to boot where nothing else ran, and six where much did.
  static constexpr absl::Duration kBootPatience = absl::Minutes(10);

  /// Where pagers listen; the system chooses the port.
  explicit Scene(std::string listen = "tcp://127.0.0.1:0");
  ~Scene();

  /// A small guest that runs and has visited its memory once.
  std::unique_ptr<QemuMachine> StartGuest(const QemuMachine::Spec& spec);
  /// A pager that waits for a QEMU, and then for a source.
  std::unique_ptr<CommandProcess> StartPager(const std::vector<std::string>& more = {});
  /// The one that follows the last, which had `--state`: takes its guest over, and waits for a source where that did.
  std::unique_ptr<CommandProcess> StartNextPager(const std::vector<std::string>& more = {});
  /// A QEMU that waits for the guest, paged by `pager`, the last one.
  std::unique_ptr<QemuMachine> StartDestination(QemuMachine::Spec spec, CommandProcess& pager);
  /// Where the last pager waits for a source.
  const std::string& pager_address() const { return pager_address_; }
  /// `farfault qemu-migrate` from the one to the other, by the last pager.
  std::unique_ptr<CommandProcess> Migrate(const QemuMachine& source, const QemuMachine& destination,
                                          const std::vector<std::string>& more = {});

  /// `farfault qemu-migrate --resume` with the last pager.
  std::unique_ptr<CommandProcess> Resume(const std::vector<std::string>& more);

  QemuMachine::Spec Spec(const std::string& name) const;
  /// A file of the scene's.
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
  std::string listen_;
  std::string pager_socket_;
  std::string pager_address_ = "tcp://127.0.0.1:1";  // Until a pager has said its own.
  int pagers_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_QEMU_SCENE_H_
