"""Measurements of a flow: one row of a table = what one sensor saw at one time.

    t,x,y,u,v              t is optional (a steady flow has none), z makes three dimensions;
    0.0,0.25,0.5,1.0,0.1   of u, v[, w], p and speed any part may be measured, and cells may be empty

p is the kinematic pressure, speed the length of the velocity where its direction is not known. How tables are read, and
their units: csv_table.py, column_units.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pinnx.data.column_units import parse_unit, refuse_foreign_units, scales_to_si, split_unit, unit_notes
from pinnx.data.csv_table import CsvTable, column_key, read_csv_table
from pinnx.data.measured_rows import Measurements, repeated_rows, values_to_doubt, what_to_know
from pinnx.data.snapshots import AXIS_NAMES
from pinnx.data.table_cells import shortened
from pinnx.data.vector_marks import LIKE_MARKS, MARKS, valid_rows
from pinnx.errors import PinnxError

__all__ = ["Columns", "Measurements", "read_measurements"]

COORDINATES = ("t", "x", "y", "z")
MEASURED = ("u", "v", "w", "p", "speed")
DEVIATIONS = tuple(f"{name}_std" for name in MEASURED)
# Names of rows that sum up others, of angles, and of times.
LIKE_SUMS = re.compile(r"(mean|average|avg|total|sum|std|median|mittel|summe)\b", re.IGNORECASE)
LIKE_ANGLES = re.compile(r"lat|lon|latitude|longitude|theta|phi|angle", re.IGNORECASE)
LIKE_TIMES = re.compile(r"zeit|temps|tiempo|tempo|date|datum|stamp|frame|step", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what.

    Args:
        t, x, y, z, u, v, w, p, speed: a name in the header, whose capitals and unit do not count, or a number from 1;
            None: not read. A column that has its own name here may be absent, but for x and y.
        u_std, v_std, w_std, p_std, speed_std: the same of standard deviations.
        flagged: whether rows count that a column of MARKS (flags, mask, CHC, ...) marks as not measured.
        units: "kept", or "si": convert all columns to m and s by the units in the header.
        missing: numbers of the file that stand for none among what was measured; (): none do; None: not known, and
            what looks like one is refused.
    """

    t: str | int | None = "t"
    x: str | int | None = "x"
    y: str | int | None = "y"
    z: str | int | None = "z"
    u: str | int | None = "u"
    v: str | int | None = "v"
    w: str | int | None = "w"
    p: str | int | None = "p"
    speed: str | int | None = "speed"
    u_std: str | int | None = "u_std"
    v_std: str | int | None = "v_std"
    w_std: str | int | None = "w_std"
    p_std: str | int | None = "p_std"
    speed_std: str | int | None = "speed_std"
    flagged: bool = False
    units: str = "kept"
    missing: tuple[float, ...] | None = None


def read_measurements(
    path: str | os.PathLike[str], columns: Columns | None = None, *, plane: bool | None = None
) -> Measurements:
    """Read a table of measurements.

    Args:
        path: a text file; see csv_table.py.
        columns: which column is what; None: each has its own name.
        plane: False: in three dimensions where there is a z; True: in the plane of x and y; None: in the plane if z is
            the same in all rows.

    Returns:
        The measurements, rows in the order of the file.

    Raises:
        PinnxError: no such file; no columns x and y, or nothing measured; units that contradict each other; a cell that
            is no number (the line and the column are named).
    """
    path, columns = Path(path), columns or Columns()
    named = [name for name in (columns.x, columns.y) if isinstance(name, str)]
    table = read_csv_table(path, named)
    if not table.header:
        raise PinnxError(f"{path}: expected a header line t,x,y,u,v, got an empty file")
    found = _columns_of(table, columns)
    if not table.rows:
        raise PinnxError(f"{path.name}: expected rows of numbers below the header, got none")
    notes: list[str] = []
    values = _values_of(table, found, columns)
    _choose_dimensions(values, plane, notes)
    chosen = _measured_rows(table, columns, values, notes)
    if not chosen.any():
        raise PinnxError(f"{path.name}: expected rows that were measured, got none. {' '.join(notes)}")
    lines = np.array([line for line, _ in table.rows])[chosen]
    try:
        seen = {name: values[name][chosen] for name in MEASURED if name in values}
        notes += values_to_doubt(seen, lines, columns.missing)
        notes += _convert(values, {name: table.header[found[name]] for name in found}, columns.units)
    except PinnxError as error:
        raise PinnxError(f"{path.name}: {error}") from None
    notes += _ignored(table, found, columns)
    rows = _arranged({name: column[chosen] for name, column in values.items()}, notes)
    repeated, contradicting = repeated_rows(rows, lines)
    if rows.steady and 2 * contradicting >= rows.num_rows and columns.t is not None:
        _refuse_times_unused(table, found, contradicting)
    notes += what_to_know(rows, lines) + repeated
    return replace(rows, source=str(path), notes=tuple(notes))


def _of(marked: np.ndarray) -> str:
    return f"{np.count_nonzero(marked):,} of {marked.size:,}"


