"""Goals, Markdown tables and a picture out of benchmarks/results/*.json, for the README and docs/performance.md.

python benchmarks/tables.py kernels results/kernels_cpu.json
python benchmarks/tables.py step results/step_cpu.json
python benchmarks/tables.py goals results/step_cpu.json                      (or sensors_cpu.json)
python benchmarks/tables.py memory results/memory_cpu.json
python benchmarks/tables.py chart results/step_cpu.json docs/images/step.png   (times relative to ours as bars)
python benchmarks/tables.py reconstructions results/reconstruct_*.json      (metrics.json of finished runs)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pinnx.report.panels import CURVES, GRAY, INK, new_figure, room_for, to_pixels, to_png

# By width; on a CPU, in float32, as all goals are. The larger the network, the less of it is anything but products.
SHARE = {64: 0.75, 128: 0.82, 256: 0.85}
AGAINST_NESTED = {64: 20.0, 128: 11.0, 256: 10.0}
AGAINST_BEST = 3.5
TWO_THREADS = 1.95
FLOAT64 = 0.45
OTHER_ISA_SHARE = 0.75
HEAT = 1.45
ODD = 1.5
NESTED = "PyTorch eager, nested autograd"

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One line: ``wanted`` is None where a figure is given for information; ``at_most`` says which way it counts."""

    what: str
    size: str
    measured: float
    unit: str
    wanted: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        if self.wanted is None:
            return None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def text(self, value: float) -> str:
        """With its unit."""
        if self.unit == "error":
            return f"{value:.0e}"
        if self.unit == "ratio":
            return f"{value:.4f}"
        if self.unit == "%":
            return f"{100 * value:.0f} %"
        return f"{value * 1e6:.0f} µs" if self.unit == "s" else f"{value:.2f}x"


def goals(result: Result) -> Iterator[Goal]:
    """All goals that the result has figures for."""
    on_cpu = result["machine"]["device"] == "cpu"
    for case in result["cases"]:
        yield from _GOALS_OF[case["part"]](case, on_cpu and case["size"]["width"] in SHARE)
    for isa, cases in result["extra"].get("instruction_sets", {}).items():
        for case in cases:
            share = case["candidates"][0]["share_of_limit"]
            held = case["size"]["width"] in SHARE
            yield Goal(f"share of the peak, {isa}", _size(case), share, "%", OTHER_ISA_SHARE if held else None)


def _of_rivals(case: Result, held: bool) -> Iterator[Goal]:
    yield _share(case, held)
    width, size = case["size"]["width"], _size(case)
    rivals = [(c["name"], c["speed_of_first"]["median"]) for c in case["candidates"] if "pinn_ext" not in c["name"]]
    for name, ratio in rivals:
        if name == NESTED:
            yield Goal(f"against {name}", size, ratio, "x", AGAINST_NESTED[width] if held else None)
    if rivals:
        name, ratio = min(rivals, key=lambda rival: rival[1])
        yield Goal(f"against the best rival ({name})", size, ratio, "x", AGAINST_BEST if held else None)
    composed = case["candidates"][1]["speed_of_first"]["median"]
    yield Goal("mlp_jet and residual in torch, time over the single pass", size, composed, "x")


def _of_ours(case: Result, held: bool) -> Iterator[Goal]:
    yield _share(case, held)


def _of_threads(case: Result, held: bool) -> Iterator[Goal]:
    every, one = case["candidates"]
    wanted = TWO_THREADS if held and every["name"] == "2 threads" else None
    yield Goal(f"{every['name']} against one", _size(case), one["speed_of_first"]["median"], "x", wanted)


def _of_float64(case: Result, held: bool) -> Iterator[Goal]:
    _, single = case["candidates"]
    wanted = FLOAT64 if held else None
    yield Goal("speed in float64, of float32's", _size(case), single["speed_of_first"]["median"], "x", wanted)
    if case["bound"] == "peak":  # torch's rate is measured in float32 alone
        yield Goal("share of the peak, float64", _size(case), case["candidates"][0]["share_of_limit"], "%")


def _of_heat(case: Result, held: bool) -> Iterator[Goal]:
    ratio = case["candidates"][1]["speed_of_first"]["median"]
    what = "heat equation in torch, time over the single pass"
    yield Goal(what, _size(case), ratio, "x", HEAT if held else None, at_most=True)


