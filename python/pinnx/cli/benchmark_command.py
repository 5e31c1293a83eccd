"""``pinnx benchmark``: speed, memory, choice of sensors and physics at three sizes."""

from __future__ import annotations

import argparse
from typing import Any

from pinnx.cli.shared import console_of, load_jobs
from pinnx.errors import PinnxError

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Adds the command."""
    benchmark = commands.add_parser(
        "benchmark",
        help="measure speed, memory, sensor choice and physics at three sizes",
        description="Trains the lid-driven cavity with the equations at every cell of 32 x 32, 128 x 128 and 512 x 512 "
        "cells, and holds time, memory and sensor choice against limits. What is timed is checked first. The exit "
        "status is 1 where a limit is missed, or a figure is worse than in the baseline.",
        epilog="On two cores the three scales take 6 s, 32 s and 7 minutes of training, quick ones a minute in all; "
        "docs/performance.md explains each figure.",
    )
    add = benchmark.add_argument
    add("--scales", default="small,medium,large", metavar="NAME[,NAME]", help="small, medium, large (default: all)")
    add("--quick", action="store_true", help="10 to 50 epochs in place of 1,000; physics is not judged")
    add("--profile", action="store_true", help="record a few steps of each scale: REPORT-SCALE-profile.json and .txt")
    add("--output", metavar="REPORT.json", help="new file for the report")
    add("--baseline", metavar="REPORT.json", help="an earlier report: each figure is better, the same, or worse")
    add("--quiet", action="store_true", help="show nothing but errors")
    benchmark.set_defaults(run=_benchmark)


def _benchmark(options: argparse.Namespace) -> int:
    if options.output is None:
        raise PinnxError("benchmark: expected --output REPORT.json, got none (see pinnx benchmark --help)")
    load_jobs()
    from pinnx.jobs.benchmarks.benchmark import run_benchmark
    from pinnx.jobs.benchmarks.benchmark_figures import benchmark_table

    console = console_of(options)
    found = run_benchmark(
        [name for name in options.scales.split(",") if name],
        options.output,
        quick=options.quick,
        profile=options.profile,
        baseline=options.baseline,
        say=lambda text: console.print(text, soft_wrap=True),
        command=options.command_line,
    )
    console.print(benchmark_table(found))
    if found["worse"]:
        console.print(f"worse than {options.baseline}: {', '.join(found['worse'])}", soft_wrap=True)
    console.print(f"report: {options.output}", soft_wrap=True)
    return 0 if found["within"] and not found["worse"] else 1
