"""The rivals' times relative to ours as bars, one panel for each size, out of benchmarks/results/step_*.json.

python benchmarks/step_chart.py benchmarks/results/step_cpu.json docs/images/step.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pinnx.report.picture import CURVES, GRAY, INK, new_figure, to_png

__all__ = ["draw_step"]

OURS = CURVES[0][0]
RIVAL = "#aab4bf"
BEST = CURVES[1][0]


def draw_step(result: Mapping[str, Any], path: Path) -> None:
    """Writes the picture; the best rival of each size has a colour of its own.

    Raises:
        ValueError: the result compared nobody.
    """
    cases = [case for case in result["cases"] if case["part"] == "rivals"]
    if not cases:
        raise ValueError("step chart: expected cases of part 'rivals', got none")
    left_out = [item["name"] for item in result["extra"]["left_out"] if item["size"] is not None]
    names = list(dict.fromkeys([*(c["name"] for case in cases for c in case["candidates"]), *left_out]))
    figure = new_figure(4.0 + 2.6 * len(cases), 0.9 + 0.34 * len(names))
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for ax, case in zip(panels, cases, strict=True):
        _panel(ax, case, names)
    panels[0].set_yticks(range(len(names)), names, color=INK, fontsize=9)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel("time of a step relative to ours (log scale)", color=INK, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_png(figure, dpi=150))


def _panel(ax: Axes, case: Mapping[str, Any], names: list[str]) -> None:
    ratios = {c["name"]: c["speed_of_first"]["median"] for c in case["candidates"]}
    rivals = {name: ratio for name, ratio in ratios.items() if "pinn_ext" not in name}
    best = min(rivals, key=rivals.__getitem__, default="")
    # A logarithmic axis has no zero to start from; the bars grow out of a line a little left of the shortest.
    origin = 0.7 * min(ratios.values())
    for row, name in enumerate(names):
        if name not in ratios:
            ax.text(1.0, row, "not compared", va="center", fontsize=8, color=GRAY, style="italic")
            continue
        color = BEST if name == best else RIVAL if name in rivals else OURS
        ax.barh(row, ratios[name] - origin, left=origin, height=0.68, color=color)
        label = f"{1e3 * case['candidates'][0]['time_s']['median']:.3g} ms" if row == 0 else f"{ratios[name]:.1f}x"
        ax.text(ratios[name] * 1.08, row, label, va="center", fontsize=8, color=INK)
    ax.set_xscale("log")
    ax.set_xlim(origin, 2.2 * max(ratios.values()))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axvline(1.0, color=GRAY, lw=0.8, ls=(0, (2, 3)))
    size = case["size"]
    ax.set_title(f"{size['n']:,} points, width {size['width']}", color=INK, fontsize=11)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GRAY)
    ax.tick_params(colors=INK, labelsize=9, left=False)
    ax.grid(True, axis="x", which="major", color="#dfe4ea", linewidth=0.8)
    ax.set_axisbelow(True)


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    draw_step(json.loads(options.result.read_text(encoding="utf-8")), options.picture)


if __name__ == "__main__":
    main()
