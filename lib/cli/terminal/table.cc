#include "lib/cli/terminal/table.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace farfault {
namespace {

constexpr std::size_t kGap = 2;

std::string RenderLine(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - DisplayWidth(cells[i]), ' ');
    if (i > 0) line.append(kGap, ' ');
    line += i == 0 ? cells[i] + padding : padding + cells[i];
  }
  absl::StripTrailingAsciiWhitespace(&line);
  return line + "\n";
}

}  // namespace

std::size_t DisplayWidth(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::optional<std::size_t> ColumnsOf(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

Table::Table(const std::vector<std::string>& headings) : widths_(headings.size()) {
  std::vector<std::vector<std::string>> split;
  std::size_t lines = 1;
  for (const std::string& heading : headings) {
    split.push_back(absl::StrSplit(heading, '\n'));
    lines = std::max(lines, split.back().size());
  }
  // Headings stand on the rule: a short one is padded from above.
  for (std::size_t line = 0; line < lines; ++line) {
    std::vector<std::string> cells;
    for (const std::vector<std::string>& parts : split) {
      const std::size_t above = lines - parts.size();
      cells.push_back(line < above ? "" : parts[line - above]);
    }
    for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], DisplayWidth(cells[i]));
    heading_lines_.push_back(std::move(cells));
  }
}

void Table::AddRow(std::vector<std::string> cells) {
  assert(cells.size() <= widths_.size());
  cells.resize(widths_.size());
  for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], DisplayWidth(cells[i]));
  rows_.push_back(std::move(cells));
}

std::size_t Table::width() const {
  const std::size_t gaps = widths_.empty() ? 0 : kGap * (widths_.size() - 1);
  return std::accumulate(widths_.begin(), widths_.end(), gaps);
}

std::string Table::Render() const {
  std::string out;
  for (const std::vector<std::string>& line : heading_lines_) out += RenderLine(line, widths_);
  for (std::size_t i = 0; i < width(); ++i) out += "─";
  out += '\n';
  for (const std::vector<std::string>& row : rows_) out += RenderLine(row, widths_);
  return out;
}

}  // namespace farfault