def _of_odd(case: Result, held: bool) -> Iterator[Goal]:
    even, odd = case["candidates"]
    ratio = even["gflop_per_s"] / odd["gflop_per_s"]
    what = f"time per operation, {odd['name']} over {even['name']}"
    yield Goal(what, _size(case), ratio, "x", ODD, at_most=True)


def _share(case: Result, held: bool) -> Goal:
    share = case["candidates"][0]["share_of_limit"]
    wanted = SHARE[case["size"]["width"]] if held else None
    return Goal(f"share of the {_limit(case)}", _size(case), share, "%", wanted)


def _limit(case: Result) -> str:
    return "peak" if case["bound"] == "peak" else "torch matmul"


def _size(case: Result) -> str:
    size = case["size"]
    return f"{size['n']:,} x {size['width']} x {size['layers']}"


_GOALS_OF = {
    "ours": _of_ours,
    "rivals": _of_rivals,
    "threads": _of_threads,
    "float64": _of_float64,
    "heat": _of_heat,
    "odd": _of_odd,
}


OURS = CURVES[0][0]
RIVAL = "#aab4bf"
BEST = CURVES[1][0]


def draw_step(result: Mapping[str, Any], path: Path) -> None:
    """Writes the picture; the best rival of each size has a colour of its own.

    Raises:
        ValueError: the result compared no candidates.
    """
    cases = [case for case in result["cases"] if case["part"] == "rivals"]
    if not cases:
        raise ValueError("step chart: expected cases of part 'rivals', got none")
    left_out = [item["name"] for item in result["extra"]["left_out"] if item["size"] is not None]
    names = list(dict.fromkeys([*(c["name"] for case in cases for c in case["candidates"]), *left_out]))
    size, gaps = (2.6, 0.34 * len(names)), [0.2] * len(cases)
    figure, (panels,) = new_figure(size, gaps, left=0.3 + room_for(names), bottom=0.6)
    for ax, case in zip(panels, cases, strict=True):
        _panel(ax, case, names)
        ax.set(yticks=(), ylim=(len(names) - 0.4, -0.6))
    panels[0].set_yticks(range(len(names)), names, color=INK, fontsize=9)
    figure.supxlabel("time of a step relative to ours (log scale)", color=INK, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_png(to_pixels(figure, 150), 150))


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


COLUMNS = ("speed", "u", "v", "p")


def kernel_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Per kernel and part: for each size our median time and how many times longer plain torch takes."""
    found: dict[tuple[str, str], list[str]] = {}
    for case in result["cases"]:
        ours, *rivals = case["candidates"]
        rival = next(item for item in rivals if item["name"] == "torch")
        time_us = ours["time_s"]["median"] * 1e6
        ratio = rival["speed_of_first"]["median"]
        found.setdefault((case["kernel"], case["part"]), []).append(f"{time_us:,.0f} µs, {ratio:.1f}x")
    for (kernel, part), cells in found.items():
        yield (f"`{kernel}`", part, *cells)


def step_header(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Sizes of the step, and what stands beside them."""
    sizes = [f"{case['size']['n']:,} x {case['size']['width']}" for case in _rival_cases(result)]
    return ("loss and all gradients", *sizes, "error")


