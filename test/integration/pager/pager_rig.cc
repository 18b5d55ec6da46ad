#include "test/integration/pager/pager_rig.h"

#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "lib/util/splitmix.h"
#include "test/integration/cli/command.h"
#include "test/support/guest_process.h"

namespace farfault {

ServedImage::ServedImage(std::uint64_t bytes, const std::vector<std::string>& serve_arguments) : bytes_(bytes) {
  std::string draft = std::filesystem::temp_directory_path() / "farfault-pager-XXXXXX";
  REQUIRE(mkdtemp(draft.data()) != nullptr);
  folder_ = draft;
  SplitMix64 random(bytes);
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.Next();
    std::memcpy(bytes_.data() + at, &word, sizeof(word));
  }
  std::ofstream(path("image"), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes_.data()), static_cast<std::streamsize>(bytes));
  std::vector<std::string> arguments = {"serve", path("image"), "--listen", "tcp://127.0.0.1:0"};
  arguments.insert(arguments.end(), serve_arguments.begin(), serve_arguments.end());
  serve_.emplace(Farfault(arguments));
  REQUIRE(serve_->WaitForErr("waiting for a destination at ", kPatience));
  const std::string err = serve_->Err();
  const std::size_t begin = err.find("tcp://");
  address_ = err.substr(begin, err.find(' ', begin) - begin);
}

ServedImage::~ServedImage() {
  serve_.reset();
  std::filesystem::remove_all(folder_);
}

std::span<const std::byte> ServedImage::page(std::uint64_t page) const {
  return std::span(bytes_).subspan(page * 4096, 4096);
}

std::uint64_t ServedImage::Sum(std::uint64_t page) const { return HashPage(this->page(page)); }

std::vector<std::string> ServedImage::PagerCommand(const std::vector<std::string>& more) const {
  std::vector<std::string> arguments = {"pager", "--socket", socket(), "--from", address_};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Farfault(arguments);
}

nlohmann::json ReportOf(const CommandProcess& process) {
  INFO(process.Out() << process.Err());
  const nlohmann::json json = nlohmann::json::parse(process.Out(), nullptr, false);
  REQUIRE_FALSE(json.is_discarded());
  return json;
}

}  // namespace farfault
