#include "lib/cli/terminal/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"

namespace farfault {
namespace {

constexpr std::size_t kLabelColumns = 30;
constexpr std::size_t kBarColumns = 30;
constexpr std::size_t kShortestBar = 4;
// As wide as they get: " ▕▏ 100 %  1.00 GiB of 1.00 GiB  1.00 GiB/s".
constexpr std::size_t kFigureColumns = 43;
constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kPlainLine = absl::Seconds(5);
constexpr absl::Duration kPlainStep = absl::Seconds(2);

std::string Bar(double share, std::size_t columns) {
  // Eighths of a block, so that the bar moves smoothly.
  static constexpr std::string_view kEighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const std::size_t eighths = static_cast<std::size_t>(share * static_cast<double>(columns * 8));
  std::string bar;
  for (std::size_t i = 0; i < columns; ++i) {
    bar += eighths >= (i + 1) * 8 ? "█" : i == eighths / 8 ? kEighths[eighths % 8] : " ";
  }
  return bar;
}

std::string Rate(const Progress& progress) {
  const double seconds = absl::ToDoubleSeconds(progress.elapsed);
  if (seconds < 0.05) return "";
  return fmt::format("  {}/s", FormatBytes(static_cast<std::uint64_t>(static_cast<double>(progress.done) / seconds)));
}

/// Cuts after `columns` code points.
std::string Clip(std::string_view text, std::size_t columns) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && seen++ == columns)
      return std::string(text.substr(0, i));
  }
  return std::string(text);
}

}  // namespace

std::string RenderProgress(const Progress& progress, std::size_t columns) {
  const std::size_t label_columns = std::max(kLabelColumns, DisplayWidth(progress.label));
  std::string line = progress.label + std::string(label_columns - DisplayWidth(progress.label), ' ');
  if (progress.total == 0) {
    if (progress.done > 0) line += fmt::format("  {}{}", FormatBytes(progress.done), Rate(progress));
    return Clip(line, columns);
  }
  const double share =
      static_cast<double>(std::min(progress.done, progress.total)) / static_cast<double>(progress.total);
  const std::size_t taken = label_columns + kFigureColumns;
  const std::size_t bar_columns = std::clamp(columns > taken ? columns - taken : 0, kShortestBar, kBarColumns);
  line += fmt::format(" ▕{}▏ {:3.0f} %  {} of {}{}", Bar(share, bar_columns), share * 100, FormatBytes(progress.done),
                      FormatBytes(progress.total), Rate(progress));
  return Clip(line, columns);
}

ProgressBar::Style ProgressBar::StyleFor(std::FILE* out, bool silent) {
  if (silent) return Style::kSilent;
  return isatty(fileno(out)) == 1 ? Style::kBar : Style::kLines;
}

ProgressBar::ProgressBar(Style style, std::FILE* out) : style_(style), out_(out) {}

std::size_t ProgressBar::Columns() const { return ColumnsOf(out_).value_or(101) - 1; }

void ProgressBar::Update(std::string_view label, std::uint64_t done, std::uint64_t total, Clock::time_point now) {
  if (style_ == Style::kSilent) return;
  MutexLock lock(&mutex_);
  const bool new_step = label_ != label;
  const bool shown = drawn_label_ == label;
  if (new_step) {
    label_ = label;
    step_began_ = now;
  }
  // A bar shows every step, however short; lines are for those who read them afterwards.
  const absl::Duration pause = style_ == Style::kBar ? kRedraw : shown ? kPlainLine : kPlainStep;
  const bool due = !last_drawn_ || absl::FromChrono(now - *last_drawn_) >= pause;
  if (!due && !(new_step && style_ == Style::kBar)) return;
  last_drawn_ = now;
  drawn_label_ = label;
  const Progress progress{label_, done, total, absl::FromChrono(now - step_began_)};
  if (style_ == Style::kBar) {
    Write(fmt::format("\r\033[K{}", RenderProgress(progress, Columns())));
    on_screen_ = true;
  } else if (new_step || total == 0) {
    Write(fmt::format("{}\n", label_));
  } else {
    Write(fmt::format("{}: {} of {}\n", label_, FormatBytes(done), FormatBytes(total)));
  }
}

void ProgressBar::Say(std::string_view line) {
  if (style_ == Style::kSilent) return;
  MutexLock lock(&mutex_);
  ClearLocked();
  Write(fmt::format("{}\n", line));
}

void ProgressBar::Clear() {
  MutexLock lock(&mutex_);
  ClearLocked();
}

// A terminal that has closed must not end what goes on: fmt::print would throw.
void ProgressBar::Write(std::string_view text) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), out_));
  static_cast<void>(std::fflush(out_));
}

void ProgressBar::ClearLocked() {
  if (!on_screen_) return;
  Write("\r\033[K");
  on_screen_ = false;
}

}  // namespace farfault
