"""What was measured, row by row, and what must be known of it before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pinnx.data.odd_values import MARK_BEYOND, MARK_FROM, MARK_NUMBERS, copies_in, jump_of
from pinnx.data.table_cells import shortened
from pinnx.errors import PinnxError

__all__ = ["Measurements", "measured_columns", "repeated_rows", "values_to_doubt", "what_to_know"]

# Pairs of rows that a note lists.
PAIRS_SHOWN = 3
# Flows have a pressure of about one square of their velocity; far more is absolute, or not divided by the density.
PRESSURE_OF_VELOCITY = 100.0
# Rows at rest, and their share, from which on they are more than a sensor on a wall.
FEWEST_STILL, STILL_SHARE = 3, 0.05
# Fewer rows do not tell what is odd.
FEWEST_TO_COMPARE = 5


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured, row by row; NaN where something was not.

    Args:
        coordinates: [rows, 1 + d] float64, columns t, x, y[, z]; [rows, d] without t if steady.
        velocity: [rows, d] float64, columns u, v[, w].
        source: where the measurements came from.
        notes: sentences about what was left out of the file, counted twice or assumed.
        pressure: [rows] float64, kinematic; None: nowhere.
        speed: [rows] float64, where no velocity was measured; None: nowhere.
        deviations: name of what was measured -> its standard deviation, [rows] float64, where the file has them.
    """

    coordinates: np.ndarray
    velocity: np.ndarray
    source: str = ""
    notes: tuple[str, ...] = ()
    pressure: np.ndarray | None = None
    speed: np.ndarray | None = None
    deviations: Mapping[str, np.ndarray] = field(default_factory=dict)

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

    def rows(self, chosen: np.ndarray) -> Measurements:
        """The rows that a mask [rows] marks."""
        return replace(
            self,
            coordinates=self.coordinates[chosen],
            velocity=self.velocity[chosen],
            pressure=None if self.pressure is None else self.pressure[chosen],
            speed=None if self.speed is None else self.speed[chosen],
            deviations={name: column[chosen] for name, column in self.deviations.items()},
        )


def measured_columns(
    velocity: np.ndarray, pressure: np.ndarray | None, speed: np.ndarray | None
) -> dict[str, np.ndarray]:
    """What was measured anywhere, out of u, v[, w], p and speed, [rows] by name; arguments as of `Measurements`."""
    columns = dict(zip("uvw", velocity.T, strict=False)) | {"p": pressure, "speed": speed}
    return {name: column for name, column in columns.items() if column is not None and np.isfinite(column).any()}


def values_to_doubt(
    columns: Mapping[str, np.ndarray], lines: np.ndarray, missing: tuple[float, ...] | None
) -> list[str]:
    """Sentences about numbers that stand for none, or are far larger than all others.

    Args:
        columns: what was measured by its name, [rows] each, as in the file.
        lines: [rows] int, of the file.
        missing: numbers that are known to stand for none; None: nothing is known.

    Raises:
        PinnxError: a number that often stands for none, far larger than all others.
    """
    negative = columns.get("speed", np.zeros(1)) < 0.0
    notes = []
    for names in ([name for name in columns if name != "p"], [name for name in columns if name == "p"]):
        if names:
            notes += _doubts(", ".join(names), np.column_stack([columns[name] for name in names]), lines, missing)
    if negative.any():
        raise PinnxError(
            f"speed: expected a length of the velocity, got {columns['speed'][negative][0]:g} in "
            f"{_lines(lines[negative])}; name a component by data.measurements.u=NAME, with speed=null"
        )
    return notes


