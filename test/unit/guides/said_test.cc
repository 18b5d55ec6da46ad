#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

// The guides tell what is said when something is tried that does not work. The code has to say just that.
namespace farfault {
namespace {

const std::filesystem::path kRoot = FARFAULT_SOURCE_DIR;

std::string Contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What is said in `source`: literals that follow each other are one.
void AppendLiterals(std::string_view source, std::vector<std::string>* literals) {
  bool joins = false;  // Nothing but white space since the last one.
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source.substr(i, 2) == "//") i = std::min(source.find('\n', i), source.size());
    const char c = i < source.size() ? source[i] : '\n';
    if (c == '\'' && i > 0 && std::isalnum(static_cast<unsigned char>(source[i - 1])) == 0) {
      i += source[i + 1] == '\\' ? 3u : 2u;
    } else if (c == '"') {
      if (!joins) literals->emplace_back();
      for (++i; i < source.size() && source[i] != '"'; ++i) {
        if (source[i] == '\\') ++i;
        literals->back() += source[i];
      }
    }
    joins = c == '"' || (joins && std::isspace(static_cast<unsigned char>(c)) != 0);
  }
}

/// Its text without what is filled in.
std::vector<std::string> FixedParts(std::string_view literal) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < literal.size(); ++i) {
    const std::size_t end = literal[i] == '{' ? literal.find('}', i) : std::string_view::npos;
    if (end == std::string_view::npos) {
      parts.back() += literal[i];
    } else {
      i = end;
      parts.emplace_back();
    }
  }
  return parts;
}

/// Where all parts stand in `text` one behind the other, the characters of it that they are become spaces.
void TakeOut(const std::vector<std::string>& parts, const std::string& text, std::string* left) {
  std::vector<std::size_t> places;
  std::size_t from = 0;
  for (const std::string& part : parts) {
    places.push_back(text.find(part, from));
    if (places.back() == std::string::npos) return;
    from = places.back() + part.size();
  }
  for (std::size_t i = 0; i < parts.size(); ++i) left->replace(places[i], parts[i].size(), parts[i].size(), '\0');
}

class Code {
 public:
  Code() {
    std::vector<std::string> literals = {std::strerror(ENOENT), std::strerror(EPERM)};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / "lib")) {
      const std::string extension = entry.path().extension();
      if (extension == ".cc" || extension == ".h") AppendLiterals(Contents(entry.path()), &literals);
    }
    for (const std::string& literal : literals) {
      std::vector<std::string> parts = FixedParts(literal);
      const auto longest = std::max_element(
          parts.begin(), parts.end(), [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
      if (longest->size() >= kShortest) literals_.push_back(std::move(parts));
    }
  }

  /// What of `text` no literal of the code has, but for single words: names, numbers and paths are filled in.
  std::string NotSaid(const std::string& text) const {
    std::string left = text;
    for (const std::vector<std::string>& parts : literals_) TakeOut(parts, text, &left);
    std::string not_said;
    for (std::size_t begin = 0; begin < left.size();) {
      const std::size_t end = std::min(left.find('\0', begin), left.size());
      const std::string run = left.substr(begin, end - begin);
      if (std::count(run.begin(), run.end(), ' ') > 1) not_said += run + "\n";
      begin = end + 1;
    }
    return not_said;
  }

 private:
  static constexpr std::size_t kShortest = 6;
  std::vector<std::vector<std::string>> literals_;
};

/// The quotations in the column of a guide's tables that is headed "what is said".
std::vector<std::string> Quotations(const std::filesystem::path& guide) {
  std::vector<std::string> quotations;
  bool quoting = false;
  std::ifstream file(guide);
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with("| what is said |")) quoting = true;
    if (!line.starts_with("|")) quoting = false;
    if (!quoting || line.size() < 3) continue;
    const std::string cell = line.substr(line.rfind(" | ", line.size() - 3) + 3);
    for (std::size_t begin = cell.find('`'); begin != std::string::npos;) {
      const std::size_t end = cell.find('`', begin + 1);
      REQUIRE(end != std::string::npos);
      quotations.push_back(cell.substr(begin + 1, end - begin - 1));
      begin = cell.find('`', end + 1);
    }
  }
  return quotations;
}

TEST_CASE("the code says what the guides say it does") {
  const Code code;
  for (const char* const guide :
       {"lib/cli/pager/firecracker.md", "lib/cli/pager/cloud_hypervisor.md", "examples/kvm/README.md"}) {
    const std::vector<std::string> quotations = Quotations(kRoot / guide);
    CHECK(quotations.size() >= 8);
    for (const std::string& quotation : quotations) {
      INFO(guide << ": " << quotation);
      CHECK(code.NotSaid(quotation).empty());
    }
  }
  CHECK_FALSE(
      code.NotSaid("the guest has 4096 bytes of memory, the pager's image 8192: serve this guest's own image").empty());
  CHECK_FALSE(code.NotSaid("something that nobody says").empty());
}

}  // namespace
}  // namespace farfault
