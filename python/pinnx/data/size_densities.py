"""Measured number densities from a table: one row for each volume at each time."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinnx.data.csv_table import column_key, read_csv_table
from pinnx.errors import PinnxError

__all__ = ["SizeDensities", "read_size_densities"]

COLUMNS = ("t", "v", "f")


class SizeDensities(NamedTuple):
    """What was measured, each [k] float64: time, volume, number density."""

    t: NDArray[np.float64]
    v: NDArray[np.float64]
    f: NDArray[np.float64]


def read_size_densities(path: str | os.PathLike[str]) -> SizeDensities:
    """The columns t, v and f of a table.

    Raises:
        PinnxError: no such file, a column that is missing, a cell that is no number.
    """
    table = read_csv_table(path, COLUMNS)
    names = [column_key(name) for name in table.header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        remedy = "; pinnx breakage --sieves FILE takes sieve data" if "passing" in names else ""
        raise PinnxError(f"{path}: expected columns t, v and f, got {', '.join(table.header)}{remedy}")
    return SizeDensities(*table.numbers([names.index(name) for name in COLUMNS]).T)
