#ifndef FARFAULT_LIB_CLI_IMAGE_NAME_H_
#define FARFAULT_LIB_CLI_IMAGE_NAME_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace farfault {

/// Regions hold whole pages; how long a served file really is travels in its region's name, "image.bin#12345".
struct ImageName {
  std::string file;
  std::uint64_t bytes = 0;
};

/// Only the file's own name, shortened at the front where it is too long for a region's name.
std::string MakeImageName(std::string_view path, std::uint64_t bytes);

/// Takes names of other origin as they are: then the whole region is the image. So it is when the length cannot be
/// that of a file in a region of so many bytes.
ImageName ParseImageName(std::string_view region_name, std::uint64_t region_bytes, std::uint64_t page_size);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_IMAGE_NAME_H_