def _columns_of(table: CsvTable, columns: Columns) -> dict[str, int]:
    """The index of each column that is there, by what it is."""
    found = {}
    for quantity in (*COORDINATES, *MEASURED, *DEVIATIONS):
        wanted = getattr(columns, quantity)
        index = None if wanted is None else _index_of(table, quantity, wanted)
        if index is not None:
            found[quantity] = index
        elif wanted is not None and wanted != quantity:
            raise PinnxError(f"{table.path.name}: no column {wanted!r} for {quantity}; it has {_shown(table)}")
    if not ("x" in found and "y" in found and any(name in found for name in MEASURED)):
        missing = [name for name in ("x", "y") if name not in found] or ["one of u, v, p, speed"]
        given = "x: NAME, y: NAME, u: NAME, v: NAME"
        if table.header[0] == "1" and len(table.header) > 1:
            given = "x: 1, y: 2, u: 3, v: 4"
        raise PinnxError(
            f"{table.path.name}: expected columns x, y and u, v, missing {', '.join(missing)}; it has {_shown(table)}. "
            f"{_suffixes_unread(table, missing)}"
            f"Say which is what: 'data.measurements={{path: {table.path.name}, {given}}}'"
        )
    return found


def _suffixes_unread(table: CsvTable, missing: Collection[str]) -> str:
    """A sentence where columns are named like what is missing, but for an end that is no unit that is read."""
    wanted = [*(name for name in missing if name in COORDINATES), *(MEASURED if len(missing) == 1 else ())]
    like = [name for name in table.header if name.partition("_")[0].casefold() in wanted and "_" in name]
    if not like:
        return ""
    return (
        f"Ends of {shortened(', '.join(like))} are not read; units are, as in x_mm, t_s, u_mps, u_m_s, u_mm_s, u_cm/s "
        "or u [m/s]. "
    )


def _index_of(table: CsvTable, quantity: str, wanted: str | int) -> int | None:
    """The index of a column by its name or number; None where there is none."""
    if isinstance(wanted, int):
        return wanted - 1 if wanted <= len(table.header) else None
    names = {wanted, wanted.casefold()} | ({"time"} if wanted == "t" else set())
    for key in (str, str.casefold, column_key, lambda name: _without_known_unit(quantity, name, names)):
        matches = [index for index, name in enumerate(table.header) if key(name) in names]
        if len(matches) > 1:
            raise PinnxError(
                f"{table.path.name}: expected each column once, got {wanted!r} more than once; "
                f"a column number chooses: data.measurements.{quantity}={matches[0] + 1}"
            )
        if matches:
            return matches[0]
    return None


def _without_known_unit(quantity: str, name: str, wanted: Collection[str]) -> str:
    """X mm is x in mm, and x/D is not x; only a unit that is known makes a name of two parts a name and a unit."""
    first, text = split_unit(name)
    unit = parse_unit(quantity, text) if text and first.casefold() in wanted else None
    return (first if unit is not None and unit.known else name).casefold()


def _shown(table: CsvTable) -> str:
    if table.header == ("1",):
        return f"lines such as {shortened(repr(table.rows[0][1][0]), 60)}, which are no rows of numbers"
    if table.header[0] == "1":
        return f"{len(table.header)} columns without names, {table.separated}"
    if len(table.header) == 1:
        return f"one column, {table.header[0]!r}: columns are separated by commas, semicolons, tabs or spaces"
    return f"{shortened(', '.join(table.header))} ({table.separated})"


def _values_of(table: CsvTable, found: Mapping[str, int], columns: Columns) -> dict[str, np.ndarray]:
    """The numbers of each column by what it is, in the units of the file; NaN where nothing was measured."""
    optional = {found[name] for name in (*MEASURED, *DEVIATIONS) if name in found}
    numbers = table.numbers(list(found.values()), optional=optional)
    return {
        name: np.where(np.isin(column, columns.missing or ()), np.nan, column) if name in MEASURED else column
        for name, column in zip(found, numbers.T, strict=True)
    }


def _convert(values: dict[str, np.ndarray], headings: Mapping[str, str], units: str) -> list[str]:
    """Brings values to the units that are wanted; what must be known of them."""
    split = {name: split_unit(heading) for name, heading in headings.items()}
    parsed = {name: parse_unit(name, unit) for name, (_, unit) in split.items()}
    refuse_foreign_units(headings)
    # T beside x is often a temperature; beside X it is one of a set of capitals.
    doubted = split.get("t", ("", ""))[0] == "T" and split["x"][0] == "x" and parsed["t"] is None
    notes = ["Column T is taken for the time; data.measurements.t=null leaves it out."] if doubted else []
    angles = [split[axis][0] for axis in "xyz" if axis in split and LIKE_ANGLES.fullmatch(split[axis][0])]
    if angles:
        notes.append(f"Look at {', '.join(angles)}: x, y and z are lengths along straight axes; convert angles before.")
    if units == "si":
        factors, said = scales_to_si(parsed)
        for name in values:
            values[name] = values[name] * factors[name]
    else:
        said = unit_notes(parsed)
    return notes + said


