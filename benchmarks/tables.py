"""Markdown tables out of the JSON files of benchmarks/results, for the README and docs/performance.md.

python benchmarks/tables.py kernels results/kernels_cpu.json
python benchmarks/tables.py step results/step_cpu.json
python benchmarks/tables.py goals results/step_cpu.json                      (or sensors_cpu.json)
python benchmarks/tables.py memory results/memory_cpu.json
python benchmarks/tables.py reconstructions results/reconstruct_*.json      (metrics.json of finished runs)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from step_goals import Goal, goals

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
    if "goals" not in result["extra"]:
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
    parser.add_argument("table", choices=("kernels", "step", "goals", "memory", "reconstructions"))
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    if options.table == "reconstructions":
        header = ("case", *COLUMNS, "steps", "training", "steps/s")
        print(markdown(header, [reconstruction_row(path) for path in options.files]))
        return
    result = json.loads(options.files[0].read_text(encoding="utf-8"))
    if options.table == "step":
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