def _doubts(names: str, cells: np.ndarray, lines: np.ndarray, missing: tuple[float, ...] | None) -> list[str]:
    """What must be known of columns of one kind, [rows, c]."""
    marks = (np.isin(cells, MARK_NUMBERS) | (np.abs(cells) >= MARK_FROM)) & (missing is None)
    largest = float(np.max(np.abs(cells), initial=0.0, where=np.isfinite(cells) & ~marks))
    marks &= np.abs(cells) > largest
    if marks.any():
        shown = shortened(", ".join(repr(value).removesuffix(".0") for value in np.unique(cells[marks]).tolist()))
        came = f"got {shown} in {_lines(lines[marks.any(axis=1)])} where all other values are within {largest:.3g}"
        remedy = f"data.measurements.missing=[{shown}] leaves it out, missing=[] takes it as measured"
        if np.max(np.abs(cells[marks])) > MARK_BEYOND * largest > 0.0:
            raise PinnxError(f"{names}: expected measured values, {came}. {remedy}")
        return [f"{names}: {came}. It often marks what was not measured: {remedy}."]
    sizes = np.max(np.abs(cells), axis=1, initial=0.0, where=np.isfinite(cells))
    jump = jump_of(sizes) if np.count_nonzero(sizes) >= FEWEST_TO_COMPARE else None
    if jump is None:
        return []
    low, high = jump
    return [
        f"Look at {names} in {_lines(lines[sizes >= high])}: {high:.3g} and above, where all other values are within "
        f"{low:.3g}."
    ]


def _lines(lines: np.ndarray) -> str:
    shown = ", ".join(map(str, lines[:PAIRS_SHOWN].tolist()))
    more = f" and {len(lines) - PAIRS_SHOWN:,} more" if len(lines) > PAIRS_SHOWN else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


def what_to_know(rows: Measurements, lines: np.ndarray) -> list[str]:
    """Sentences about rows whose meaning may be another than it seems.

    Args:
        rows: as measured.
        lines: [rows] int, of the file, by which rows are named.
    """
    notes = []
    if rows.pressure is not None:
        notes.append(
            "p is taken as measured kinematic pressure (divided by the density), which fixes its constant; "
            "data.measurements.p=null leaves it out."
        )
        notes += _pressure_out_of_scale(rows, rows.pressure)
    if not np.isfinite(rows.velocity).any():
        notes.append(
            "No component of the velocity is measured: speeds and pressures alone do not tell a flow from its reverse. "
            "Boundary conditions may."
        )
    still = (rows.velocity == 0.0).all(axis=1)
    if np.count_nonzero(still) >= max(FEWEST_STILL, STILL_SHARE * rows.num_rows):
        notes.append(
            f"{np.count_nonzero(still):,} of {rows.num_rows:,} rows have a velocity of exactly 0. "
            "That is right on walls; some programs write 0 where nothing was measured."
        )
    return notes


def _pressure_out_of_scale(rows: Measurements, pressure: np.ndarray) -> list[str]:
    speeds = np.abs(rows.velocity if rows.speed is None else np.column_stack([rows.velocity, rows.speed]))
    largest = float(np.nanmax(speeds)) if np.isfinite(speeds).any() else 0.0
    mean = abs(float(np.nanmean(pressure)))
    if not largest or mean / largest / largest < PRESSURE_OF_VELOCITY:
        return []
    return [
        f"Look at p: its mean is {mean:.3g} where velocities are {largest:.3g} at most. "
        "Is it divided by the density, and relative to the pressure around?"
    ]


def repeated_rows(rows: Measurements, lines: np.ndarray) -> tuple[list[str], int]:
    """What must be known of places and times that several rows have, and how many rows contradict an earlier one."""
    columns = [rows.velocity, *(column[:, None] for column in (rows.pressure, rows.speed) if column is not None)]
    table = np.column_stack(columns)
    first, second = copies_in(rows.coordinates)
    both = np.isfinite(table[first]) & np.isfinite(table[second])
    differs, overlaps = (both & (table[first] != table[second])).any(axis=1), both.any(axis=1)
    notes = []
    for chosen, words in (
        (overlaps & ~differs, "repeat an earlier one (same place, time and values) and count twice"),
        (differs, "have the place and time of another one with other values, and both are fitted"),
    ):
        pairs = np.sort(np.column_stack([lines[first[chosen]], lines[second[chosen]]]), axis=1)
        if len(pairs):
            pairs = pairs[np.argsort(pairs[:, 1], kind="stable")]
            shown = ", ".join(f"{a} and {b}" for a, b in pairs[:PAIRS_SHOWN].tolist())
            more = f", and {len(pairs) - PAIRS_SHOWN:,} more" if len(pairs) > PAIRS_SHOWN else ""
            notes.append(f"{len(pairs):,} of {rows.num_rows:,} rows {words}: lines {shown}{more}.")
    return notes, int(np.count_nonzero(differs))