def _choose_dimensions(values: dict[str, np.ndarray], plane: bool | None, notes: list[str]) -> None:
    """Takes z and w out where the flow is that of a plane."""
    z = values.get("z")
    if z is not None and (plane is False or (plane is None and (len(z) == 1 or (z != z[0]).any()))):
        return
    w = values.pop("w", None)
    values.pop("w_std", None)
    if z is not None:
        del values["z"]
        also = "" if w is None else ", and w is not used"
        where = f"{z[0]:g} in all rows" if plane is None else f"{z.min():g} to {z.max():g}"
        notes.append(f"z is {where}: the flow is taken in the plane of x and y{also}.")
    elif w is not None:
        notes.append("w is not used: the rows have no z, so the flow is taken in the plane of x and y.")


def _measured_rows(table: CsvTable, columns: Columns, values: Mapping[str, np.ndarray], notes: list[str]) -> np.ndarray:
    """Rows with a measured number that no column of marks calls invalid, [rows] bool; what is left out is noted."""
    measured = {name: np.isfinite(values[name]) for name in MEASURED if name in values}
    chosen, said = (np.ones(len(table.rows), dtype=bool), []) if columns.flagged else valid_rows(table)
    notes += said
    empty = chosen & ~np.any(list(measured.values()), axis=0)
    if empty.any():
        notes.append(f"{_of(empty)} rows have no number in {', '.join(measured)} and are left out.")
    chosen &= ~empty
    for name, known in measured.items():
        if chosen.any() and not known[chosen].all():
            notes.append(f"{name} is missing in {_of(~known[chosen])} rows and counts as not measured there.")
    return chosen


def _ignored(table: CsvTable, found: Mapping[str, int], columns: Columns) -> list[str]:
    used = set(found.values())
    others = [
        f"column {index + 1}" if name.isdigit() or not name else name
        for index, name in enumerate(table.header)
        if index not in used and (columns.flagged or column_key(name) not in MARKS)
    ]
    notes = [f"Columns that are not used: {shortened(', '.join(others))}."] if others else []
    if table.commented:
        shown = shortened(", ".join(map(str, table.commented)), 60)
        notes.append(f"{len(table.commented):,} rows begin with # and are left out: lines {shown}.")
    sums = [line for line, row in table.rows if 0 not in used and LIKE_SUMS.match(row[0])]
    if sums:
        notes.append(f"Look at line {sums[0]}: if it sums up other rows, leave it out of the file.")
    if like := [] if columns.flagged else [name for name in others if LIKE_MARKS.search(name)]:
        notes.append(f"Look at {shortened(', '.join(like))}: if it marks bad rows, leave these out of the file.")
    return notes


def _refuse_times_unused(table: CsvTable, found: Mapping[str, int], contradicting: int) -> None:
    """Refuses a steady flow of rows that contradict each other where a column may be the time."""
    unused = [name for index, name in enumerate(table.header) if index not in set(found.values()) and name]
    likely = []
    for name in unused:
        unit = parse_unit("t", split_unit(name)[1])
        if LIKE_TIMES.search(name) or (unit is not None and unit.known):
            likely.append(name)
    if unused:
        shown = shortened(", ".join(likely or unused), 100)
        raise PinnxError(
            f"{table.path.name}: expected a column t, as {contradicting:,} of {len(table.rows):,} rows have the place "
            f"of an earlier one with other values; is the time in {shown}? Name it by data.measurements.t=NAME; "
            "t=null takes the flow as steady"
        )


def _arranged(values: Mapping[str, np.ndarray], notes: list[str]) -> Measurements:
    """The rows as arrays; a speed beside all components of the velocity says nothing new and is left out."""
    dim = 3 if "z" in values else 2
    unknown = np.full(len(values["x"]), np.nan)
    velocity = np.column_stack([values.get(name, unknown) for name in ("u", "v", "w")[:dim]])
    speed, pressure = values.get("speed"), values.get("p")
    if speed is not None:
        known = np.isfinite(velocity).all(axis=1)
        if (known & np.isfinite(speed)).any():
            notes.append(
                f"speed is not used in {_of(known)} rows, as all components of the velocity are measured there."
            )
        speed = np.where(known, np.nan, speed)
    deviations = {name: values[f"{name}_std"] for name in MEASURED if name in values and f"{name}_std" in values}
    for name, deviation in deviations.items():
        known = np.isfinite(values[name])
        if not (deviation[known] > 0.0).all():
            raise PinnxError(
                f"{name}_std: expected a standard deviation > 0 in each row with {name}, "
                f"got {deviation[known][~(deviation[known] > 0.0)][0]:g}; data.measurements.{name}_std=null leaves the "
                "column out"
            )
    coordinates = [values[name] for name in ("t", *AXIS_NAMES[:dim]) if name in values]
    return Measurements(
        np.column_stack(coordinates),
        velocity,
        pressure=pressure if pressure is not None and np.isfinite(pressure).any() else None,
        speed=speed if speed is not None and np.isfinite(speed).any() else None,
        deviations=deviations,
    )
