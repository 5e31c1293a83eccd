"""``pinnx breakage``: a network of the population balance beside two classical solvers, or a fit to sieve data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pinnx.cli.reconstruct_command import add_showing, run_job
from pinnx.cli.shared import console_of, load_jobs
from pinnx.errors import PinnxError

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Adds the command."""
    job = commands.add_parser(
        "breakage",
        help="sizes of breaking particles over time, or their kinetics from measured sizes",
        description="Solves the population balance of breakage by a network, and by classical solvers beside it.",
        epilog="Overrides are dotted keys with YAML values, such as train.steps=1000 or breakage.loss=adaptive_huber; "
        "docs/configuration.md lists every key, docs/breakage.md the cases.",
    )
    job.add_argument("config", nargs="?", help="case1, case2, case3, case4, or a YAML file")
    job.add_argument("overrides", nargs="*", metavar="key=value", help="settings that replace those of the file")
    job.add_argument("--out", metavar="DIR", help="new folder for the files of the run (default: CONFIG_run)")
    job.add_argument(
        "--sieves",
        metavar="FILE.csv",
        help="fit the kinetics to sieve data (time, diameter, passing), without a network",
    )
    job.add_argument("--find", metavar="NAMES", help="with --sieves: which of s0, a, c, q (default: s0,a)")
    job.add_argument(
        "--threshold", type=float, metavar="V", help="with --sieves: the volume up to which nothing breaks (default: 0)"
    )
    job.add_argument(
        "--daughters",
        metavar="C,Q",
        help="with --sieves: exponents of the daughters' sizes, z^c (1 - z)^q (default: 0,0); with c or q among those "
        "to find the first guess",
    )
    add_showing(job)
    job.set_defaults(run=_breakage, word="config")


def _breakage(options: argparse.Namespace) -> int:
    if options.sieves is not None:
        return _sieves(options)
    for name in ("find", "threshold", "daughters"):
        if getattr(options, name) is not None:
            raise PinnxError(f"--{name}: expected together with --sieves")
    job = load_jobs()
    from pinnx.config import load_config

    if options.config is None:
        raise PinnxError("breakage: expected case1, case2, case3, case4 or a YAML file, got none")
    config = load_config(options.config, options.overrides)
    if config.problem.kind != "breakage":
        raise PinnxError(f"breakage: expected a problem of kind breakage, got {config.problem.kind}; use reconstruct")
    if options.out is None:
        options.out = f"{Path(options.config).stem}_run"
    return run_job(job, config, options)


def _sieves(options: argparse.Namespace) -> int:
    """Prints the kinetics found; nothing is written."""
    from pinnx.physics import Daughters, Kinetics
    from pinnx.solvers.breakage import fit_sieves, read_sieves

    if options.config is not None or options.out is not None:
        raise PinnxError("--sieves: expected no case, setting or --out beside it, as no network is trained")
    measured = read_sieves(options.sieves)
    try:
        c, q = map(float, (options.daughters or "0,0").split(","))
    except ValueError:
        raise PinnxError(f"--daughters: expected two numbers, such as 0,1, got {options.daughters}") from None
    last = measured.times[-1] if measured.times[-1] > 0 else 1.0  # the fit says what is wrong with the times
    guess = Kinetics(1.0 / (last * measured.v[-1]), 1.0, options.threshold or 0.0, Daughters(c, q))
    fit = fit_sieves(measured, guess, unknown=(options.find or "s0,a").split(","))
    console = console_of(options)
    console.print(f"S = s0 v^a, from {len(measured.v)} sieves at {len(measured.times)} times; intervals of 95 %")
    for name, found in fit.found.items():
        console.print(f"{name:4}{found.value:11.4g}   {found.low:.4g} to {found.high:.4g}")
    console.print(f"misfit of the shares: {fit.misfit:.2g} (root mean square, of the whole)")
    return 0
