"""``pinnx reference``: a steady flow in a box by a classical solver."""

from __future__ import annotations

import argparse
from typing import Any

from pinnx.cli.shared import console_of, load_jobs, require_used
from pinnx.errors import PinnxError

__all__ = ["add_to"]


USED = ("domain", "flow", "problem", "boundaries", "solver", "evals.grid")
UNUSED = ("solver.beside", "solver.polish")


def add_to(commands: Any) -> None:
    """Adds the command."""
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
