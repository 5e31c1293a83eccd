"""``pinnx inspect``: what a file of arrays holds, and the lines of YAML that would use it."""

from __future__ import annotations

import argparse
from typing import Any

from pinnx.errors import PinnxError

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Adds the command."""
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
