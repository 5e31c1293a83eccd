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
        help="snapshots or a table of measurements; a folder of .npy, a Zarr store; 'piv_*.txt': files as one series",
    )
    inspect.set_defaults(run=_inspect)


def _inspect(options: argparse.Namespace) -> int:
    from pinnx.data.file_summary import summary_of

    if len(options.files) > 1:
        raise PinnxError(
            f"FILE: expected one file, or a pattern in quotes such as 'piv_*.txt', got {len(options.files)}"
        )
    print("\n".join(summary_of(options.files[0])))
    return 0
