#include "test/integration/cli/served_file.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <span>

#include "lib/cli/sha256.h"
#include "lib/util/splitmix.h"
#include "test/integration/cli/command.h"

namespace farfault {

TemporaryFile::TemporaryFile(std::size_t bytes, const std::string& name)
    : path_(std::filesystem::temp_directory_path() / ("farfault-" + std::to_string(getpid()) + "-" + name)) {
  SplitMix64 random(bytes + 1);
  contents_.resize(bytes);
  for (char& c : contents_) c = static_cast<char>(random.Next());
  std::ofstream(path_, std::ios::binary) << contents_;
}

TemporaryFile::~TemporaryFile() { std::filesystem::remove(path_); }

std::string TemporaryFile::sha256() const { return Sha256(std::as_bytes(std::span(contents_)), nullptr).value(); }

std::string AddressOf(CommandProcess& serve) {
  const std::string waiting = "waiting for a destination at ";
  REQUIRE(serve.WaitForErr(waiting, kPatience));
  const std::string err = serve.Err();
  const std::size_t begin = err.find(waiting) + waiting.size();
  return err.substr(begin, err.find_first_of(" \n", begin) - begin);
}

}  // namespace farfault
