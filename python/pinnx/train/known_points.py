"""Where something is known: fresh points at the boundaries, the corners where two sides disagree, measurements.

Rows: the conditions in their order; the corners, each with the condition that owns it; the measurements. A point
depends on (seed, step, its number) alone. What all steps have in common (masks, numbers that are prescribed, corners
that are one place) is computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pinnx.data.collocation import UniformPoints
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.corners import Corner
from pinnx.physics.geometry import Bounds

__all__ = ["KnownPoints"]

# Streams of random points: 0 inside, 1, 2, ... the boundary conditions (physics/boundary.py), then:
MEASUREMENT_STREAM = 1 << 20
CORNER_STREAM = MEASUREMENT_STREAM + 1
# Points of a corner where two sides disagree, per point of a side. Measured on the cavity at Re 1000, whose two corner
# nodes alone make up 0.02 of relative error where the network does not know to whom they belong.
CORNER_SHARE = 1 / 128


@dataclass(frozen=True)
class _Place:
    """Points of one condition."""

    condition: BoundaryCondition
    num: int
    draw: Callable[[int], np.ndarray]  # step -> [num, D]
    same: bool  # in all steps


class KnownPoints:
    """The known points of each step and what is known there.

    Args:
        conditions: what is known at boundaries.
        corners: where two of them disagree.
        bounds: axis name -> (low, high) of the domain.
        coordinates: [k, D] float64, where and when was measured.
        velocity: [k, d] float64, what was measured.
        num_boundary: points of each condition.
        num_measured: measurements of a step, drawn; None, or as many as there are: all of them.
        seed: key of all points.

    Attributes:
        num_boundary: b, rows that are no measurements.
        mask: [b + measurements, d + 1] float64, one where u, v[, w], p is known.
    """

    def __init__(
        self,
        conditions: Sequence[BoundaryCondition],
        corners: Sequence[Corner],
        *,
        bounds: Bounds,
        coordinates: np.ndarray,
        velocity: np.ndarray,
        num_boundary: int,
        num_measured: int | None,
        seed: int,
    ) -> None:
        self._coordinates, self._velocity = coordinates, velocity
        num, self._measured = len(coordinates), None
        if num_measured is not None and num_measured < num:
            num = num_measured
            self._measured = UniformPoints([0.0], [1.0], num, seed=seed, stream=MEASUREMENT_STREAM)
        places = [_Place(c, num_boundary, c.sampler(num_boundary, seed=seed), same=False) for c in conditions]
        places += _corner_places(conditions, corners, bounds, math.ceil(CORNER_SHARE * num_boundary), seed)
        self.num_boundary = sum(place.num for place in places)

        self._points = np.zeros((self.num_boundary + num, len(bounds)))
        self._targets = np.zeros((self.num_boundary + num, velocity.shape[1] + 1))
        self.mask = np.zeros_like(self._targets)
        self.mask[self.num_boundary :, :-1] = 1.0
        self._fresh: list[tuple[slice, _Place]] = []
        stop = 0
        for place in places:
            rows = slice(stop, stop := stop + place.num)
            self.mask[rows] = place.condition.mask
            if place.same or place.condition.constant:
                self._points[rows] = place.draw(0)
                self._targets[rows], _ = place.condition.targets(self._points[rows])
            if not place.same:
                self._fresh.append((rows, place))

    def __len__(self) -> int:
        return len(self.mask)

    def write(self, step: int, points: np.ndarray, targets: np.ndarray) -> None:
        """Writes the points of a step and what is known there.

        Args:
            step: the same seed and step make the same points.
            points: where to, [len(self), D] float64.
            targets: where to, [len(self), d + 1] float64; zero where the mask is.

        Raises:
            PinnxError: a formula that is not finite somewhere.
        """
        points[:] = self._points
        targets[:] = self._targets
        for rows, place in self._fresh:
            at = place.draw(step)
            points[rows] = at
            if not place.condition.constant:
                targets[rows], _ = place.condition.targets(at)
        chosen: slice | np.ndarray = slice(None)
        if self._measured is not None:
            chosen = (self._measured.at(step)[:, 0] * len(self._coordinates)).astype(np.int64)
        points[self.num_boundary :] = self._coordinates[chosen]
        targets[self.num_boundary :, :-1] = self._velocity[chosen]


def _corner_places(
    conditions: Sequence[BoundaryCondition], corners: Sequence[Corner], bounds: Bounds, num: int, seed: int
) -> Iterator[_Place]:
    """Corners are edges where the domain has more axes than the two that they fix: points are drawn along them."""
    origin, unit = np.zeros(len(bounds)), np.ones(len(bounds))
    for number, corner in enumerate(corners):
        along = UniformPoints(origin, unit, num, seed=seed, first_index=number * num, stream=CORNER_STREAM)

        def draw(step: int, corner: Corner = corner, along: UniformPoints = along) -> np.ndarray:
            return corner.points(along.at(step), bounds)

        yield _Place(conditions[corner.owner], num, draw, same=set(bounds) == set(corner.axes))
