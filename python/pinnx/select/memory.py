"""Memory that a user allows: how it is written, and what is to be read in blocks so that it holds."""

from __future__ import annotations

import math
import re

from pinnx.errors import PinnxError

__all__ = ["parse_size", "shown_size", "work_bytes"]

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([KMGT]I?)?B?", re.IGNORECASE)
# Blocks of products and tables, whatever the size of the data.
SCRATCH_BYTES = 32 * 2**20
# Sums in float64 and masks of the places, in rows.
SPARE_ROWS = 16


def parse_size(text: str) -> int:
    """Return the bytes of "512MB" (10^6), "1.5GiB" (2^30), "800000".

    Raises:
        PinnxError: no such size.
    """
    found = SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * UNITS[(found[2] or "").upper()]) if found else 0
    if size < 1:
        raise PinnxError(f"--memory-limit: expected a size such as 512MB or 1.5GiB, got {text!r}")
    return size


def shown_size(num_bytes: int) -> str:
    """Return a size as it may be asked for, rounded up: "1234MB"."""
    return f"{math.ceil(num_bytes / 10**6)}MB"


def work_bytes(num_numbers: int, itemsize: int, num_modes: int) -> int:
    """Return what choosing by modes takes, beside the snapshots.

    Args:
        num_numbers: n c, of one snapshot.
        itemsize: bytes of a number.
        num_modes: r.
    """
    # Modes and what is sketched beyond them, their scaled copy, and what a factorisation makes.
    return (3 * (num_modes + 10) + SPARE_ROWS) * num_numbers * itemsize + SCRATCH_BYTES
