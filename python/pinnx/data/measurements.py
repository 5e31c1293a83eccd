"""Velocities that somebody measured: one CSV row = one sensor at one time.

    t,x,y,u,v              t is optional (a steady flow has none);
    0.0,0.25,0.5,1.0,0.1   z and w come together in three dimensions

Columns may stand in any order; empty lines and lines that begin with # are skipped. Rows are named
in errors by their line number in the file, as an editor shows it.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
    """

    coordinates: np.ndarray
    velocity: np.ndarray
    source: str = ""

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
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PinnxError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PinnxError(f"{path}: expected a CSV text file in UTF-8, got: {error}") from None

    rows = _numbered_rows(text)
    if not rows:
        raise PinnxError(f"{path}: expected a header line t,x,y,u,v, got an empty file")
    header = [name.strip() for name in rows[0][1]]
    coordinate_names, velocity_names = _columns_of(header, path.name)
    if len(rows) == 1:
        raise PinnxError(f"{path.name}: expected rows of numbers below the header, got none")
    table = np.array([_numbers(row, header, line, path.name) for line, row in rows[1:]])
    return Measurements(
        coordinates=table[:, [header.index(name) for name in coordinate_names]],
        velocity=table[:, [header.index(name) for name in velocity_names]],
        source=str(path),
    )


def _numbered_rows(text: str) -> list[tuple[int, list[str]]]:
    """Split into (line number, cells), without empty lines and comments."""
    return [
        (number, next(csv.reader([line])))
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _columns_of(header: list[str], file_name: str) -> tuple[list[str], list[str]]:
    """Return the names of the coordinates and of the velocity components, in house order."""
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


def _numbers(row: list[str], header: list[str], line: int, file_name: str) -> list[float]:
    if len(row) != len(header):
        raise PinnxError(
            f"{file_name}, line {line}: expected {len(header)} values ({','.join(header)}), got {len(row)}"
        )
    values = []
    for name, cell in zip(header, row, strict=True):
        try:
            value = float(cell)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise PinnxError(f"{file_name}, line {line}, column {name}: expected a finite number, got {cell.strip()!r}")
        values.append(value)
    return values
