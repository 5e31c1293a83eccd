"""How fast is each kernel, against plain torch and against what the machine can do?

    python benchmarks/bench_kernels.py [--quick] [--device cuda] [--dtype float64] [--compile] [--output FILE.json]

Every result is held against the float64 oracle before and after it is timed; a wrong one ends the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch._functorch.config as functorch_config
from harness import Timing, measure
from kernel_problems import Place, cases_of, kernel_problems
from results import finish_report, print_table, start_report, write_json
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

SIZES = ((1024, 64), (4096, 128), (16384, 256))  # points, features
QUICK_SIZES = SIZES[:2]
QUICK = Timing(budget_s=0.05, min_rounds=3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: expected a CUDA device, torch finds none")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.compile:
        # Backward passes are timed again and again on one graph, which must therefore keep its buffers.
        functorch_config.donated_buffer = False
    timing = replace(QUICK if options.quick else Timing(), cold=options.cold)
    sizes = QUICK_SIZES if options.quick else SIZES
    place = Place(device, dtype, options.compile)
    problems = [
        (f"{name}, n = {n:,}, width {width}", make)
        for n, width in sizes
        for name, make in kernel_problems(place, n, width)
        if options.only in name
    ]
    if not problems:
        raise SystemExit(f"--only {options.only}: expected part of a kernel's name, it fits none")

    command = " ".join(["python benchmarks/bench_kernels.py", *(sys.argv[1:] if arguments is None else arguments)])
    report = start_report("kernels", command, device, dtype, timing, quick=options.quick, sizes=sizes)
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=len(problems))
        for name, make in problems:
            progress.update(task, description=name)
            for case in cases_of(make(), place.seed + 1):
                report.cases.append(measure(case, device, timing, report.limits_before))
            progress.advance(task)
    finish_report(report, device, dtype)
    report.cases.sort(key=lambda case: (case.kernel, case.part))  # stable: sizes stay in their order
    print_table(report)
    if options.output is not None:
        write_json(report, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two smaller sizes, few rounds: about 20 s on two cores")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile of the plain torch code as another rival")
    parser.add_argument("--cold", action="store_true", help="empty the last-level cache before every sample")
    parser.add_argument("--threads", type=int, help="threads of torch and of the kernels (default: torch's choice)")
    parser.add_argument("--only", default="", metavar="TEXT", help="kernels whose name contains TEXT")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write all numbers, machine and versions")
    return parser


if __name__ == "__main__":
    main()
