"""Which placement of the sensors serves the network: errors of reconstructions from sensors of each method.

    PINNX_DATA=FOLDER python benchmarks/bench_placement.py [--quick] [--flows NAME ...] [--methods NAME ...] [--out F]

Every flow is reconstructed from 12 sensors of each method, by networks of three seeds. Those of cylinders are smaller
than in the preset, for time. Errors are relative L2: of the velocity vector weighted by area, of u, v and p with all
nodes alike, as in metrics.json. `random` is drawn five times for the first network, and its median is given.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import h5py
import numpy as np
import torch
from results import write_runs
from rich.console import Console

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.sensors import cell_areas

__all__ = ["main"]

METHODS = ("interpolation", "coverage", "lattice", "farthest", "qr", "random")
SEEDS, DRAWS = 3, 5
STEADY = ["data.arrays={x: x, y: y, u: u, v: v, p: p, nu: nu}", "data.axes=[n]", "data.pressure_frame=null",
          "flow.steady=true", "model.sigma=[0.5, 0.5]"]  # fmt: skip
SHORT = ["train.steps=1500", "train.collocation_points=1024", "model.width=64"]
WAKE, RE40 = "cylinder_wake_re100.h5", "steady_cylinder_re40.npz"
# Name: preset, file, window, settings. No window holds the body.
FLOWS: dict[str, tuple[str, str | None, Any, list[str]]] = {
    "wake, x 1 to 7": ("wake", WAKE, ([1.0, 7.0], [-2.0, 2.0]), SHORT),
    "wake, x 2.5 to 8": ("wake", WAKE, ([2.5, 8.0], [-3.0, 3.0]), SHORT),
    "wake, x 0.8 to 5": ("wake", WAKE, ([0.8, 5.0], [-2.2, 2.2]), SHORT),
    "steady cylinder": ("wake", RE40, ([0.8, 7.0], [-2.5, 2.5]), [*STEADY, *SHORT]),
    "demo": ("demo", None, None, []),  # after half of its steps the order is another
}
KEYS = ("velocity", "u", "v", "p")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    flows = options.flows or (["demo"] if options.quick else list(FLOWS))
    methods = options.methods or (METHODS[:1] if options.quick else METHODS)
    seeds, steps = (1, ["train.steps=20"]) if options.quick else (SEEDS, [])
    console = Console(highlight=False)
    runs = []
    for flow in flows:
        for method in methods:
            try:
                for run in _runs(flow, method, seeds, steps):
                    runs.append(run)
                    console.print(f"{flow}, {method}, seed {run['seed']}: {run['velocity']:.4f}")
            except PinnxError as error:  # qr has no ranking for a single snapshot
                console.print(f"{flow}, {method}: left out, {error}")
    rows = [row for flow in flows if (row := _rows([run for run in runs if run["flow"] == flow]))]
    print("\n".join(_table(rows)))
    if options.out is not None:
        settings = {flow: [*FLOWS[flow][3], *steps] for flow in flows}
        write_runs(options.out, "placement", __file__, arguments, runs, settings=settings)


def _runs(flow: str, method: str, seeds: int, steps: list[str]) -> Iterator[dict[str, Any]]:
    """One for each seed of the network; for random, one for each draw of the sensors."""
    preset, file, window, settings = FLOWS[flow]
    boxes = [] if window is None else [f"{section}.{axis}={limits}" for section in ("data.window", "domain")
                                       for axis, limits in zip("xy", window, strict=True)]  # fmt: skip
    path = [] if file is None else [("data.path", str(Path(os.environ["PINNX_DATA"]) / file))]
    draws = [(0, draw) for draw in range(DRAWS)] if method == "random" else [(seed, 0) for seed in range(seeds)]
    for seed, draw in draws:
        own = [f"sensors.method={method}", f"sensors.seed={draw}", f"model.seed={seed}", f"train.seed={seed}"]
        config = load_config(preset, [*path, *boxes, *settings, *steps, *own, "train.device=cpu"])
        with tempfile.TemporaryDirectory() as folder:
            metrics = reconstruct(config, Path(folder) / "run")
            error = _velocity_error(Path(folder) / "run" / "fields.h5")
        errors = {key: metrics["relative_l2"].get(key) for key in KEYS[1:]}
        yield {"flow": flow, "method": method, "seed": seed, "draw": draw, "velocity": error, **errors}


def _velocity_error(path: Path) -> float:
    """The relative L2 error of (u, v), each point weighted by its area."""
    with h5py.File(path) as file:
        x, y = file["x"][:], file["y"][:]
        grid = (len(x), len(y)) if file.attrs["grid"] else None
        lines = [x, y] if grid is None else np.meshgrid(x, y, indexing="ij")
        points = np.column_stack([line.ravel() for line in lines])
        areas = cell_areas(points, grid)
        found, wanted = (np.stack([file[of + name][:] for name in "uv"]) for of in ("", "reference/"))
    shape = (2, -1, len(points))
    found, wanted = found.reshape(shape).astype(np.float64), wanted.reshape(shape).astype(np.float64)
    return float(np.sqrt((areas * (found - wanted) ** 2).sum() / (areas * wanted**2).sum()))


def _rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lines of one flow, in the order of the methods."""
    methods = list(dict.fromkeys(run["method"] for run in runs))
    lattice = {run["seed"]: run["velocity"] for run in runs if run["method"] == "lattice"}
    rows = []
    for method in methods:
        of = [run for run in runs if run["method"] == method]
        centre = median if method == "random" else mean
        cells = []
        for key in KEYS:
            values = [run[key] for run in of if run[key] is not None]
            spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
            cells.append(f"{centre(values):.4f}{spread}" if values else "")
        beside = mean(lattice[run["seed"]] for run in of) if lattice else 0.0  # of the same networks
        ratio = f"{centre([run['velocity'] for run in of]) / beside:.2f}" if lattice else ""
        rows.append([of[0]["flow"], method, ratio, *cells])
    return rows


def _table(flows: Sequence[list[list[str]]]) -> Iterator[str]:
    yield "| flow | method | times the lattice's | velocity | u | v | p |"
    yield "|---|---|---|---|---|---|---|"
    for rows in flows:
        for index, row in enumerate(rows):
            yield "| " + " | ".join(["" if index else row[0], *row[1:]]) + " |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Errors of reconstructions from sensors of each method.")
    parser.add_argument("--quick", action="store_true", help="the demo, one method, 20 steps: whether it works")
    parser.add_argument("--flows", nargs="+", choices=FLOWS, help="default: all; those of cylinders need PINNX_DATA")
    parser.add_argument("--methods", nargs="+", help=f"default: {' '.join(METHODS)}")
    parser.add_argument("--threads", type=int, help="of torch and the kernels")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="where to write every run")
    return parser


if __name__ == "__main__":
    main()
