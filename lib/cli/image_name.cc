#include "lib/cli/image_name.h"

#include <algorithm>
#include <charconv>

#include "farfault/guest_memory.h"

namespace farfault {

std::string MakeImageName(std::string_view path, std::uint64_t bytes) {
  const std::string suffix = "#" + std::to_string(bytes);
  std::string_view file = path.substr(path.find_last_of('/') + 1);
  const std::size_t room = kMaxRegionName - suffix.size();
  if (file.size() > room) file.remove_prefix(file.size() - room);
  return std::string(file) + suffix;
}

ImageName ParseImageName(std::string_view region_name, std::uint64_t region_bytes, std::uint64_t page_size) {
  const std::size_t mark = region_name.rfind('#');
  if (mark == std::string_view::npos) return {std::string(region_name), region_bytes};
  const std::string_view digits = region_name.substr(mark + 1);
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || bytes > region_bytes || region_bytes - bytes >= page_size) {
    return {std::string(region_name), region_bytes};
  }
  return {std::string(region_name.substr(0, mark)), bytes};
}

}  // namespace farfault
