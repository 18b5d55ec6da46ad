#include "lib/cli/demo/throughput_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "lib/cli/demo/report.h"
#include "lib/cli/terminal/units.h"

namespace farfault {
namespace {

constexpr double kWidth = 960, kLeft = 76, kRight = 24, kTop = 66, kPanel = 104, kGap = 46, kBottom = 48;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kSecondsBefore = 0.5;
constexpr std::array<std::string_view, 4> kColours = {"#1f77b4", "#d95f02", "#2a9d5c", "#8e44ad"};

struct Axes {
  double first = -kSecondsBefore;
  double last = 0;
  double most = 0;
  double X(double seconds) const { return kLeft + (seconds - first) / (last - first) * kPlotWidth; }
};

/// 1, 2 or 5 times a power of ten: the first that divides `range` into at most `most` steps.
double NiceStep(double range, double most) {
  const double power = std::pow(10, std::floor(std::log10(range / most)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (range / (factor * power) <= most) return factor * power;
  }
  return 10 * power;
}

Axes CommonAxes(const std::vector<MethodResult>& results) {
  Axes axes;
  for (const MethodResult& result : results) {
    const Throughput throughput = ThroughputOf(result);
    const double after = static_cast<double>(throughput.per_second.size() - throughput.switchover);
    axes.last = std::max(axes.last, after * Throughput::kInterval / 1e9);
    for (const double rate : throughput.per_second) axes.most = std::max(axes.most, rate);
  }
  axes.last = std::max(axes.last, 0.5);
  axes.most = std::max(axes.most, 1.0);
  return axes;
}

std::string Text(double x, double y, std::string_view style, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style, text);
}

std::string Line(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2, style);
}

std::string Rate(double rate) { return rate >= 1000 ? fmt::format("{:g} k", rate / 1000) : fmt::format("{:g}", rate); }

class Panel {
 public:
  Panel(const MethodResult& result, const Axes& axes, double top, std::string_view colour)
      : result_(result), axes_(axes), top_(top), colour_(colour), throughput_(ThroughputOf(result)) {}

  std::string Render() const { return Grid() + Areas() + Marks() + Title(); }

 private:
  double Y(double rate) const { return top_ + kPanel - rate / (axes_.most * 1.08) * kPanel; }

  std::string Grid() const {
    std::string out;
    const double step = NiceStep(axes_.most, 3);
    for (double rate = 0; rate <= axes_.most; rate += step) {
      out += Line(kLeft, Y(rate), kWidth - kRight, Y(rate), rate == 0 ? "class=\"axis\"" : "class=\"grid\"");
      out += Text(kLeft - 8, Y(rate) + 4, "class=\"tick\" text-anchor=\"end\"", Rate(rate));
    }
    return out;
  }

  std::string Area(std::size_t from, std::size_t to, std::string_view colour) const {
    std::string path;
    double x = 0;
    for (std::size_t i = from; i < to; ++i) {
      const double begin =
          (static_cast<double>(i) - static_cast<double>(throughput_.switchover)) * Throughput::kInterval / 1e9;
      if (begin < axes_.first - 1e-9) continue;
      const double y = Y(throughput_.per_second[i]);
      if (path.empty()) path = fmt::format("M{:.1f} {:.1f}", axes_.X(begin), top_ + kPanel);
      x = axes_.X(begin + Throughput::kInterval / 1e9);
      path += fmt::format("L{:.1f} {:.1f}L{:.1f} {:.1f}", axes_.X(begin), y, x, y);
    }
    if (path.empty()) return path;
    return fmt::format(
        "<path d=\"{0}L{1:.1f} {2:.1f}Z\" fill=\"{3}\" fill-opacity=\"0.22\" stroke=\"{3}\" stroke-width=\"1.4\" "
        "stroke-linejoin=\"round\"/>\n",
        path, x, top_ + kPanel, colour);
  }

