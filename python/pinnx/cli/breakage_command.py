"""``pinnx breakage``: the population balance of breakage by a network, beside two classical solvers."""

from __future__ import annotations

import argparse
from typing import Any

from pinnx.cli.reconstruct_command import add_showing, run_job
from pinnx.cli.shared import load_jobs
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
    job.add_argument("--out", metavar="DIR", help="new folder for the files of the run (default: CASE_run)")
    add_showing(job)
    job.set_defaults(run=_breakage, word="config")


def _breakage(options: argparse.Namespace) -> int:
    job = load_jobs()
    from pinnx.config import load_config

    if options.config is None:
        raise PinnxError("breakage: expected case1, case2, case3, case4 or a YAML file, got none")
    config = load_config(options.config, options.overrides)
    if config.problem.kind != "breakage":
        raise PinnxError(f"breakage: expected a problem of kind breakage, got {config.problem.kind}; use reconstruct")
    if options.out is None:
        if config.problem.case is None:
            raise PinnxError("breakage: expected --out DIR beside a file, got none")
        options.out = f"{config.problem.case}_run"
    return run_job(job, config, options)
