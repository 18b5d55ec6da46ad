#!/usr/bin/env python3
"""Draws the ratios of a benchmark report against their limits.

    farfault_bench engine --json | bench/plot_ratios.py ratios.png
    bench/plot_ratios.py --check      # whether it could draw here

Every ratio is shown as a share of its limit, so that all fit one axis: the bar is the median, the line through it
reaches from the low to the high quartile, and the vertical line is the limit.
"""
import importlib.util
import json
import os
import sys

SYSTEM_PYTHON = "/usr/bin/python3"


def is_upper_bound(ratio):
    """`holds` and the numbers tell on which side of its limit a ratio has to lie."""
    return (ratio["value"] <= ratio["limit"]) == ratio["holds"]


def require_matplotlib():
    """A python3 of one's own may come first in PATH and not know the packages of the system's."""
    if importlib.util.find_spec("matplotlib"):
        return
    if sys.executable != SYSTEM_PYTHON and os.path.exists(SYSTEM_PYTHON):
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON, *sys.argv])
    sys.exit("plotting needs matplotlib: apt-get install python3-matplotlib (or: pip install matplotlib)")


def draw(report, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ratios = [ratio for ratio in report["ratios"] if ratio["value"] is not None and ratio["limit"] > 0]
    if not ratios:
        sys.exit("the report has no ratio to draw")
    ratios.reverse()  # The first one on top.
    figure, axes = pyplot.subplots(figsize=(10, 1.2 + 0.55 * len(ratios)), layout="constrained")
    for row, ratio in enumerate(ratios):
        share = [ratio[key] / ratio["limit"] for key in ("value", "low", "high")]
        color = "tab:green" if ratio["holds"] else "tab:red"
        axes.barh(row, share[0], color=color, alpha=0.6, height=0.6)
        axes.plot(share[1:], [row, row], color="black", marker="|", linewidth=1.5)
        sign = "≤" if is_upper_bound(ratio) else "≥"
        text = f'{ratio["value"]:.3g}  (limit {sign} {ratio["limit"]:g})'
        axes.annotate(text, (max(share), row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(ratios)), [ratio["name"] for ratio in ratios])
    axes.set_xlabel("share of the limit (≤: must stay left of the line, ≥: must reach it); line: low to high")
    axes.set_title(f'farfault bench {report["group"]}')
    axes.set_xlim(0, 1.35 * max(1.0, *(max(r["value"], r["high"]) / r["limit"] for r in ratios)))
    figure.savefig(path, dpi=150)


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    require_matplotlib()
    if sys.argv[1] == "--check":
        return
    draw(json.load(sys.stdin), sys.argv[1])


if __name__ == "__main__":
    main()
