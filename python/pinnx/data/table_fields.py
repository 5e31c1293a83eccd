"""A field in a text file, a row for each place at each time, as arrays on a grid: of PIV programs and spreadsheets.

    x, y[, z], t    columns of these names          ->  meshgrid arrays [n_x, n_y[, n_z]], which settle the axes; t [T]
    others          columns u, Vx, ...              ->  [T, n_x, n_y[, n_z]], T where there is t; NaN where no row is

Rows that a column of marks calls invalid (PIVlab, OpenPIV, Insight, DaVis: `vector_marks.MARKS`) have no values. Places
that are no grid are points [n], as long as they are as many at each time.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pinnx.data.array_files import ArrayFile
from pinnx.data.column_units import parse_unit, split_unit
from pinnx.data.csv_table import CsvTable, column_key, read_csv_table
from pinnx.data.vector_marks import MARKS, valid_rows
from pinnx.errors import PinnxError

__all__ = ["TABLES", "is_field", "table_fields"]

TABLES = (".csv", ".txt", ".tsv", ".dat", ".vec", ".tec")
# Fewer are the sensors of a table of measurements; and of a grid so many places have rows, the others are masked.
FEWEST_PLACES, FILLED, FEW_FILLED = 100, 0.25, 0.75


def table_fields(path: Path) -> ArrayFile:
    """Read a field out of a table.

    Raises:
        PinnxError: no such file, cells that are no numbers, or places that are neither a grid nor a field.
    """
    table = read_csv_table(path)
    columns, units, notes = _columns(table)
    constants = {} if table.time is None else {"SOLUTIONTIME": np.array([table.time])}
    if "x" not in columns or "y" not in columns:
        return _file(path, columns | constants, units, notes)
    space = [axis for axis in "xyz" if axis in columns and np.ptp(columns[axis]) > 0.0]
    places, place_of = np.unique(np.column_stack([columns[name] for name in space]), axis=0, return_inverse=True)
    times, time_of = np.zeros(1), np.zeros(len(place_of), dtype=np.int64)
    if "t" in columns:
        times, time_of = np.unique(columns["t"], return_inverse=True)
    lines = [np.unique(column) for column in places.T]
    shape = tuple(line.size for line in lines)
    filled = len(places) / np.prod(shape)
    grid = min(shape) > 1 and filled >= (FILLED if len(places) >= FEWEST_PLACES else FEW_FILLED)
    count = np.bincount(time_of * len(places) + place_of.reshape(-1), minlength=len(times) * len(places))
    if count.max() > 1:
        first = int(np.argmax(count > 1)) % len(places)
        where = ", ".join(f"{number:.6g}" for number in places[first])
        raise PinnxError(
            f"{path.name}: expected one row for each place and time, got {count.max()} at ({where}); name "
            "the column of the times t, or write a file for each time, FILE_*.txt"
        )
    if not grid and (len(places) < FEWEST_PLACES or count.min() < 1):
        raise PinnxError(
            f"{path.name}: expected a field, rows on a grid or at {FEWEST_PLACES} places or more at each time, got "
            f"{len(places):,} places; a table of measurements is named by data.measurements={path.name}"
        )
    where = tuple(np.searchsorted(line, column) for line, column in zip(lines, places.T, strict=True))
    index = (time_of, *(axis[place_of.reshape(-1)] for axis in where)) if grid else (time_of, place_of.reshape(-1))
    kept = shape if grid else (len(places),)
    arrays: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        if name in space:
            mesh = np.meshgrid(*lines, indexing="ij") if grid else places.T
            arrays[name] = mesh[space.index(name)]
        elif name == "t":
            arrays[name] = times
        else:
            found = np.full((len(times), *kept), np.nan)
            found[index] = column
            arrays[name] = found if "t" in columns else found[0]
    return _file(path, arrays | constants, units, notes)


def is_field(path: str | os.PathLike[str]) -> bool:
    """Whether a table holds a field on a grid of so many places that its rows are no sensors."""
    try:
        x = table_fields(Path(path)).arrays.get("x")
    except PinnxError:
        return False
    return x is not None and x.ndim > 1 and x.size >= FEWEST_PLACES


def _columns(table: CsvTable) -> tuple[dict[str, np.ndarray], dict[str, str], list[str]]:
    """The columns of numbers by name, their units, and what was left out."""
    columns: dict[str, np.ndarray] = {}
    units: dict[str, str] = {}
    notes: list[str] = []
    valid, _ = valid_rows(table)
    for index, heading in enumerate(table.header):
        if column_key(heading) in MARKS:
            continue
        column = table.numbers([index], optional={index})[:, 0]
        name, unit = _name_and_unit(heading)
        name = heading if name in columns else name  # U beside u
        if name in columns:
            raise PinnxError(
                f"{table.path.name}: expected each column once, got {name!r} more than once; rename or remove one"
            )
        columns[name], units[name] = column, unit
    for name, column in columns.items():
        if name in ("t", "x", "y", "z"):
            if not np.isfinite(column).all():
                raise PinnxError(f"{table.path.name}: expected a number in each row of {name}, got none in some")
        else:
            columns[name] = np.where(valid, column, np.nan)
    if not valid.all():
        notes.append(
            f"{np.count_nonzero(~valid):,} of {valid.size:,} rows have no values: they are marked as not measured"
        )
    return columns, units, notes


def _name_and_unit(heading: str) -> tuple[str, str]:
    """X [mm] is x in mm, and "Vx mean" one name: only a unit that is known makes two of words without brackets."""
    name, unit = split_unit(heading)
    if (
        unit
        and not set(heading) & set("[(")
        and not any((u := parse_unit(q, unit)) and u.known for q in ("t", "x", "u"))
    ):
        name, unit = heading, ""
    usual = "t" if name.casefold() == "time" else name.casefold()
    return (usual if usual in ("t", "x", "y", "z", "u", "v", "w", "p") else name), unit


def _file(path: Path, arrays: dict[str, np.ndarray], units: dict[str, str], notes: list[str]) -> ArrayFile:
    of_arrays = {name: {"units": unit} for name, unit in units.items() if unit}
    return ArrayFile(path, arrays, of_arrays=of_arrays, done={note: [] for note in notes})