  std::string Areas() const {
    return Area(0, throughput_.switchover, "#8a8f98") +
           Area(throughput_.switchover, throughput_.per_second.size(), colour_);
  }

  std::string Marks() const {
    const double resident = static_cast<double>(result_.destination.resident_at - result_.source.stopped_at) / 1e9;
    std::string out = Line(axes_.X(0), top_ - 6, axes_.X(0), top_ + kPanel, "class=\"switch\"");
    if (resident <= axes_.last) {
      out += Line(axes_.X(resident), top_ - 6, axes_.X(resident), top_ + kPanel, "class=\"resident\"");
      const bool left = axes_.X(resident) > kWidth - kRight - 110;
      out += Text(axes_.X(resident) + (left ? -5 : 5), top_ + 6,
                  left ? "class=\"mark\" text-anchor=\"end\"" : "class=\"mark\"", "every page is there");
    }
    return out;
  }

  std::string Title() const {
    const DestinationReport& there = result_.destination;
    const std::string facts =
        fmt::format("downtime {} · total time {} · {} network faults · stall p99 {} · {} moved",
                    FormatNanos(there.resumed_at - result_.source.stopped_at), FormatNanos(TotalTime(result_)),
                    FormatCount(there.faults_network), FormatNanos(there.stall_ns.p99), FormatBytes(there.bytes));
    return fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"method\"><tspan font-weight=\"600\" fill=\"{}\">{}</tspan>"
        "<tspan dx=\"12\" class=\"facts\">{}</tspan></text>\n",
        kLeft, top_ - 13, colour_, result_.method.title, facts);
  }

  const MethodResult& result_;
  const Axes& axes_;
  const double top_;
  const std::string_view colour_;
  const Throughput throughput_;
};

std::string TimeAxis(const Axes& axes, double bottom) {
  std::string out;
  const double step = NiceStep(axes.last - axes.first, 10);
  for (double t = std::ceil(axes.first / step) * step; t <= axes.last + 1e-9; t += step) {
    out += Line(axes.X(t), bottom, axes.X(t), bottom + 5, "class=\"axis\"");
    out += Text(axes.X(t), bottom + 19, "class=\"tick\" text-anchor=\"middle\"",
                std::abs(t) < 1e-9 ? "switchover" : fmt::format("{:g} s", std::round(t * 1000) / 1000));
  }
  return out;
}

constexpr std::string_view kStyle =
    "<style>text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#24292f}"
    ".title{font-size:17px;font-weight:600}.sub,.facts,.tick,.mark{font-size:12px;fill:#57606a}.mark{font-size:11px}"
    ".method{font-size:14px}.grid{stroke:#d8dee4;stroke-width:1}.axis{stroke:#8a8f98;stroke-width:1}"
    ".switch{stroke:#24292f;stroke-width:1.2}.resident{stroke:#57606a;stroke-width:1;stroke-dasharray:3 3}</style>\n";

}  // namespace

std::string PlotThroughput(const std::vector<MethodResult>& results, const std::string& subtitle) {
  const Axes axes = CommonAxes(results);
  const double panels = static_cast<double>(results.size());
  const double bottom = kTop + kGap / 2 + panels * kPanel + (panels - 1) * kGap;
  const double height = bottom + kBottom;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" role=\"img\">\n{2}<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\" rx=\"6\"/>\n",
      kWidth, height, kStyle);
  svg += Text(kLeft, 28, "class=\"title\"", "Answers per second of a program whose memory moves away under it");
  svg += Text(kLeft, 47, "class=\"sub\"", subtitle);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const double top = kTop + kGap / 2 + static_cast<double>(i) * (kPanel + kGap);
    svg += Panel(results[i], axes, top, kColours[i % kColours.size()]).Render();
  }
  svg += TimeAxis(axes, bottom) + Text(kLeft, bottom + 40, "class=\"mark\"", kTotalTimeIs);
  return svg + "</svg>\n";
}

}  // namespace farfault
