"""How fast is each kernel, against plain torch and against what the machine can do?

    python benchmarks/bench_kernels.py [--quick] [--device cuda] [--dtype float64] [--compile] [--output FILE.json]
    python benchmarks/bench_kernels.py --jacobian [--quick] [--sizes 1500x32x4 ...] [--dtype float32] [--output F]

Every result is held against the float64 oracle before and after it is timed; a wrong one ends the run.

--jacobian: the Jacobian of all residuals and its normal matrix, on the CPU, in float64 unless --dtype says otherwise.
Unsteady Navier-Stokes in two dimensions on a network of Fourier features, a row for each residual at each point. The
rival is plain torch: the jet of one point by closed formulas, ``vmap(jacrev)`` over the points, and one product. Of the
matrix the upper triangle is checked, and the operations of one triangle count; features, activations and the residual
do not. With float32 tiles the share is that of the float32 peak; the rival's product stays in its dtype.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch._functorch.config as functorch_config
from bench_step import PEAK_MS, Size, size_of
from function_problem import cases_of
from harness import Candidate, Case, Timing, Work, measure, rounding_tolerance
from kernel_problems import Place, kernel_problems
from machine import fma_peak
from networks import NU, SPEC, Network, draw_network
from results import command_of, finish_report, print_table, start_report, write_json
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from torch import Tensor
from torch.func import jacrev, vmap

import pinn_ext
from pinn_ext import Jet, reference

SIZES = ((1024, 64), (4096, 128), (16384, 256))  # points, features
QUICK_SIZES = SIZES[:2]
QUICK = Timing(budget_s=0.05, min_rounds=3)
JACOBIAN_SIZES: tuple[Size, ...] = ((1500, 32, 4), (600, 64, 4))
QUICK_JACOBIAN_SIZES: tuple[Size, ...] = ((100, 16, 2),)
QUICK_JACOBIAN, JACOBIAN = Timing(budget_s=0.2, min_rounds=3), Timing(budget_s=20.0, min_rounds=5)
LINE_S = 5.0  # seconds from one line of progress to the next
# The rival's intermediate values grow with the points; in pieces it stays in memory, and is as fast.
RIVAL_POINTS = 250
JACOBIAN_PARTS = ("jacobian", "jacobian and normal matrix", "jacobian and normal matrix, float32 tiles")

Maker = Callable[[], Iterator[Case]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    dtype = getattr(torch, options.dtype or ("float64" if options.jacobian else "float32"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: expected a CUDA device, torch finds none")
    if options.sizes and not options.jacobian:
        raise SystemExit("--sizes: expected --jacobian beside it; the other kernels have sizes of their own")
    if options.jacobian and (device.type != "cpu" or options.compile or options.cold or options.only):
        raise SystemExit("--jacobian: expected none of --device cuda, --compile, --cold and --only beside it")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.compile:
        # Backward passes are timed again and again on one graph, which must therefore keep its buffers.
        functorch_config.donated_buffer = False
    name, timing, sizes, makers = _jacobian(options, dtype) if options.jacobian else _kernels(options, device, dtype)
    command = command_of(__file__, arguments)
    report = start_report(name, command, device, dtype, timing, quick=options.quick, sizes=sizes)
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=len(makers))
        for title, make in makers:
            tell = partial(_tell, progress, task, title)
            tell("the float64 oracle")
            for case in make():
                report.cases.append(measure(case, device, timing, report.limits_before, tell))
            progress.advance(task)
    finish_report(report, device, dtype)
    if not options.jacobian:
        report.cases.sort(key=lambda case: (case.kernel, case.part))  # stable: sizes stay in their order
    print_table(report)
    if options.output is not None:
        write_json(report, options.output)


def _tell(progress: Progress, task: TaskID, title: str, what: str) -> None:
    """Shows what comes next; without a terminal in a line, where the last one was written LINE_S ago or more."""
    progress.update(task, description=f"{title}: {what}")
    now, fields = time.monotonic(), progress.tasks[task].fields
    if not progress.console.is_terminal and now - fields.get("said", 0.0) >= LINE_S:
        progress.update(task, said=now)
        progress.console.print(f"{title}: {what}", soft_wrap=True)


Plan = tuple[str, Timing, Sequence[tuple[int, ...]], list[tuple[str, Maker]]]


def _kernels(options: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> Plan:
    """Name of the benchmark, timing, sizes, and a title and the cases of each kernel at each size."""
    sizes = QUICK_SIZES if options.quick else SIZES
    place = Place(device, dtype, options.compile)
    makers = [
        (f"{name}, n = {n:,}, width {width}", lambda make=make: cases_of(make(), place.seed + 1))
        for n, width in sizes
        for name, make in kernel_problems(place, n, width)
        if options.only in name
    ]
    if not makers:
        raise SystemExit(f"--only {options.only}: expected part of a kernel's name, it fits none")
    return "kernels", replace(QUICK if options.quick else Timing(), cold=options.cold), sizes, makers


def _jacobian(options: argparse.Namespace, dtype: torch.dtype) -> Plan:
    """The same of the Jacobian."""
    sizes = options.sizes or (QUICK_JACOBIAN_SIZES if options.quick else JACOBIAN_SIZES)
    makers = [
        ("residual_jacobian, {:,} points, width {}, {} layers".format(*size),
         lambda size=size: iter(jacobian_cases(draw_network(*size, dtype=dtype), dtype)))
        for size in sizes
    ]  # fmt: skip
    return "jacobian", QUICK_JACOBIAN if options.quick else JACOBIAN, sizes, makers


def jacobian_rows(network: Network) -> Callable[[], Tensor]:
    """Rows [n * 3, p], into the same memory each time, as in a training."""
    memory: list[Tensor] = []

    def run() -> Tensor:
        _, rows = pinn_ext.residual_jacobian(
            lambda jet: pinn_ext.navier_stokes_residual(jet, NU),
            network.x,
            network.B,
            network.weights,
            network.biases,
            spec=SPEC,
            activation="tanh",
            out=memory[0] if memory else None,
        )
        memory[:] = [rows]
        return rows.flatten(0, 1)

    return run


def vmapped_rows(network: Network) -> Callable[[], Tensor]:
    """The same rows by ``vmap(jacrev)`` of the residual of one point."""
    k = 2.0 * math.pi * network.B
    parameters = network.parameters()
    rows = vmap(jacrev(partial(_residual_of_point, k)), in_dims=(None, 0))

    def run() -> Tensor:
        pieces = [rows(parameters, x) for x in network.x.split(RIVAL_POINTS)]
        return torch.cat([torch.cat([g.flatten(2) for g in piece], dim=2).flatten(0, 1) for piece in pieces])

    return run


def _residual_of_point(k: Tensor, parameters: Sequence[Tensor], x: Tensor) -> Tensor:
    phase = x @ k
    cos, sin, square = torch.cos(phase), torch.sin(phase), k[1].square() + k[2].square()
    first = [torch.cat([-sin * rate, cos * rate]) for rate in k]
    h = torch.stack([torch.cat([cos, sin]), *first, torch.cat([-cos * square, -sin * square])])
    *hidden, (weight, bias) = zip(parameters[::2], parameters[1::2], strict=True)
    for w, b in hidden:
        z = h @ w.T
        f = torch.tanh(z[0] + b)
        slope = 1.0 - f * f
        bending = -2.0 * f * slope * (z[2].square() + z[3].square())
        h = torch.cat([f[None], slope * z[1:4], (bending + slope * z[4])[None]])
    y = h @ weight.T
    (u, v, _), t, dx, dy, laplacian = y[0] + bias, *y[1:]
    momentum = t[:2] + u * dx[:2] + v * dy[:2] + torch.stack([dx[2], dy[2]]) - NU * laplacian[:2]
    return torch.cat([momentum, (dx[0] + dy[1])[None]])


def oracle_rows(network: Network) -> Tensor:
    """The rows in float64 by nested derivatives."""

    def residual(jet: Jet) -> Tensor:
        return reference.navier_stokes_residual(jet, NU)

    given = [network.x, network.B, list(network.weights), list(network.biases)]
    exact = [[t.double() for t in g] if isinstance(g, list) else g.double() for g in given]
    pieces = [
        reference.residual_jacobian(residual, x, *exact[1:], spec=SPEC, activation="tanh")[1]
        for x in exact[0].split(RIVAL_POINTS)
    ]
    return torch.cat(pieces).flatten(0, 1)


def operations(network: Network) -> tuple[int, int]:
    """Of the Jacobian, and of one triangle of the normal matrix.

    A product of each layer forward; for each of the three columns one back to the layer's input (the first has none),
    and one number of the row for each weight from as many numbers as there are streams.
    """
    sizes = [weight.numel() for weight in network.weights]
    products = sum(sizes) + 3 * (2 * sum(sizes) - sizes[0])
    unknowns = sum(t.numel() for t in network.parameters())
    return 2 * SPEC.num_streams * network.num_points * products, 3 * network.num_points * unknowns * (unknowns + 1)


def jacobian_cases(network: Network, dtype: torch.dtype) -> list[Case]:
    """The Jacobian alone, and with its normal matrix."""
    wanted = oracle_rows(network)
    unknowns = wanted.shape[1]
    rows, plain = jacobian_rows(network), vmapped_rows(network)
    square = wanted.new_empty((unknowns, unknowns))
    of_rows, of_matrix = operations(network)

    def product() -> Tensor:
        found = plain()
        return found.T @ found

    def triangle(found: Any) -> list[Tensor]:
        return [found.triu()]

    def normal(products: torch.dtype) -> Callable[[], Tensor]:
        return lambda: pinn_ext.normal_matrix(rows(), products=products, out=square)

    def case(
        part: str,
        candidates: tuple[Candidate, ...],
        reference: Callable[[], list[Tensor]],
        flops: int,
        products: torch.dtype = dtype,
    ) -> Case:
        numbers = wanted.numel() if part == JACOBIAN_PARTS[0] else square.numel()
        size = dtype.itemsize * numbers
        # A phase of some turns is rounded in the rows; a sum over all rows in the matrix.
        tolerance = rounding_tolerance(products, summands=len(wanted), amplification=100.0)
        peak = partial(fma_peak, products == torch.float64, PEAK_MS)
        work = Work(dtype.itemsize * (unknowns + network.x.numel()), size, flops)
        return Case("residual_jacobian", part, network.size, candidates, reference, tolerance, work, "peak", peak)

    alone = (Candidate("pinn_ext", lambda: [rows()]), Candidate("vmap(jacrev)", lambda: [plain()]))
    plain_way = Candidate("vmap(jacrev), J.T @ J", product, triangle)
    exact, flops = cache(lambda: [(wanted.T @ wanted).triu()]), of_rows + of_matrix
    found = [
        case(JACOBIAN_PARTS[0], alone, lambda: [wanted], of_rows),
        case(JACOBIAN_PARTS[1], (Candidate("pinn_ext", normal(dtype), triangle), plain_way), exact, flops),
    ]
    if dtype == torch.float64:
        tiles = Candidate("pinn_ext", normal(torch.float32), triangle)
        found.append(case(JACOBIAN_PARTS[2], (tiles, plain_way), exact, flops, torch.float32))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two smaller sizes, few rounds: about 20 s on two cores")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: float32, of --jacobian float64")
    parser.add_argument("--compile", action="store_true", help="torch.compile of the plain torch code as another rival")
    parser.add_argument("--cold", action="store_true", help="empty the last-level cache before every sample")
    parser.add_argument("--threads", type=int, help="threads of torch and of the kernels (default: torch's choice)")
    parser.add_argument("--only", default="", metavar="TEXT", help="kernels whose name contains TEXT")
    parser.add_argument("--jacobian", action="store_true", help="residual_jacobian and its normal matrix alone")
    parser.add_argument("--sizes", nargs="+", type=size_of, metavar="NxWxL", help="--jacobian: points, width, layers")
    parser.add_argument("--output", "--out", type=Path, metavar="FILE.json", help="all numbers, machine and versions")
    return parser


if __name__ == "__main__":
    main()