def step_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Per candidate: time and how many times ours it is, at each size; its largest error; and why it is absent."""
    cases = _rival_cases(result)
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for column, case in enumerate(cases):
        for candidate in case["candidates"]:
            found.setdefault(candidate["name"], {})[column] = candidate
    left_out = [item for item in result["extra"]["left_out"] if item["size"] is not None]
    for name in dict.fromkeys([*found, *(item["name"] for item in left_out)]):
        reasons = {_key(item["size"]): item["reason"] for item in left_out if item["name"] == name}
        cells = []
        for column, case in enumerate(cases):
            candidate = found.get(name, {}).get(column)
            cells.append(_step_cell(candidate) if candidate else reasons.get(_key(case["size"]), ""))
        errors = [candidate["error"] for candidate in found.get(name, {}).values()]
        yield (name, *cells, f"{max(errors):.0e}" if errors else "")
    if all(case["peak_gflop_per_s"] for case in cases):
        yield ("arithmetic floor at the measured peak", *(_floor_cell(case) for case in cases), "")


def _rival_cases(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [case for case in result["cases"] if case["part"] == "rivals"]


def _key(size: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size.values())


def _step_cell(candidate: Mapping[str, Any]) -> str:
    return f"{milliseconds(candidate['time_s']['median'])}, {candidate['speed_of_first']['median']:.1f}x"


def _floor_cell(case: Mapping[str, Any]) -> str:
    floor_s = case["work"]["flops"] / case["peak_gflop_per_s"]["median"] / 1e9
    return f"{milliseconds(floor_s)}, {100 * case['candidates'][0]['share_of_limit']:.0f} % reached"


def milliseconds(seconds: float) -> str:
    """Three digits."""
    return f"{seconds * 1e3:,.0f} ms" if seconds >= 0.1 else f"{seconds * 1e3:.3g} ms"


GOAL_HEADER = ("figure", "size", "wanted", "measured", "")


def goal_rows(result: Mapping[str, Any], found: Iterable[Goal] | None = None) -> Iterator[tuple[str, ...]]:
    """Each figure beside what it is held to: those given, or kept in the result, or (of the step) made of it."""
    verdicts = {True: "met", False: "missed", None: ""}
    for goal in _goals_in(result) if found is None else found:
        wanted = "" if goal.wanted is None else f"{'<=' if goal.at_most else '>='} {goal.text(goal.wanted)}"
        yield (goal.what, goal.size, wanted, goal.text(goal.measured), verdicts[goal.met])


def _goals_in(result: Mapping[str, Any]) -> Iterable[Goal]:
    if result.get("benchmark") == "step" or "goals" not in result["extra"]:
        return goals(result)
    names = [field.name for field in fields(Goal)]
    return [Goal(**{name: row[name] for name in names}) for row in result["extra"]["goals"]]


MEMORY_HEADER = ("loss and all gradients", "memory", "time", "")


def memory_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Per candidate: peak above the inputs, and whether it was measured, extrapolated or neither."""
    for row in result["extra"]["memory"]:
        if row["bytes"] is None:
            yield (row["name"], "", "", row["reason"])
        elif row["extrapolated"]:
            points = " and ".join(f"{int(n):,}" for n in row["small"])
            yield (row["name"], f"~{row['bytes'] / 1e9:,.3g} GB", "", f"extrapolated from {points} points, not run")
        else:
            memory = f"{row['bytes'] / 1e6:.3g} MB" if row["bytes"] < 1e9 else f"{row['bytes'] / 1e9:.1f} GB"
            goal = row["goal_bytes"]
            verdict = f", <= {goal / 1e6:,.0f} MB {'met' if row['bytes'] <= goal else 'missed'}" if goal else ""
            yield (row["name"], memory, f"{row['seconds']:.1f} s", f"measured{verdict}")


def reconstruction_row(path: Path) -> tuple[str, ...]:
    """Errors, training time and rate of one run."""
    metrics = json.loads(path.read_text(encoding="utf-8"))
    errors = metrics["relative_l2"]
    shown = [f"{errors[name]:.3f}" if name in errors else "" for name in COLUMNS]
    name = path.stem.removeprefix("reconstruct_").replace("_", " ")
    rate = f"{metrics['steps_per_s']:.0f}"
    return (name, *shown, str(metrics["steps"]), f"{metrics['train_s']:.0f} s", rate)


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", choices=("kernels", "step", "goals", "memory", "reconstructions", "chart"))
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    if options.table == "reconstructions":
        header = ("case", *COLUMNS, "steps", "training", "steps/s")
        print(markdown(header, [reconstruction_row(path) for path in options.files]))
        return
    result = json.loads(options.files[0].read_text(encoding="utf-8"))
    if options.table == "chart":
        draw_step(result, options.files[1])
    elif options.table == "step":
        print(markdown(step_header(result), list(step_rows(result))))
    elif options.table == "goals":
        print(markdown(GOAL_HEADER, list(goal_rows(result))))
    elif options.table == "memory":
        print(markdown(MEMORY_HEADER, list(memory_rows(result))))
    else:
        rows = list(kernel_rows(result))
        print(markdown(("kernel", "part", *("small", "medium", "large")[: len(rows[0]) - 2]), rows))


if __name__ == "__main__":
    main()
