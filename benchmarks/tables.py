"""Markdown tables out of the JSON files of benchmarks/results, for the README and docs/performance.md.

python benchmarks/tables.py kernels results/kernels_cpu.json
python benchmarks/tables.py reconstructions results/reconstruct_*.json      (metrics.json of finished runs)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    parser.add_argument("table", choices=("kernels", "reconstructions"))
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    if options.table == "kernels":
        rows = list(kernel_rows(json.loads(options.files[0].read_text(encoding="utf-8"))))
        print(markdown(("kernel", "part", *("small", "medium", "large")[: len(rows[0]) - 2]), rows))
    else:
        header = ("case", *COLUMNS, "steps", "training", "steps/s")
        print(markdown(header, [reconstruction_row(path) for path in options.files]))


if __name__ == "__main__":
    main()
