"""Measured velocities: one CSV row = one sensor at one time.

    t,x,y,u,v              t is optional (a steady flow has none);
    0.0,0.25,0.5,1.0,0.1   z and w come together in three dimensions

Columns may stand in any order; empty lines and lines that begin with # are skipped. Rows are named
in errors by their line number in the file, as an editor shows it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnx.data.csv_table import read_csv_table
from pinnx.errors import PinnxError

__all__ = ["Measurements", "read_measurements"]

KNOWN_COLUMNS = ("t", "x", "y", "z", "u", "v", "w")


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measured velocities, row by row.

    Args:
        coordinates: [rows, 1 + d] float64, columns t, x, y[, z]; [rows, d] without t if steady.
        velocity: [rows, d] float64, columns u, v[, w].
        source: where the measurements came from.
        notes: sentences about what was left out of the file, averaged or assumed.
    """

    coordinates: np.ndarray
    velocity: np.ndarray
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return int(self.velocity.shape[1])

    @property
    def num_rows(self) -> int:
        """Number of rows: measurements of one place at one time."""
        return int(self.velocity.shape[0])

    @property
    def steady(self) -> bool:
        """Whether the rows have no time."""
        return bool(self.coordinates.shape[1] == self.dim)

    @property
    def times(self) -> np.ndarray | None:
        """[rows] float64, the time of each row; None where steady."""
        return None if self.steady else self.coordinates[:, 0]

    def positions(self) -> np.ndarray:
        """Return the distinct places [k, d] float64, in the order of their first row."""
        places = self.coordinates[:, -self.dim :]
        _, first = np.unique(places, axis=0, return_index=True)
        return places[np.sort(first)]


def read_measurements(path: str | os.PathLike[str]) -> Measurements:
    """Read a CSV file with the columns t, x, y[, z], u, v[, w]; t is optional.

    Args:
        path: the file; UTF-8, comma-separated, one header line.

    Returns:
        The measurements, rows in the order of the file.

    Raises:
        PinnxError: no such file, a column missing, unknown or given twice, or a value that is
            missing, no number, NaN or infinite (the line and the column are named).
    """
    path = Path(path)
    table = read_csv_table(path)
    if not table.header:
        raise PinnxError(f"{path}: expected a header line t,x,y,u,v, got an empty file")
    coordinate_names, velocity_names = _columns_of(table.header, path.name)
    if not table.rows:
        raise PinnxError(f"{path.name}: expected rows of numbers below the header, got none")
    numbers = table.numbers()
    return Measurements(
        coordinates=numbers[:, [table.header.index(name) for name in coordinate_names]],
        velocity=numbers[:, [table.header.index(name) for name in velocity_names]],
        source=str(path),
    )


def _columns_of(header: tuple[str, ...], file_name: str) -> tuple[list[str], list[str]]:
    """Return the names of the coordinates and of the velocity components, in their own order."""
    for name in header:
        if name not in KNOWN_COLUMNS:
            raise PinnxError(f"{file_name}: expected columns out of {', '.join(KNOWN_COLUMNS)}, got {name!r}")
        if header.count(name) > 1:
            raise PinnxError(f"{file_name}: expected each column once, got {name!r} more than once")
    spatial = "z" in header or "w" in header
    time = ["t"] if "t" in header else []
    coordinates = [*time, "x", "y", "z"] if spatial else [*time, "x", "y"]
    velocity = ["u", "v", "w"] if spatial else ["u", "v"]
    missing = [name for name in coordinates + velocity if name not in header]
    if missing:
        raise PinnxError(
            f"{file_name}: expected columns {','.join(coordinates + velocity)}, missing {', '.join(missing)}"
        )
    return coordinates, velocity
