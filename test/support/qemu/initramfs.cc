#include "test/support/qemu/initramfs.h"

#include <fmt/format.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string_view>

namespace farfault {
namespace {

void Pad(std::string& archive) { archive.resize((archive.size() + 3) / 4 * 4, '\0'); }

void Add(std::string& archive, std::string_view name, std::uint32_t mode, std::string_view bytes) {
  // Magic, then inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name with its NUL, check.
  archive += fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                         archive.size() + 1, mode, 0, 0, 1, 0, bytes.size(), 0, 0, 0, 0, name.size() + 1, 0);
  archive.append(name).push_back('\0');
  Pad(archive);
  archive.append(bytes);
  Pad(archive);
}

}  // namespace

absl::Status WriteInitramfs(const std::string& path, const std::string& program) {
  std::ifstream in(program, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  if (!in) return absl::UnavailableError(fmt::format("the guest's program {} cannot be read", program));
  std::string archive;
  Add(archive, "init", 0100755, bytes.str());
  Add(archive, "TRAILER!!!", 0, "");
  std::ofstream out(path, std::ios::binary);
  out << archive;
  if (!out.flush()) return absl::UnavailableError(fmt::format("the initramfs {} cannot be written", path));
  return absl::OkStatus();
}

}  // namespace farfault
