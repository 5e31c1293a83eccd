"""How much memory does a step need at a million points?

    python benchmarks/bench_memory.py [--quick] [--points 1048576] [--width 256] [--out FILE.json]

Loss and all gradients of the unsteady Navier-Stokes residual, in a fresh process for each candidate (`--probe`).
Each is measured at two small numbers of points first. Where the line through them passes the limit at the number
wanted, the candidate is not run there: its row is an extrapolation, and says so.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harness import Candidate, Timing, validate
from machine import peak_memory, status_bytes, watch_memory
from networks import TOLERANCE, Network, draw_network, flow_oracle, jet_and_residual, single_pass
from results import command_of, finish_report, print_rows, start_report, write_json
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rivals import RIVALS, rival_versions, why_absent
from tables import MEMORY_HEADER, memory_rows

FEW_POINTS = 256
MAKERS: Mapping[str, Callable[[Network], Candidate]] = {
    "pinn_ext, single pass": partial(single_pass, ""),
    "pinn_ext.mlp_jet, residual in torch": partial(jet_and_residual, ""),
    **{rival.name: rival.candidate for rival in RIVALS},
}


def probe(name: str, n: int, width: int, num_hidden: int, limit_bytes: int) -> dict[str, Any]:
    """Runs one step under a limit of the address space.

    Args:
        name: a key of `MAKERS`.
        n: points.
        width: features of a hidden layer.
        num_hidden: hidden layers.
        limit_bytes: how far the address space may grow beyond what it is before the step.

    Returns:
        ``bytes``, ``seconds`` and ``method``, by which the bytes were found.

    Raises:
        WrongResultError: the candidate is wrong.
        RuntimeError, MemoryError: the memory did not suffice.
    """
    MAKERS[name](draw_network(1, 8, 1)).run()
    candidate = MAKERS[name](draw_network(n, width, num_hidden))
    if any(rival.name == name and rival.compiles for rival in RIVALS):
        candidate.run()  # compiles for this size
    ctypes.CDLL(None).malloc_trim(0)
    resource.setrlimit(resource.RLIMIT_AS, (status_bytes("VmSize") + limit_bytes, resource.RLIM_INFINITY))
    before, method = watch_memory()
    start = time.perf_counter()
    candidate.run()
    seconds = time.perf_counter() - start
    result = {"bytes": max(0, peak_memory(method) - before), "seconds": seconds, "method": method}
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    few = draw_network(FEW_POINTS, width, num_hidden)
    validate(name, MAKERS[name](few).result(), flow_oracle(few), TOLERANCE)
    return result


GOAL_BYTES = 200e6  # of the single pass
ONCE = Timing(budget_s=0.0, min_rounds=1, max_rounds=1)
LONGEST_S = 1800.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    if options.probe:
        name, *numbers, limit_gb, threads = options.probe
        torch.set_num_threads(int(threads))
        n, width, num_hidden = (int(number) for number in numbers)
        print(json.dumps(probe(name, n, width, num_hidden, int(float(limit_gb) * 1e9))))
        return
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    points, width = (1 << 14, 32) if options.quick else (1 << 20, 256)
    options.points, options.width = options.points or points, options.width or width
    names = [name for name in MAKERS if options.only in name]
    if not names:
        raise SystemExit(f"--only {options.only}: expected part of a candidate's name, it fits none")
    command = command_of(__file__, arguments)
    size = {"n": options.points, "width": options.width, "layers": options.layers}
    cpu = torch.device("cpu")
    settings = {"size": size, "small": options.small, "limit_gb": options.limit_gb}
    report = start_report("memory", command, cpu, torch.float32, ONCE, **settings)
    report.versions |= rival_versions()
    rows: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:
            progress.update(task, description=name)
            rows.append(_row(name, options, cpu))
            progress.advance(task)
            line = " | ".join(next(memory_rows({"extra": {"memory": rows[-1:]}})))
            progress.console.print(line, soft_wrap=True, markup=False)
    report.extra["memory"] = rows
    finish_report(report, cpu, torch.float32)
    result = asdict(report)
    print(
        f"peak memory above the inputs, {size['n']:,} points, width {size['width']}, {size['layers']} layers, float32"
    )
    print_rows(MEMORY_HEADER, memory_rows(result))
    if options.output is not None:
        write_json(report, options.output)


def extrapolate(small: dict[int, int], n: int) -> float:
    """The line through two measurements, at n points."""
    (n_0, bytes_0), (n_1, bytes_1) = small.items()
    return bytes_1 + (bytes_1 - bytes_0) / (n_1 - n_0) * (n - n_1)


def _row(name: str, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """What there is to say of one candidate; ``bytes`` is None where nothing was measured, and ``reason`` why."""
    row: dict[str, Any] = {"name": name, "bytes": None, "extrapolated": False, "small": {}, "reason": None}
    row["goal_bytes"] = GOAL_BYTES if name == next(iter(MAKERS)) else None
    rival = next((rival for rival in RIVALS if rival.name == name), None)
    row["reason"] = why_absent(rival, device) if rival else None
    if row["reason"]:
        return row
    try:
        for n in options.small:
            row["small"][n] = _probe(name, n, options)["bytes"]
        predicted = extrapolate(row["small"], options.points)
        if predicted > options.limit_gb * 1e9:
            return row | {"bytes": predicted, "extrapolated": True}
        return row | _probe(name, options.points, options)
    except RuntimeError as error:
        return row | {"reason": str(error)}


def _probe(name: str, n: int, options: argparse.Namespace) -> dict[str, Any]:
    numbers = [str(x) for x in (n, options.width, options.layers, options.limit_gb, torch.get_num_threads())]
    command = [sys.executable, __file__, "--probe", name, *numbers]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"took longer than {LONGEST_S:.0f} s at {n:,} points") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise RuntimeError(f"failed at {n:,} points: {last[0]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16,384 points of width 32: whether it works")
    parser.add_argument("--points", type=int, help="default: 1048576")
    parser.add_argument("--width", type=int, help="default: 256")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--small", type=int, nargs=2, default=(4096, 8192), help="points to extrapolate from")
    parser.add_argument("--limit-gb", type=float, default=20.0, help="beyond it, candidates are extrapolated")
    parser.add_argument("--threads", type=int, help="threads of torch and of the kernels (default: torch's choice)")
    parser.add_argument("--only", default="", metavar="TEXT", help="candidates whose name contains TEXT")
    parser.add_argument("--probe", nargs=6, help=argparse.SUPPRESS)  # one step in a process of its own
    parser.add_argument("--output", "--out", type=Path, metavar="FILE.json", help="all numbers, machine and versions")
    return parser


if __name__ == "__main__":
    main()
