"""What each strategy of the training buys: errors of the cases of docs/training.md, with one setting changed at a time.

    PINNX_DATA=FOLDER python benchmarks/bench_strategies.py [--quick] [--cases NAME ...] [--strategies NAME ...]
        [--seeds 3] [--steps N] [--out FILE.json]

A seed draws sensors, network and points. Errors are relative L2. Cavities are read from and judged on the converged
fields, the length of the velocity without the row of the lid, where it is given; the wake and the demo by their
velocity vector. Of an unknown viscosity the error is |found / true - 1|, from a guess ten times too large. Runs in a
file given by --out are not made again, so that a long benchmark can be interrupted. With --steps all take so many,
which is shorter than the presets' training and may rank strategies in another order. The classical solver beside the
network is left out, as it changes no error.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import h5py
import numpy as np
import torch
from results import write_runs

from pinnx.config import load_config
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs import reconstruct

__all__ = ["main"]

RE1000, RE3200 = "ldc_re1000_converged.npz", "ldc_re3200_converged.npz"
WAKE = "cylinder_wake_re100.h5"
# Name: preset, file, settings, what is judged.
CASES: dict[str, tuple[str, str | None, list[str], str]] = {
    "cavity re1000": ("cavity", RE1000, [], "speed"),
    "cavity re3200": ("cavity", RE3200, [], "speed"),
    "cavity re1000, no sensors": ("cavity", RE1000, ["train.weights.data=0"], "speed"),
    "cavity re1000, nu unknown": ("cavity", RE1000, ["flow.learn_nu=true", "flow.nu=0.01"], "nu"),
    "wake re100": ("wake", WAKE, [], "velocity"),
    "wake re100, nu unknown": ("wake", WAKE, ["flow.learn_nu=true", "flow.nu=0.1"], "nu"),
    "demo": ("demo", None, [], "velocity"),
}
TRUE_NU = {RE1000: 1e-3, RE3200: 1 / 3200, WAKE: 0.01}
PLAIN = "model.factorization.mean=null"
SIREN = ["model.architecture=siren", "model.activation=sine"]  # the presets wake and demo have it
PERCEPTRON = ["model.architecture=mlp", "model.activation=tanh"]
NO_SOLVER = ["solver.beside=false", "solver.polish=false"]
LONGER = "8,000 steps"
SMALL = [*PERCEPTRON, "model.width=32", "model.frequencies=16", PLAIN]  # for methods with a matrix of all parameters
# The preset, and one thing about it that is changed.
STRATEGIES: dict[str, list[str]] = {
    "preset": [],
    "without the corners' flow": ["model.corner_flow=false"],
    "without weights at corners": ["train.corner_radius=null"],
    "Adam": ["train.optimizer=adam"],
    "ReLoBRaLo": ["train.balance.method=relobralo"],
    "GradNorm": ["train.balance.method=gradnorm"],
    "NTK": ["train.balance.method=ntk"],
    "augmented Lagrangian": ["train.balance.method=lagrangian"],
    "physics ramp": ["train.physics_ramp=[0.3, 0.7]"],
    "Huber": ["train.data_loss=huber"],
    "three scales of frequencies": ["model.bands=[0.5, 1.0, 2.0]"],
    "trained frequencies": [*PERCEPTRON, "model.train_frequencies=true"],
    "perceptron, factorised weights": [*PERCEPTRON, "model.factorization.mean=1.0"],
    "plain weights": [*PERCEPTRON, PLAIN],
    "SIREN": [*SIREN, PLAIN],
    "PirateNet, one block": ["model.architecture=piratenet", "model.activation=tanh", "model.layers=1"],
    "hard boundaries": ["model.hard_boundaries=true", "model.corner_flow=false"],
    "harmonics": ["model.harmonics=3"],
    "Latin hypercube": ["train.points.sampling=latin_hypercube"],
    "uniform points": ["train.points.sampling=uniform"],
    "plain weights, uniform points": [*PERCEPTRON, PLAIN, "train.points.sampling=uniform"],
    "points at walls": ["train.points.walls=0.3"],
    "windows of the time": ["train.points.time_windows=4"],
    "RAR": ["train.points.refine.method=rar"],
    "RAD": ["train.points.refine.method=rad"],
    "R3": ["train.points.refine={method: r3, every: 10}"],
    "L-BFGS at the end": ["train.phases=[{start: 0.8, optimizer: lbfgs}]"],
    "small network": SMALL,
    "small network, Gauss-Newton at the end": [*SMALL, "train.phases=[{start: 0.95, optimizer: gauss_newton}]"],
    "small network, self-scaled Broyden at the end": [*SMALL, "train.phases=[{start: 0.8, optimizer: ssbroyden}]"],
    "a larger viscosity first": [
        "train.curriculum=[{until: 0.2, numbers: {nu: 0.01}}, {until: 0.4, numbers: {nu: 0.003}}]"
    ],
    "warm start": ["train.warm_start=solver"],
    "the viscosity follows its gradient": ["train.estimate_at=[]"],
    "estimates of the viscosity": ["train.estimate_at=[0.6, 0.85]"],
    LONGER: ["train.steps=8000"],
}
# In other cases they would be the preset, or refused: strategy -> what the names of its cases begin with.
ONLY = {
    "SIREN": ("cavity",),
    "perceptron, factorised weights": ("wake", "demo"),
    "without the corners' flow": ("cavity",),
    "without weights at corners": ("cavity",),
    "points at walls": ("cavity",),
    "windows of the time": ("wake", "demo"),
    "a larger viscosity first": ("cavity re3200", "cavity re1000, no"),
    "warm start": ("cavity",),
    "the viscosity follows its gradient": ("cavity re1000, nu",),
    "estimates of the viscosity": ("wake re100, nu",),
    LONGER: ("cavity",),
    "hard boundaries": ("cavity",),
    "harmonics": ("demo",),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    cases = options.cases or (["demo"] if options.quick else list(CASES))
    strategies = options.strategies or (["preset", "Adam"] if options.quick else list(STRATEGIES))
    seeds, steps = (1, 20) if options.quick else (options.seeds, options.steps)
    settings = NO_SOLVER if steps is None else [*NO_SOLVER, f"train.steps={steps}"]
    runs = _earlier(options.out)
    done = {(run["case"], run["strategy"], run["seed"]) for run in runs}
    for seed in range(seeds):  # all of a table is there, with one seed, before the second one starts
        for case in cases:
            for strategy in strategies:
                if (case, strategy, seed) in done or not case.startswith(ONLY.get(strategy, case)):
                    continue
                if strategy == LONGER and steps is not None:
                    continue
                runs.append(_run(case, strategy, seed, settings))
                print(f"{case}, {strategy}, seed {seed}: {_shown(runs[-1])}", flush=True)
                if options.out is not None:
                    write_runs(options.out, "strategies", __file__, arguments, runs)
    print("\n".join(_table(runs)))


def _run(case: str, strategy: str, seed: int, settings: list[str]) -> dict[str, Any]:
    """One reconstruction; its error is None where the strategy does not fit the case or the training failed."""
    preset, file, own, judged = CASES[case]
    path = [] if file is None else [("data.path", str(Path(os.environ["PINNX_DATA"]) / file))]
    changed = [*own, *STRATEGIES[strategy], *settings]
    config = load_config(preset, [*path, *changed, f"seed={seed}", "train.device=cpu"])
    run: dict[str, Any] = {"case": case, "strategy": strategy, "seed": seed, "settings": changed}
    started = time.process_time()
    try:
        with tempfile.TemporaryDirectory() as folder:
            metrics = reconstruct(config, Path(folder) / "run")
            errors = {"velocity": _field_error(Path(folder) / "run" / "fields.h5", judged)}
    except Interrupted:
        raise
    except PinnxError as error:
        return run | {"error": None, "reason": str(error)}
    if judged == "nu" and file is not None:
        errors["nu"] = abs(metrics["nu"] / TRUE_NU[file] - 1)
    found = {"error": errors["nu" if judged == "nu" else "velocity"], "field_error": errors["velocity"]}
    times = {name: metrics[name] for name in ("steps", "train_s", "steps_per_s")}
    gates = {check["name"]: check for check in metrics["checks"]}
    return run | found | times | {"cpu_s": time.process_time() - started, "checks": gates}


def _field_error(path: Path, judged: str) -> float:
    """The relative L2 error of the velocity, or of its length away from the row y = max (a lid)."""
    with h5py.File(path) as file:
        found, wanted = (
            np.stack([file[of + name][:] for name in "uv"]).astype(np.float64) for of in ("", "reference/")
        )
    if judged == "speed":
        found, wanted = (np.hypot(*field)[None, ..., :-1] for field in (found, wanted))
    known = np.isfinite(found)  # a corner at which two sides disagree has no velocity
    if known.mean() < 0.99:
        raise PinnxError(f"fields: expected numbers, got {known.mean():.0%} of them")
    return float(np.linalg.norm((found - wanted)[known]) / np.linalg.norm(wanted[known]))


def _table(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown: a row for each strategy, a column for each case; mean (least to largest) of the seeds in per cent."""
    cases, strategies = (list(dict.fromkeys(run[key] for run in runs)) for key in ("case", "strategy"))
    yield "| strategy | " + " | ".join(cases) + " |"
    yield "|---|" + "---|" * len(cases)
    for strategy in strategies:
        cells = []
        for case in cases:
            of = [run for run in runs if (run["case"], run["strategy"]) == (case, strategy)]
            values = [100 * run["error"] for run in of if run["error"] is not None]
            spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3g}{spread}" if values else ("failed" if of else ""))
        yield f"| {strategy} | " + " | ".join(cells) + " |"


def _shown(run: dict[str, Any]) -> str:
    if run["error"] is None:
        return run["reason"]
    return f"{run['error']:.4f} after {run['steps']} steps, {run['cpu_s']:.0f} s of CPU"


def _earlier(path: Path | None) -> list[dict[str, Any]]:
    """The runs of a file that is there already."""
    if path is None or not path.exists():
        return []
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What each strategy of the training buys.")
    parser.add_argument("--quick", action="store_true", help="the demo, two strategies, 20 steps: whether it works")
    parser.add_argument("--cases", nargs="+", choices=CASES, help="default: all; all but the demo need PINNX_DATA")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="of sensors, network and points")
    parser.add_argument("--steps", type=int, help="of every training; default: those of the preset or the strategy")
    parser.add_argument("--threads", type=int, help="of torch and the kernels")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json", help="where to write every run, and what is done already"
    )
    return parser


if __name__ == "__main__":
    main()
