"""``pinnx inspect``, ``reference``, ``benchmark`` and ``doctor``: what serves a reconstruction and is none."""

from __future__ import annotations

import argparse
from typing import Any

from pinnx.cli.shared import console_of, load_jobs, require_used
from pinnx.errors import PinnxError

__all__ = ["add_to"]

# Settings of a reference.
USED = ("domain", "flow", "problem", "boundaries", "solver", "evals.grid")
UNUSED = ("solver.beside", "solver.polish")


def add_to(commands: Any) -> None:
    """Adds the four commands."""
    inspect = commands.add_parser(
        "inspect",
        help="show what a file of snapshots holds, and how to use it",
        description="Shows the arrays of a file, what is missing, the divergence, and the lines of YAML to use it.",
    )
    inspect.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="snapshots or a table of measurements; a folder of .npy, a Zarr store; 'piv_*.txt': files as one series; "
        "then data.raw=[...] where it has no header",
    )
    inspect.set_defaults(run=_inspect)

    reference = commands.add_parser(
        "reference",
        help="solve a steady flow in a box with a classical solver",
        description="Solves the steady flow in a box whose sides all have a prescribed velocity, on three grids, and "
        "writes it with its own error, as a file that pinnx reconstruct --data reads.",
        epilog="The sections domain, flow, boundaries and solver are used, such as flow.nu=1e-3; docs/choosing.md says "
        "when this is the better tool.",
    )
    reference.add_argument("config", nargs="?", help="a preset (cavity) or a YAML file")
    reference.add_argument("overrides", nargs="*", metavar="key=value", help="settings that replace those of the file")
    reference.add_argument("--out", metavar="FILE.npz", help="new file for the flow")
    reference.add_argument("--quiet", action="store_true", help="show nothing but errors")
    reference.set_defaults(run=_reference, word="config")

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

    doctor = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Shows what is installed, what is missing, and how to install it.",
    )
    doctor.set_defaults(run=_doctor)


def _inspect(options: argparse.Namespace) -> int:
    from pinnx.config import load_config
    from pinnx.data.file_summary import summary_of
    from pinnx.jobs.cases.load_case import data_mapping

    files = [word for word in options.files if not word.startswith("data.raw")]
    if len(files) != 1:
        raise PinnxError(f"FILE: expected one file, or a pattern in quotes such as 'piv_*.txt', got {len(files)}")
    stated = [word for word in options.files if word not in files]
    raw = data_mapping(load_config(None, [*stated, ("data.path", files[0])])).raw if stated else ()
    print("\n".join(summary_of(files[0], raw)))
    return 0


def _reference(options: argparse.Namespace) -> int:
    if options.config is None or options.out is None:
        missing = "a preset or a configuration" if options.config is None else "--out FILE.npz"
        raise PinnxError(f"reference: expected {missing}, got none (see pinnx reference --help)")
    require_used(options.overrides, USED, UNUSED)
    load_jobs()
    from pinnx.config import load_config
    from pinnx.jobs.reference import make_reference

    # A configuration names a source of data, of which a reference needs none: it will be one.
    source = [("data.synthetic", None), ("data.measurements", None), ("data.path", options.out)]
    make_reference(load_config(options.config, [*options.overrides, *source]), options.out, console=console_of(options))
    return 0


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


def _doctor(options: argparse.Namespace) -> int:
    from pinnx.doctor import findings

    healthy = True
    for item in findings():
        healthy &= item.ok
        print(f"{'ok     ' if item.ok else 'MISSING'}  {item.name}: {item.found}")
        if item.remedy:
            print(f"         -> {item.remedy}")
    return 0 if healthy else 1
