"""What was measured, row by row, and what must be known of it before it is believed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Measurements", "what_to_know"]

# Pairs of rows that a note lists.
PAIRS_SHOWN = 3
# Flows have a pressure of about one square of their velocity; far more is absolute, or not divided by the density.
PRESSURE_OF_VELOCITY = 100.0
# Rows at rest, and their share, from which on they are more than a sensor on a wall.
FEWEST_STILL, STILL_SHARE = 3, 0.05


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
    """

    coordinates: np.ndarray
    velocity: np.ndarray
    source: str = ""
    notes: tuple[str, ...] = ()
    pressure: np.ndarray | None = None
    speed: np.ndarray | None = None

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
        )


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
    return notes + _repeated_rows(rows, lines)


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


def _repeated_rows(rows: Measurements, lines: np.ndarray) -> list[str]:
    """What must be known of places and times that several rows have."""
    columns = [rows.velocity, *(column[:, None] for column in (rows.pressure, rows.speed) if column is not None)]
    table = np.column_stack(columns)
    order = np.lexsort(rows.coordinates.T[::-1])
    coordinates, seen = rows.coordinates[order], table[order]
    same = (coordinates[1:] == coordinates[:-1]).all(axis=1)
    first, second = order[:-1][same], order[1:][same]
    differs = (np.isfinite(seen[1:]) & np.isfinite(seen[:-1]) & (seen[1:] != seen[:-1])).any(axis=1)[same]
    overlaps = (np.isfinite(seen[1:]) & np.isfinite(seen[:-1])).any(axis=1)[same]
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
    return notes
