"""Where a condition holds: a place is a map from the unit cube onto itself.

    side     (a face of the box)           free axes  = lo + (hi - lo) * parameters
    outline  (of a body, outlines.py)      x, y       = point of a line, by its arc length
    circle   (in 3-D a cylinder along z)   x, y       = centre + radius * (cos, sin)(2 pi * p_0)
    points   (given ones, point_sets.py)   point      = points[floor(k * p_0)]

Uniform parameters give uniform points, so random points of a training step and the regular points
of a check come out of one map. Time, where there is one, is a further parameter over its interval. Of a side or a body
only `parts` may border the flow: intervals of its first parameter in the plane.

Layout: coordinates [n, D], columns in the order t, x, y, z as far as `bounds` has them; left and
right are the ends of x, bottom and top those of y, back and front those of z (low end first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pinnx.data.collocation import BoxPoints, Sampling
from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError

__all__ = [
    "SIDES",
    "WHOLE_PLACE",
    "Bounds",
    "Circle",
    "Parts",
    "Place",
    "Side",
    "Wall",
    "at_time",
    "axes_of",
    "beside",
    "into_parts",
    "place_and_time",
    "plane_columns",
    "stretched",
    "with_plane",
]

Bounds = Mapping[str, tuple[float, float]]
AXIS_ORDER = ("t", "x", "y", "z")
Parts = tuple[tuple[float, float], ...]
WHOLE_PLACE: Parts = ((0.0, 1.0),)
CIRCLE_PIECES = 128
# name -> (axis, which end of it)
SIDES = {
    "left": ("x", 0),
    "right": ("x", 1),
    "bottom": ("y", 0),
    "top": ("y", 1),
    "back": ("z", 0),
    "front": ("z", 1),
}


def axes_of(bounds: Bounds) -> tuple[str, ...]:
    """Return the coordinates that the bounds name, in the order of their columns: t, x, y, z."""
    axes = tuple(axis for axis in AXIS_ORDER if axis in bounds)
    if len(axes) != len(bounds) or "x" not in axes or "y" not in axes:
        raise PinnxError(f"bounds: expected x, y and perhaps z, t; got {', '.join(bounds)}")
    return axes


class Place:
    """A set of points that can be drawn from, through parameters in the unit cube."""

    def check(self, bounds: Bounds) -> None:
        """Raise PinnxError where the place does not fit into the domain."""

    def num_parameters(self, bounds: Bounds) -> int:
        """Return q, the number of parameters of one point; here those of a line in the plane, and of the other axes."""
        return len(bounds) - 1

    def at(self, parameters: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Map parameters [n, q] in [0, 1] to coordinates [n, D]."""
        raise NotImplementedError

    def regular_parameters(self, num: int, bounds: Bounds) -> np.ndarray:
        """Return at least `num` regular parameters [n, q] that cover the place to its ends."""
        return unit_grid(num, self.num_parameters(bounds))

    def regular_points(self, num: int, bounds: Bounds) -> np.ndarray:
        """Return at least `num` regular points [n, D] that reach the ends of the place."""
        return self.at(self.regular_parameters(num, bounds), bounds)

    def sampler(
        self, n: int, bounds: Bounds, *, seed: int, stream: int, first_index: int = 0, sampling: Sampling = "uniform"
    ) -> Callable[[int], np.ndarray]:
        """Return a function that draws the points of a step; what all steps share is made once.

        Args:
            n: number of points, >= 0.
            bounds: axis name -> (low, high) of the domain.
            seed: key of the run.
            stream: separates uses within a step.
            first_index: number of the first point.
            sampling: how points are spread over the place.

        Returns:
            step -> [n, D] float64; point j depends on (seed, step, stream, j) alone.
        """
        q = self.num_parameters(bounds)
        rows = range(first_index, first_index + n)
        drawn = BoxPoints(np.zeros(q), np.ones(q), rows.stop, seed=seed, stream=stream, sampling=sampling)
        return lambda step: self.at(drawn.draw(step, rows), bounds)


