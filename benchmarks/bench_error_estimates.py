"""How well the estimates of the error without a reference rank true errors: Spearman's correlation over short runs.

    PINNX_DATA=FOLDER python benchmarks/bench_error_estimates.py [--quick] [--cases NAME ...] [--out FILE.json]

Each case is trained from several seeds (of sensors, network and points) for several numbers of steps with the right
viscosity, and with one that is four times too large. The true error is the relative L2 error of the velocity. A
correlation is given over the runs of each case, with the right viscosity alone, and over all.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from results import write_runs
from scipy.stats import spearmanr

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct

__all__ = ["main"]

# Name: preset, file, viscosity.
CASES: dict[str, tuple[str, str | None, float]] = {
    "demo": ("demo", None, 0.02),
    "cavity re100": ("cavity", "ldc_re100_converged.npz", 1e-2),
    "cavity re1000": ("cavity", "ldc_re1000_converged.npz", 1e-3),
}
STEPS, SEEDS, WRONG = (60, 150, 400, 800), (0, 1), 4.0
SMALL = (
    *("model.width=32", "model.layers=3", "model.frequencies=16", "train.collocation_points=256"),
    *("evals.left_out=0.25", "evals.members=3", "evals.points=500", "report.frames=1", "report.dpi=20"),
    *("solver.beside=false", "solver.polish=false", "train.guard=null"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs all cases, prints a line for each run and the table, writes the JSON."""
    options = _parser().parse_args(arguments)
    steps, seeds = ((20,), SEEDS) if options.quick else (STEPS, SEEDS)
    runs: list[dict[str, Any]] = []
    for case in options.cases or (["demo"] if options.quick else CASES):
        plan = [(*pair, 1.0) for pair in product(steps, seeds)] + [(steps[-1], seed, WRONG) for seed in seeds]
        for number, seed, factor in plan:
            run = _run(case, number, seed, factor)
            runs.append(run)
            shown = ", ".join(f"{name} {value:.3g}" for name, value in run["estimates"].items())
            error = f"error {run['error']:.3g}; {shown}"
            print(f"{case}, {number} steps, seed {seed}, nu x {factor:g}: {error}", flush=True)
    print("\n".join(_table(runs)))
    if options.out is not None:
        write_runs(options.out, "error_estimates", __file__, arguments, runs)


def _run(case: str, steps: int, seed: int, factor: float) -> dict[str, Any]:
    preset, file, nu = CASES[case]
    words = [*SMALL, f"train.steps={steps}", f"flow.nu={factor * nu}"]
    words += [f"{name}={seed}" for name in ("seed", "sensors.seed", "model.seed", "train.seed")]
    if file is not None:
        folder = os.environ.get("PINNX_DATA")
        if folder is None:
            raise PinnxError(f"{case}: expected the folder of {file} in PINNX_DATA, got none")
        words.append(f"data.path={Path(folder) / file}")
    with tempfile.TemporaryDirectory() as out:
        metrics = reconstruct(load_config(preset, words), Path(out) / "run")
    return {
        "case": case,
        "steps": steps,
        "seed": seed,
        "viscosity_factor": factor,
        "error": metrics["relative_l2"]["velocity"],
        "estimates": metrics["error_estimates"],
    }


def _table(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown: a row for each estimate; Spearman's correlation with the error, and the median of estimate / error."""
    groups = {case: [run for run in runs if run["case"] == case] for case in dict.fromkeys(r["case"] for r in runs)}
    groups["right viscosity"] = [run for run in runs if run["viscosity_factor"] == 1.0]
    groups["all runs"] = list(runs)
    yield "| estimate | " + " | ".join(f"{name} ({len(of)})" for name, of in groups.items()) + " | estimate / error |"
    yield "|---|" + "---|" * (len(groups) + 1)
    for estimate in dict.fromkeys(name for run in runs for name in run["estimates"]):
        cells = []
        for of in groups.values():
            pairs = [(run["estimates"][estimate], run["error"]) for run in of if estimate in run["estimates"]]
            cells.append(f"{spearmanr(*zip(*pairs, strict=True)).statistic:.2f}" if len(pairs) > 2 else "")
        ratios = sorted(run["estimates"][estimate] / run["error"] for run in runs if estimate in run["estimates"])
        spread = f"{ratios[len(ratios) // 2]:.2g} ({ratios[0]:.2g} to {ratios[-1]:.2g})"
        yield f"| {estimate} | " + " | ".join(cells) + f" | {spread} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="How well estimates of the error rank true errors.")
    parser.add_argument("--quick", action="store_true", help="the demo, 20 steps: whether it works")
    parser.add_argument("--cases", nargs="+", choices=CASES, help="default: all; all but the demo need PINNX_DATA")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="where to write every run")
    return parser


if __name__ == "__main__":
    main()
