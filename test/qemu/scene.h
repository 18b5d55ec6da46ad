#ifndef FARFAULT_TEST_QEMU_SCENE_H_
#define FARFAULT_TEST_QEMU_SCENE_H_

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "test/support/command_process.h"
#include "test/support/qemu/qemu_machine.h"

namespace farfault {

/// A guest, and everything that moving it needs: a pager and a destination per move. The case is skipped (in CI: fails)
/// where there is no QEMU.
class Scene {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(180);

  Scene();
  ~Scene();

  /// A small guest that runs and has visited its memory once.
  std::unique_ptr<QemuMachine> StartGuest(QemuMachine::Spec spec);
  /// A pager that waits for a QEMU, and then for a source.
  std::unique_ptr<CommandProcess> StartPager(const std::vector<std::string>& more = {});
  /// A QEMU that waits for the guest, paged by `pager`, the last one.
  std::unique_ptr<QemuMachine> StartDestination(QemuMachine::Spec spec, CommandProcess& pager);
  /// `farfault qemu-migrate` from the one to the other, by the last pager.
  std::unique_ptr<CommandProcess> Migrate(const QemuMachine& source, const QemuMachine& destination,
                                          const std::vector<std::string>& more = {});

  QemuMachine::Spec Spec(const std::string& name) const;
  const std::string& pager_address() const { return pager_address_; }

 private:
  std::filesystem::path folder_;
  std::string pager_socket_;
  std::string pager_address_ = "tcp://127.0.0.1:1";  // Until a pager has said its own.
  int pagers_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_QEMU_SCENE_H_
