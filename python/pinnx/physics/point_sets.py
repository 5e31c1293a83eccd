"""Places that are given points: an index set, or all data points that satisfy an expression.

    point = points[floor(k * p_0)]

Each is as likely as any other; time, where there is one and the points have none of their own, is a further parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pinnx.errors import PinnxError
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Bounds, Place, axes_of, stretched

__all__ = ["PointSet"]


@dataclass(frozen=True, eq=False)
class PointSet(Place):
    """Given points, each as likely as any other.

    Args:
        coordinates: [k, d] float64, places (at every time, where the flow has times); or
            [k, 1 + d] with the time of each point in column 0.
        timed: whether column 0 is a time.
        name: what the points are, for messages.

    Raises:
        PinnxError: no points, or points that are not finite.
    """

    coordinates: np.ndarray
    timed: bool = False
    name: str = "points"

    def __post_init__(self) -> None:
        shape = self.coordinates.shape
        if len(shape) != 2 or shape[0] == 0:
            raise PinnxError(f"{self.name}: expected points [k, d], k >= 1; got {list(shape)}")
        if not np.isfinite(self.coordinates).all():
            raise PinnxError(f"{self.name}: expected finite points, got NaN or infinite ones")

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of_index_set(cls, name: str, points: np.ndarray, index_sets: Mapping[str, np.ndarray]) -> PointSet:
        """Take the points [n, d] that a named index set [k] lists."""
        if name not in index_sets:
            known = ", ".join(sorted(index_sets)) or "none"
            raise PinnxError(f"index: expected the name of an index set ({known}), got {name!r}")
        return cls(points[index_sets[name]], name=f"index {name}")

    @classmethod
    def of_expression(cls, text: str, points: np.ndarray, times: np.ndarray | None = None) -> PointSet:
        """Take the points [n, d] at which a condition in x, y[, z] holds.

        A condition that uses t is asked at every one of the times [T], and selects pairs of a time
        and a place: "t < 0.01" is an initial condition.
        """
        condition = Expression(text)
        name = f"expression {text!r}"
        axes = ("x", "y", "z")[: points.shape[1]]
        columns = dict(zip(axes, points.T, strict=True))
        timed = "t" in condition.variables and times is not None
        if timed:
            assert times is not None
            found = []
            for time in times:  # frame by frame: all pairs at once would be T times the points
                here = condition.mask({**columns, "t": np.full(len(points), time)})
                found.append(np.insert(points[here], 0, time, axis=1))
            selected = np.concatenate(found)
        else:
            selected = points[condition.mask(columns)]
        if len(selected) == 0:
            raise PinnxError(f"{name}: expected to select points, got none of {len(points)}")
        return cls(selected, timed=timed, name=name)

    def check(self, bounds: Bounds) -> None:
        width = len(bounds) - (0 if self.timed or "t" not in bounds else 1)
        if self.coordinates.shape[1] != width or (self.timed and "t" not in bounds):
            raise PinnxError(
                f"{self.name}: expected points with the columns {', '.join(axes_of(bounds))}, "
                f"got {self.coordinates.shape[1]} columns"
            )

    def num_parameters(self, bounds: Bounds) -> int:
        return 1 if self.timed or "t" not in bounds else 2

    def at(self, parameters: np.ndarray, bounds: Bounds) -> np.ndarray:
        last = len(self.coordinates) - 1
        # A parameter of exactly 1 belongs to the last point.
        index = np.minimum((parameters[:, 0] * (last + 1)).astype(np.int64), last)
        chosen = self.coordinates[index]
        if self.num_parameters(bounds) == 2:
            return np.insert(chosen, 0, stretched(parameters[:, 1], bounds["t"]), axis=1)
        return chosen

    def regular_parameters(self, num: int, bounds: Bounds) -> np.ndarray:
        k = len(self.coordinates)
        index = (np.arange(k) + 0.5) / k  # the middle of each point's share: all points, once
        if self.num_parameters(bounds) == 1:
            return index[:, None]
        times = np.linspace(0.0, 1.0, max(2, -(-num // k)))
        return np.stack([np.repeat(index, times.size), np.tile(times, k)], axis=1)
