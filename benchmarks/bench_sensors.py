"""How fast are sensors chosen: the kernel against SciPy, `fit` against PySensors, a file against reading it?

    python benchmarks/bench_sensors.py [--quick] [--parts kernel fit file] [--file-gb 8] [--out FILE.json]

Right before fast: pivots against SciPy's, energy of the modes against float64, sensors of a stream against those of the
same snapshots in memory; the error on unseen snapshots stands beside the time. PySensors comes with '.[bench]'.

The rows of the kernel's matrix are normal numbers, each 0.9 times as long as the one before. The exact pivots must be
those of SciPy (at every step where its two best columns differ by more than rounding), and the others must keep their
distance from the exact log volume. A share is that of one read of the matrix by torch, in the same rounds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from harness import Statistics, Timing, WrongResultError, interleaved
from machine import bare_traffic, fma_peak
from results import command_of, finish_report, print_rows, start_report, write_json
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sensor_fits import PYSENSORS, fit_cases, measure_files, measure_fit
from tables import GOAL_HEADER, Goal, goal_rows
from torch import Tensor

import pinn_ext

CPU = torch.device("cpu")
PARTS = ("kernel", "fit", "file")
TIMINGS = {"full": Timing(budget_s=15.0, min_rounds=5), "quick": Timing(budget_s=0.5, min_rounds=3)}
MEMORY_LIMIT = 512 * 2**20
QUICK_LIMIT = 160 * 2**20
FILE_GB, QUICK_FILE_GB = 8.0, 0.2
# Goals: times over SciPy at 100 x 262,144 by (method, k), over PySensors, seconds of a fit, share of reading.
AGAINST_SCIPY = {("exact", 12): 40.0, ("exact", 100): 3.0}
AGAINST_PYSENSORS = {"otp_temperature": 10.0, "otp_temperature, a fifth unseen": 10.0, "waves 512 x 512": 10.0}
SECONDS = {"waves 32 x 32": 0.010, "waves 128 x 128": 0.050, "waves 512 x 512": 1.0}
SHARE_OF_READING = 0.70
# Errors count as the same up to this, where that of PySensors is the median of several runs (sensor_fits.py).
SAME_ERROR = 1.001


def may_lose(method: str, k: int) -> float:
    """Log volume. A sketch of k + 10 rows sees less where rows fall slowly."""
    return 1e-4 * k if method == "exact" else 0.2 * k


@dataclass(frozen=True)
class Selection:
    """One matrix and number of pivots; ``scipy`` is left out where it would take minutes."""

    r: int
    n: int
    k: int
    scipy: bool = True
    methods: tuple[str, ...] = ("exact", "randomized")


@dataclass(frozen=True)
class SelectionResult:
    """What one way to choose took. ``gflop_per_s`` counts 2 r n k, a product of every column with every direction."""

    name: str
    selection: Selection
    time_s: Statistics
    log_volume: float
    gflop_per_s: float
    share_of_peak: float
    share_of_one_read: float
    times_scipy: float | None


FULL = (Selection(100, 262_144, 12), Selection(100, 262_144, 100), Selection(1000, 262_144, 500, False, ("exact",)))
QUICK = (Selection(50, 16_384, 12),)


def random_rows(r: int, n: int, decay: float = 0.9, seed: int = 0) -> Tensor:
    """``[r, n]`` float32; rows of 1,000 numbers would underflow, so that they shrink no further than 1e-5."""
    scale = torch.clamp(decay ** torch.arange(r), min=1e-5)
    return torch.randn(r, n, generator=torch.Generator().manual_seed(seed)) * scale[:, None]


def measure_selection(selection: Selection, A: Tensor, timing: Timing) -> list[SelectionResult]:
    """Checks every method, then times all of them, SciPy and one read of ``A``, interleaved.

    Raises:
        WrongResultError: pivots or a log volume that are not what they should be; nothing was timed.
    """
    k = selection.k
    runs: dict[str, Callable[[], Any]] = {
        method: lambda method=method: pinn_ext.pivoted_qr(A, k, method=method) for method in selection.methods
    }
    volumes = {method: run().log_volume for method, run in runs.items()}
    if selection.scipy:
        matrix = A.numpy()
        R, pivots = scipy.linalg.qr(matrix, mode="r", pivoting=True)
        volumes["scipy"] = float(np.log(np.abs(np.diag(R[:, :k]))).sum())
        _check_pivots(pinn_ext.pivoted_qr(A, k).pivots.tolist(), pivots[:k].tolist(), selection)
        runs["scipy"] = lambda: scipy.linalg.qr(matrix, mode="r", pivoting=True)
    exact = volumes.get("scipy", volumes["exact"])
    for method in selection.methods:
        if not volumes[method] >= exact - may_lose(method, k):
            raise WrongResultError(
                f"{method} of {selection}: expected a log volume near {exact}, got {volumes[method]}"
            )
    runs["one read"] = bare_traffic(A.nbytes, 0, CPU)
    peak = fma_peak(False, 50)
    samples = dict(zip(runs, interleaved(list(runs.values()), CPU, timing, lambda *_: None)[0], strict=True))
    read = samples.pop("one read")
    flops = 2.0 * selection.r * selection.n * k
    results = []
    for name, own in samples.items():
        time_s = Statistics.of(own)
        scipy_s = samples.get("scipy")
        results.append(
            SelectionResult(
                name=name,
                selection=selection,
                time_s=time_s,
                log_volume=volumes[name],
                gflop_per_s=flops / time_s.median / 1e9,
                share_of_peak=flops / time_s.median / 1e9 / peak,
                share_of_one_read=_median_ratio(read, own),
                times_scipy=None if scipy_s is None else _median_ratio(scipy_s, own),
            )
        )
    return results


def _check_pivots(got: list[int], wanted: list[int], selection: Selection) -> None:
    same = sum(a == b for a, b in zip(got, wanted, strict=True))
    # Once two columns are as long to rounding, both orders are right and the rest may differ.
    if got[:12] != wanted[:12] or same < 0.9 * len(got):
        raise WrongResultError(f"{selection}: expected the pivots of SciPy {wanted}, got {got}")


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return Statistics.of([a / b for a, b in zip(above, below, strict=True)]).median


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    command = command_of(__file__, arguments)
    timing = TIMINGS["quick" if options.quick else "full"]
    report = start_report("sensors", command, CPU, torch.float32, timing, quick=options.quick, parts=options.parts)
    report.versions |= _rival_version()
    left_out: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=None)
        if "kernel" in options.parts:
            report.extra["kernel"] = []
            for case in QUICK if options.quick else FULL:
                progress.update(task, description=f"pivots of {case.r} x {case.n:,}")
                measured = measure_selection(case, random_rows(case.r, case.n), timing)
                report.extra["kernel"] += [asdict(result) for result in measured]
        if "fit" in options.parts:
            report.extra["fit"] = []
            folder = os.environ.get("PINNX_DATA")
            for fit in fit_cases(options.quick, None if folder is None else Path(folder), left_out):
                progress.update(task, description=fit.name)
                report.extra["fit"] += [asdict(result) for result in measure_fit(fit, timing, left_out)]
        if "file" in options.parts:
            gigabytes = options.file_gb or (QUICK_FILE_GB if options.quick else FILE_GB)
            limit = QUICK_LIMIT if gigabytes * 1e9 < 2 * MEMORY_LIMIT else MEMORY_LIMIT
            files = measure_files(
                gigabytes, limit, 4, lambda what: progress.update(task, description=f"{gigabytes:g} GB file: {what}")
            )
            report.extra["file"] = [asdict(result) for result in files]
    finish_report(report, CPU, torch.float32)
    report.extra["left_out"] = left_out
    result = asdict(report)
    found = list(goals(result))
    report.extra["goals"] = [asdict(goal) | {"met": goal.met} for goal in found]
    _print(result, found)
    if options.output is not None:
        write_json(report, options.output)


def goals(result: Mapping[str, Any]) -> Iterator[Goal]:
    """What was measured beside what is wanted; a part that did not run has no lines."""
    for row in result["extra"].get("kernel", []):
        case = row["selection"]
        size = f"{case['r']:,} x {case['n']:,}, k = {case['k']}"
        if row["times_scipy"] is not None and row["name"] != "scipy":
            wanted = AGAINST_SCIPY.get((row["name"], case["k"])) if (case["r"], case["n"]) == (100, 262_144) else None
            yield Goal(f"{row['name']} against SciPy", size, row["times_scipy"], "x", wanted)
    rows = result["extra"].get("fit", [])
    rivals = {row["case"]: row for row in rows if row["name"] == PYSENSORS}
    for row in rows:
        if row["name"] == PYSENSORS:
            continue
        exact = row["name"].startswith("pod")
        if exact and row["case"] in SECONDS:
            seconds = SECONDS[row["case"]]
            yield Goal(f"fit, {row['name']}", row["case"], row["time_s"]["median"], "s", seconds, at_most=True)
        if row["case"] in rivals:
            wanted = AGAINST_PYSENSORS.get(row["case"]) if exact else None
            yield Goal(
                f"fit, {row['name']}, against {PYSENSORS}", row["case"], row["times_rival"]["median"], "x", wanted
            )
            if row["error"] is not None:
                ratio = row["error"] / rivals[row["case"]]["error"]
                what = f"unseen error, {row['name']}, over that of {PYSENSORS}"
                yield Goal(what, row["case"], ratio, "ratio", SAME_ERROR if exact else None, at_most=True)
    for row in result["extra"].get("file", []):
        size = f"{row['gigabytes']:.2g} GB, {row['memory_limit'] >> 20} MiB, {row['source']}"
        wanted = SHARE_OF_READING if row["gigabytes"] >= 1.0 else None
        yield Goal("speed of fit, of reading alone", size, row["share"]["median"], "%", wanted)


def _print(result: Mapping[str, Any], found: Sequence[Goal]) -> None:
    machine = result["machine"]
    print(
        f"{machine['cpu']}, {machine['torch_threads']} threads, {machine['instruction_set']}, float32, "
        f"load {result['load_before']:.1f} -> {result['load_after']:.1f}"
    )
    rows = result["extra"].get("fit", [])
    if rows:
        header = ("fit", "size", "time, ms", "quartiles", "error on unseen", f"x {PYSENSORS}")
        print_rows(header, (_fit_row(row) for row in rows))
    for row in result["extra"].get("file", []):
        peak = "" if row["peak_bytes"] is None else f", peak {row['peak_bytes'] / 2**20:.0f} MiB"
        print(
            f"{row['gigabytes']:.2g} GB from {row['source']}: reading {row['gigabytes'] / row['read_s']['median']:.2f} "
            f"GB/s, fit {row['gigabytes'] / row['fit_s']['median']:.2f} GB/s{peak}"
        )
    print_rows(GOAL_HEADER, goal_rows(result, found))
    for item in result["extra"]["left_out"]:
        print(f"{item['name']}: left out, {item['reason']}")


def _fit_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    time, rival = row["time_s"], row["times_rival"]
    return (
        f"{row['case']}: {row['name']}",
        f"{row['size']['T']} x {row['size']['n']:,}, k = {row['size']['k']}",
        f"{time['median'] * 1e3:.2f}",
        f"{time['q25'] * 1e3:.2f}-{time['q75'] * 1e3:.2f}",
        _error_text(row),
        "" if rival is None else f"{rival['median']:.1f}",
    )


def _error_text(row: Mapping[str, Any]) -> str:
    if row["error"] is None:
        return ""
    low_high = row.get("error_range")
    return f"{100 * row['error']:.4g} %" + (
        "" if low_high is None else f" ({100 * low_high[0]:.4g}-{100 * low_high[1]:.4g})"
    )


def _rival_version() -> dict[str, str]:
    try:
        return {"python-sensors": version("python-sensors")}
    except PackageNotFoundError:
        return {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: about 20 s on two cores")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--file-gb", type=float, help=f"size of the file (default {FILE_GB:g}, quick {QUICK_FILE_GB:g})"
    )
    parser.add_argument("--threads", type=int, help="of torch and of the kernels")
    parser.add_argument("--output", "--out", type=Path, metavar="FILE.json", help="all numbers, machine and versions")
    return parser


if __name__ == "__main__":
    main()