class Wall(Place):
    """A place with a normal: a side, or the line of a body.

    Attributes:
        parts: intervals of its first parameter that border the flow.
    """

    parts: Parts

    def normals(self, points: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Return unit normals into the flow at points [n, D] of it: [n, d] of a side, [n, 2] of a body."""
        raise NotImplementedError

    def off(self, points: np.ndarray, distance: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Move points [n, D] of it by distances [n] into the flow."""
        moved, first, normals = points.copy(), axes_of(bounds).index("x"), self.normals(points, bounds)
        moved[:, first : first + normals.shape[1]] += distance[:, None] * normals
        return moved


@dataclass(frozen=True)
class Side(Wall):
    """A face of the box: left, right (x), bottom, top (y), back, front (z).

    Args:
        name: one of these six.
        range: (low, high) of the coordinate along it that it has, of the first where it has two; None: all of it.
        parts: intervals of that, over the whole, that border the flow.
        at_position: the constant coordinate of a section through the domain; None: the side's own.

    Raises:
        PinnxError: another name; on use, a side of an axis that the domain does not have, or a range outside of it.
    """

    name: str
    range: tuple[float, float] | None = None
    parts: Parts = WHOLE_PLACE
    at_position: float | None = None

    def __post_init__(self) -> None:
        if self.name not in SIDES:
            raise PinnxError(f"side: expected one of {', '.join(SIDES)}; got {self.name!r}")

    def __str__(self) -> str:
        name = self.name if self.at_position is None else f"section {self.axis} = {self.at_position:g}"
        if self.range is None:
            return name
        return f"{name} with {self.along} in [{self.range[0]:g}, {self.range[1]:g}]"

    @property
    def whole(self) -> bool:
        """Whether all of the side is meant, and borders the flow."""
        return self.range is None and self.at_position is None and self.parts == WHOLE_PLACE

    @property
    def along(self) -> str:
        """The axis along the side, the first where there are two."""
        return "y" if self.axis == "x" else "x"

    @property
    def axis(self) -> str:
        """The axis that is constant on this side."""
        return SIDES[self.name][0]

    def position(self, bounds: Bounds) -> float:
        """Return the constant coordinate."""
        axis, end = SIDES[self.name]
        return float(bounds[axis][end] if self.at_position is None else self.at_position)

    def check(self, bounds: Bounds) -> None:
        if self.axis not in bounds:
            raise PinnxError(
                f"side {self.name}: is on axis {self.axis}, but the domain has {', '.join(axes_of(bounds))}"
            )
        low, high = bounds[self.axis]
        if not low <= self.position(bounds) <= high:
            raise PinnxError(f"{self}: expected a section inside the domain, {self.axis} in [{low:g}, {high:g}]")
        if self.range is not None:
            low, high = bounds[self.along]
            if not low <= self.range[0] < self.range[1] <= high:
                raise PinnxError(
                    f"side {self.name}: expected a range in {self.along} inside [{low:g}, {high:g}], "
                    f"got [{self.range[0]:g}, {self.range[1]:g}]"
                )

    def at(self, parameters: np.ndarray, bounds: Bounds) -> np.ndarray:
        axes = axes_of(bounds)
        free = [axis for axis in axes if axis != self.axis]
        points = np.empty((len(parameters), len(axes)))
        points[:, axes.index(self.axis)] = self.position(bounds)
        for axis, parameter in zip(free, parameters.T, strict=True):
            if axis == self.along:
                points[:, axes.index(axis)] = stretched(into_parts(parameter, self.parts), self.range or bounds[axis])
            else:
                points[:, axes.index(axis)] = stretched(parameter, bounds[axis])
        return points

    def has(self, along: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Return which coordinates [n] along the side are on its parts, ends included."""
        low, high = self.range or bounds[self.along]
        slack = 1e-6 * (bounds[self.along][1] - bounds[self.along][0])
        found = np.zeros(np.shape(along), dtype=bool)
        for first, last in self.parts:
            found |= (along >= low + first * (high - low) - slack) & (along <= low + last * (high - low) + slack)
        return found

    def normals(self, points: np.ndarray, bounds: Bounds) -> np.ndarray:
        space = [axis for axis in axes_of(bounds) if axis != "t"]
        normals = np.zeros((len(points), len(space)))
        normals[:, space.index(self.axis)] = 1.0 if SIDES[self.name][1] == 0 else -1.0
        return normals


@dataclass(frozen=True)
class Circle(Wall):
    """A circle in the plane of x and y; in three dimensions the cylinder along z through it.

    Args:
        center: (x, y), units of length.
        radius: > 0, units of length.
        name: of the body that it is; "" where it has none.
        parts: intervals of the angle, over a turn, that border the flow.

    Raises:
        PinnxError: radius <= 0; on use, a circle that leaves the domain.
    """

    center: tuple[float, float]
    radius: float
    name: str = field(default="", compare=False)
    parts: Parts = WHOLE_PLACE

    def __post_init__(self) -> None:
        if len(self.center) != 2 or not np.isfinite(self.center).all():
            raise PinnxError(f"circle: expected a finite center [x, y], got {list(self.center)}")
        if not (np.isfinite(self.radius) and self.radius > 0):
            raise PinnxError(f"circle: expected a radius > 0, got {self.radius}")

    def __str__(self) -> str:
        return f"circle at ({self.center[0]:g}, {self.center[1]:g}) of radius {self.radius:g}"

    def check(self, bounds: Bounds) -> None:
        if self.name:
            return  # a body of the domain may leave it: there no point is drawn
        for axis, middle in zip(("x", "y"), self.center, strict=True):
            low, high = bounds[axis]
            if not (low <= middle - self.radius and middle + self.radius <= high):
                raise PinnxError(
                    f"{self}: expected to lie inside the domain, but it leaves {axis} in [{low:g}, {high:g}]"
                )

    @property
    def whole(self) -> bool:
        """Whether all of it borders the flow."""
        return self.parts == WHOLE_PLACE

    @property
    def perimeter(self) -> float:
        """Its length."""
        return 2.0 * float(np.pi) * self.radius

    @property
    def size(self) -> float:
        """Its diameter."""
        return 2.0 * self.radius

    @property
    def lines(self) -> tuple[np.ndarray, ...]:
        """Itself as a line of straight pieces, [k, 2], for pictures."""
        angle = 2.0 * np.pi * np.arange(CIRCLE_PIECES) / CIRCLE_PIECES
        return (self.center + self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1),)

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the box around it."""
        return np.array(self.center) - self.radius, np.array(self.center) + self.radius

    def at(self, parameters: np.ndarray, bounds: Bounds) -> np.ndarray:
        angle = 2.0 * np.pi * into_parts(parameters[:, 0], self.parts)
        unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return with_plane(self.center + self.radius * unit, parameters[:, 1:], bounds)

    def distance(self, places: np.ndarray) -> np.ndarray:
        """Return signed distances of places [n, 2] to the circle, [n]: negative inside."""
        away: np.ndarray = np.hypot(*(places - self.center).T) - self.radius
        return away

    def normals(self, points: np.ndarray, bounds: Bounds) -> np.ndarray:
        away = points[:, plane_columns(bounds)] - self.center
        return np.asarray(away / np.hypot(*away.T)[:, None])

    def contains(self, points: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Return which of [n, D] points are inside, [n] bool; those on the circle to rounding of float32 are not."""
        away = points[:, plane_columns(bounds)] - self.center
        inside: np.ndarray = np.hypot(*away.T) < self.radius * (1.0 - 1e-6)
        return inside


def stretched(parameter: np.ndarray, interval: tuple[float, float] | np.ndarray) -> np.ndarray:
    """Map parameters in [0, 1] to an interval; parameters [n, D] to those of [2, D]."""
    low, high = interval
    return low + (high - low) * parameter


def at_time(points: np.ndarray, time: float | None) -> np.ndarray:
    """Return points [n, d] with a time in front, [n, 1 + d]; None: as they are."""
    return points if time is None else np.column_stack([np.full(len(points), time), points])


def beside(axis: str, position: float, along: np.ndarray) -> np.ndarray:
    """Return places [n, 2] in the plane on the line across an axis at a position, by the other coordinate, [n]."""
    across = np.full(len(along), position)
    return np.column_stack([across, along] if axis == "x" else [along, across])


def place_and_time(point: np.ndarray, axes: Iterable[str]) -> tuple[float, ...]:
    """Return the coordinates [D] of a point as they are said: x, y[, z][, t]."""
    named = dict(zip(axes, point.tolist(), strict=True))
    return tuple(named[axis] for axis in sorted(named, key="xyzt".index))


def plane_columns(bounds: Bounds) -> list[int]:
    """Return the columns of x and y."""
    return [axes_of(bounds).index(axis) for axis in ("x", "y")]


def with_plane(places: np.ndarray, parameters: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Return points [n, D] of places [n, 2] in the plane, with parameters [n, D - 2] in [0, 1] for the other axes."""
    axes = axes_of(bounds)
    points = np.empty((len(places), len(axes)))
    points[:, plane_columns(bounds)] = places
    others = [axis for axis in axes if axis not in ("x", "y")]
    for axis, parameter in zip(others, parameters.T, strict=True):
        points[:, axes.index(axis)] = stretched(parameter, bounds[axis])
    return points


def into_parts(parameter: np.ndarray, parts: Parts) -> np.ndarray:
    """Map parameters [n] in [0, 1] to the union of intervals of [0, 1], evenly over their length."""
    if parts == WHOLE_PLACE:
        return parameter
    low, high = np.array(parts).T
    ends = np.cumsum(high - low)
    along = parameter * ends[-1]
    part = np.minimum(np.searchsorted(ends, along, side="right"), len(ends) - 1)
    return np.asarray(high[part] - (ends[part] - along))


def unit_grid(num: int, q: int) -> np.ndarray:
    """Return a grid of the unit cube, ends included, of at least `num` points: [n, q]."""
    per_axis = max(2, int(np.ceil(num ** (1.0 / q) - 1e-9)))
    line = np.linspace(0.0, 1.0, per_axis)
    return grid_points([line] * q)
