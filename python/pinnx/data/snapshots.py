"""Fields at fixed places and times: a flow, or any other quantity.

Layout: `points` [n, d], `values` [T, n, c]; d = 2 or 3, columns x, y[, z]; on a grid the points
stand in C order over rising (x, y[, z]), z fastest. Of a flow the values are the `velocity`
[T, n, d], columns u, v[, w]. Units, signs and the order of the coordinates are those of
docs/conventions.md; the pressure is kinematic (divided by density).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from pinnx.data.layout import grid_lines, grid_points
from pinnx.errors import PinnxError

__all__ = ["AXIS_NAMES", "Snapshots", "gaps_found", "inside_limits", "require_finite"]

AXIS_NAMES = ("x", "y", "z")
# A coordinate that was stored in float32 still counts as inside the limit that it was rounded from. What float32 does
# not hold exactly was stored in float64, or converted from float32 since: far from zero (Unix seconds) 1.2e-7 of the
# coordinate would be minutes, so a millionth of the extent is the most there.
ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Snapshots:
    """One flow, or other quantities, at fixed places and times.

    Args:
        points: [n, d] float64, the places, columns x, y[, z], in units of length.
        values: [T, n, c], T = 1 where the flow is steady: of a flow the velocity in float64, columns u, v[, w]; of
            other quantities float32 too, or frames that are still in their file (`pinnx.data.stored_frames`).
        names: of the c components; those of a velocity where none are given.
        times: [T] float64, strictly increasing; None says that the flow is steady, or that times are not known.
        pressure: [len(pressure_frames), n] float64, kinematic; None where unknown.
        pressure_frames: [F] int64, the frames (indices into the times) at which it is known.
        nu: kinematic viscosity, > 0; None where unknown.
        error: relative error of the velocity itself, as its source gives it; None where unknown.
        grid_shape: numbers of points along x, y[, z]; None where the points are scattered.
        index_sets: named int64 indices into the points, e.g. ``{"wall_index": ...}``.
        holes: [n] bool, places without values at any time, such as a body in the flow: values and pressure are 0
            there and mean nothing. None where there are none.
        source: where the data came from; begins with "synthetic:" for made data.
        notes: sentences about what was left out of the file, converted or assumed.
        whole: places and times of the source, of which a part was read; None: all.
        units: of length and of time, ("mm", "s"); "" where not known.
        factor: what the velocity of the source was multiplied by; 1 where nothing was converted.

    Construction checks nothing; `validate` does, and every reader of this package calls it for a flow.
    """

    points: np.ndarray
    values: Any
    names: tuple[str, ...] = ()
    times: np.ndarray | None = None
    pressure: np.ndarray | None = None
    pressure_frames: np.ndarray | None = None
    nu: float | None = None
    error: float | None = None
    grid_shape: tuple[int, ...] | None = None
    index_sets: Mapping[str, np.ndarray] = field(default_factory=dict)
    holes: np.ndarray | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    whole: tuple[int, int] | None = None
    units: tuple[str, str] = ("", "")
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", ("u", "v", "w")[: self.dim])

    @property
    def velocity(self) -> np.ndarray:
        """The values of a flow, [T, n, d]."""
        found: np.ndarray = self.values
        return found

    @property
    def steady(self) -> bool:
        """Whether the flow has no time coordinate."""
        return self.times is None

    @property
    def in_flow(self) -> np.ndarray:
        """[n] bool, the places that are no hole."""
        return np.ones(self.num_points, dtype=bool) if self.holes is None else ~self.holes

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return int(self.points.shape[1])

    @property
    def num_points(self) -> int:
        """Number of places, n."""
        return int(self.points.shape[0])

    @property
    def num_times(self) -> int:
        """Number of frames, T; 1 where the flow is steady."""
        return int(self.values.shape[0])

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the space coordinates: ("x", "y") or ("x", "y", "z")."""
        return AXIS_NAMES[: self.dim]

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest coordinate by axis name, "t" first where there are times."""
        found = {}
        if self.times is not None:
            found["t"] = (float(self.times[0]), float(self.times[-1]))
        for axis, column in zip(self.axis_names, self.points.T, strict=True):
            found[axis] = (float(column.min()), float(column.max()))
        return found

    @property
    def grid_lines(self) -> tuple[np.ndarray, ...] | None:
        """The coordinates along x, y[, z], each [n_axis]; None where the points are scattered."""
        return None if self.grid_shape is None else grid_lines(self.points, self.grid_shape)

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        """Lines of the grid along x, y[, z], or the coordinates [n] of scattered points."""
        lines = self.grid_lines
        return tuple(self.points.T) if lines is None else lines

    def window(self, **limits: tuple[float, float]) -> Self:
        """Keep what is inside a box, limits included: ``window(x=(0, 2), t=(1, 5))``.

        A limit counts with the rounding of coordinates that were stored in float32.
        A grid stays a grid as long as two points are left along each axis. Index sets of a flow are
        renumbered, and one of which nothing is left is dropped, so that asking for it fails instead
        of finding nothing.

        Args:
            limits: (low, high) by axis name: x, y, z, or t where there are times.

        Raises:
            PinnxError: an unknown axis, low > high, or nothing left inside.
        """
        inside = np.ones(self.num_points, dtype=bool)
        frames = np.ones(self.num_times, dtype=bool)
        for axis, (low, high) in limits.items():
            if axis not in self.bounds:
                known = ", ".join(self.bounds)
                raise PinnxError(f"window: expected limits for {known}, got {axis!r}")
            if not low <= high:
                raise PinnxError(f"window: expected low <= high for {axis}, got ({low}, {high})")
            if axis == "t":
                assert self.times is not None
                frames &= inside_limits(self.times, low, high)
            else:
                inside &= inside_limits(self.points[:, AXIS_NAMES.index(axis)], low, high)
        if not inside.any() or not frames.any():
            given = ", ".join(f"{axis}=({low}, {high})" for axis, (low, high) in limits.items())
            has = ", ".join(f"{axis} in [{a:.12g}, {b:.12g}]" for axis, (a, b) in self.bounds.items())
            raise PinnxError(f"window: nothing is inside {given}; the data has {has}")
        return self._kept(inside, frames)

    def every(self, step: int) -> Self:
        """Keep every k-th frame, from the first on."""
        frames = np.arange(self.num_times) % step == 0
        return self if step == 1 else self._kept(np.ones(self.num_points, dtype=bool), frames)

    def _kept(self, inside: np.ndarray, frames: np.ndarray) -> Self:
        index_sets = {}
        new_index = np.cumsum(inside) - 1
        for name, indices in self.index_sets.items():
            kept = new_index[indices[inside[indices]]].astype(np.int64)
            if kept.size:
                index_sets[name] = kept
        pressure, pressure_frames = None, None
        if self.pressure is not None and self.pressure_frames is not None:
            kept_rows = frames[self.pressure_frames]
            if kept_rows.any():
                pressure = self.pressure[kept_rows][:, inside]
                new_frame = np.cumsum(frames) - 1
                pressure_frames = new_frame[self.pressure_frames[kept_rows]].astype(np.int64)
        return replace(
            self,
            points=self.points[inside],
            values=self.values[frames][:, inside],
            times=None if self.times is None else self.times[frames],
            pressure=pressure,
            pressure_frames=pressure_frames,
            grid_shape=self._grid_shape_of(inside),
            index_sets=index_sets,
            holes=None if self.holes is None else self.holes[inside],
        )

    def _grid_shape_of(self, inside: np.ndarray) -> tuple[int, ...] | None:
        """Shape of the box of grid points that `inside` marks, None where it is no grid."""
        if self.grid_shape is None:
            return None
        grid = inside.reshape(self.grid_shape)
        axes = range(self.dim)
        shape = tuple(int(grid.any(axis=tuple(a for a in axes if a != axis)).sum()) for axis in axes)
        return shape if min(shape) >= 2 else None

    def with_holes(self) -> Self:
        """Turn places that are NaN at all times into holes.

        Raises:
            PinnxError: NaN elsewhere, with their number and a remedy; or nothing but holes.
        """
        missing = np.isnan(self.values).any(axis=2)
        if not missing.any():
            return self
        holes = missing.all(axis=0)
        gaps = missing[:, ~holes]
        if gaps.any():
            raise gaps_found(
                ",".join(self.names), int(gaps.sum()), gaps.size, int(gaps.any(axis=0).sum()), flow=not self.steady
            )
        if holes.all():
            raise PinnxError(f"{','.join(self.names)}: expected values, got NaN at every place and time")
        pressure = self.pressure if self.pressure is None else np.where(holes, 0.0, self.pressure)
        note = (
            f"{int(holes.sum()):,} of {holes.size:,} places have no values at any time and count as a body: "
            "no sensor stands there, and errors leave them out."
        )
        values = np.where(holes[:, None], np.zeros((), self.values.dtype), self.values)
        return replace(self, values=values, pressure=pressure, holes=holes, notes=(*self.notes, note))

    def validate(self) -> None:
        """Check shapes, dtypes, finiteness, the order of the times, the grid and nu.

        Raises:
            PinnxError: one line that names the array, what was wanted and what came.
        """
        self._validate_points()
        n, d = self.points.shape
        if self.holes is not None and (self.holes.shape != (n,) or self.holes.dtype != bool):
            raise PinnxError(f"holes: expected bool [{n}], got {self.holes.dtype} {list(self.holes.shape)}")
        if self.velocity.ndim != 3 or self.velocity.shape[1:] != (n, d):
            raise PinnxError(f"velocity: expected shape [T, {n}, {d}], got {list(self.velocity.shape)}")
        require_finite("velocity", self.velocity)
        self._validate_times()
        self._validate_pressure()
        if self.nu is not None and not (np.isfinite(self.nu) and self.nu > 0):
            raise PinnxError(f"nu: expected a viscosity > 0, got {self.nu}")
        if self.grid_shape is not None:
            self._validate_grid()
        for name, indices in self.index_sets.items():
            if indices.ndim != 1 or indices.dtype != np.int64:
                raise PinnxError(
                    f"{name}: expected int64 indices of shape [k], got {indices.dtype} {list(indices.shape)}"
                )
            if indices.size and not (indices.min() >= 0 and indices.max() < n):
                raise PinnxError(f"{name}: expected indices from 0 to {n - 1}, got {indices.min()} to {indices.max()}")

    def _validate_points(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] not in (2, 3) or not self.points.size:
            raise PinnxError(f"points: expected shape [n, 2] or [n, 3], n >= 1, got {list(self.points.shape)}")
        require_finite("points", self.points)

    def _validate_times(self) -> None:
        if self.times is None:
            if self.num_times != 1:
                raise PinnxError(f"velocity: expected 1 frame without times, got {self.num_times}")
            return
        if self.times.shape != (self.num_times,) or not self.times.size:
            raise PinnxError(
                f"times: expected shape [{self.num_times}], as many as frames (at least 1), "
                f"got {list(self.times.shape)}"
            )
        require_finite("times", self.times)
        steps = np.diff(self.times)
        if (steps <= 0).any():
            first = int(np.argmax(steps <= 0))
            raise PinnxError(
                f"times: expected strictly increasing values, got {self.times[first]:.12g} followed "
                f"by {self.times[first + 1]:.12g} at index {first + 1}"
            )

    def _validate_pressure(self) -> None:
        if (self.pressure is None) != (self.pressure_frames is None):
            raise PinnxError("pressure: expected pressure and pressure_frames together, got one")
        if self.pressure is None or self.pressure_frames is None:
            return
        frames = self.pressure_frames
        if frames.ndim != 1 or frames.dtype != np.int64 or not frames.size:
            raise PinnxError(
                f"pressure_frames: expected int64 of shape [F], F >= 1, got {frames.dtype} {list(frames.shape)}"
            )
        if frames.min() < 0 or frames.max() >= self.num_times or (np.diff(frames) <= 0).any():
            raise PinnxError(
                f"pressure_frames: expected increasing indices from 0 to {self.num_times - 1}, "
                f"got {frames.tolist()[:8]}"
            )
        if self.pressure.shape != (frames.size, self.num_points):
            raise PinnxError(
                f"pressure: expected shape [{frames.size}, {self.num_points}], got {list(self.pressure.shape)}"
            )
        require_finite("pressure", self.pressure)

    def _validate_grid(self) -> None:
        shape = self.grid_shape
        assert shape is not None
        if len(shape) != self.dim or min(shape) < 2 or np.prod(shape) != self.num_points:
            raise PinnxError(
                f"grid_shape: expected {self.dim} numbers >= 2 with product {self.num_points}, got {shape}"
            )
        assert self.grid_lines is not None
        if not np.array_equal(grid_points(self.grid_lines), self.points):
            raise PinnxError(
                f"points: expected a grid of shape {shape} in C order over "
                f"({', '.join(self.axis_names)}), got points that are no such grid"
            )


def inside_limits(column: np.ndarray, low: float, high: float) -> np.ndarray:
    """Which coordinates are inside [low, high], to their rounding."""
    slack = ROUNDING * np.abs(column).max()
    with np.errstate(over="ignore"):
        single = column.astype(np.float32)
    if not np.array_equal(column, single):
        slack = min(slack, 1e-6 * np.ptp(column))
    inside: np.ndarray = (column >= low - slack) & (column <= high + slack)
    return inside


def require_finite(name: str, array: np.ndarray) -> None:
    """Refuse an array that is not float64, or has NaN or infinite numbers."""
    if array.dtype != np.float64:
        raise PinnxError(f"{name}: expected float64, got {array.dtype}")
    num_bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if num_bad:
        raise PinnxError(f"{name}: expected finite values, got {num_bad} of {array.size} that are NaN or infinite")


def gaps_found(name: str, num_missing: int, num_values: int, num_places: int, *, flow: bool) -> PinnxError:
    """Say that values are missing at some times, where others are there."""
    remedy = (
        "leave these out by data.window or data.times, or fill them in the file" if flow else "fill them in the file"
    )
    return PinnxError(
        f"{name}: expected values at all times or at none (a body), got {num_missing:,} of {num_values:,} missing "
        f"(NaN) at some times, at {num_places:,} places; {remedy}"
    )
