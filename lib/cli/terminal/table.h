#ifndef FARFAULT_LIB_CLI_TERMINAL_TABLE_H_
#define FARFAULT_LIB_CLI_TERMINAL_TABLE_H_

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace farfault {

/// Columns a terminal needs to show UTF-8 text (one per code point).
std::size_t DisplayWidth(std::string_view text);

/// Of the terminal that this goes to; nothing when it goes elsewhere.
std::optional<std::size_t> ColumnsOf(std::FILE* out);

/// A table that lines up: the first column to the left, the others to the right, under a rule.
class Table {
 public:
  /// A heading with a line break takes two lines.
  explicit Table(const std::vector<std::string>& headings);

  /// Short rows are filled up with empty cells; surplus cells are an error of the caller.
  void AddRow(std::vector<std::string> cells);

  /// Columns that the widest line takes.
  std::size_t width() const;

  /// Every line ends with a newline and has no trailing spaces.
  std::string Render() const;

 private:
  std::vector<std::vector<std::string>> heading_lines_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_TERMINAL_TABLE_H_
