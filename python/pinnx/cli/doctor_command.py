"""``pinnx doctor``: what is installed, what is missing."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Adds the command."""
    doctor = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Shows what is installed, what is missing, and how to install it.",
    )
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from pinnx.doctor import findings

    healthy = True
    for item in findings():
        healthy &= item.ok
        print(f"{'ok     ' if item.ok else 'MISSING'}  {item.name}: {item.found}")
        if item.remedy:
            print(f"         -> {item.remedy}")
    return 0 if healthy else 1
