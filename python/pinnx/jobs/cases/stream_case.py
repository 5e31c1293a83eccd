"""Bodies in a stream that is known far from them: a box around the domain whose sides are farther away.

What is open to the sensors are two numbers, coefficients of the walls 1 and 2:

    1    the share by which the stream is faster than stated
    2    the source m at the middle of the bodies, over U D: velocity m r / (2 pi r^2) at the sides

The second is the fluid that the wake pushes aside; where the flow is in a tunnel, it takes up what its walls hold back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.boundary_slopes import Statement
from pinnx.physics.geometry import SIDES, Bounds, Side, beside
from pinnx.physics.outlines import Body
from pinnx.solvers import Profile, Walls

__all__ = ["NUMBERS", "far_bounds", "stream_speed", "stream_walls"]

Array = NDArray[np.float64]

NUMBERS = ("the share by which the stream is faster", "the source that the wake is, over speed and size")
# Of a stream along x; on the right the wake leaves.
AROUND = ("left", "bottom", "top")
# Distances of the sides from bodies, in sizes of all of them together: upstream, downstream, beside.
UPSTREAM, DOWNSTREAM, BESIDE = 8.0, 16.0, 8.0


def stream_speed(conditions: Sequence[BoundaryCondition], slopes: Sequence[Statement]) -> float | None:
    """The speed of the stream, where it is stated on all sides but the right one, of which nothing else is; or None."""
    stated = {str(c.where) for c in conditions if isinstance(c.where, Side) and not c.rough}
    speeds = [{s.speed for s in slopes if s.condition == "free_stream" and str(s.where) == side} for side in AROUND]
    one = set.union(*speeds)
    return one.pop() if all(speeds) and len(one) == 1 and stated <= {"right"} else None


def far_bounds(bodies: Sequence[Body], bounds: Bounds, times: float = 1.0) -> Bounds:
    """The box whose sides are far from bodies, or so many times as far, and around the domain."""
    low, high, size = _extent(bodies)
    size *= times
    around = {
        "x": (low[0] - UPSTREAM * size, high[0] + DOWNSTREAM * size),
        "y": (low[1] - BESIDE * size, high[1] + BESIDE * size),
    }
    return {axis: (min(ends[0], bounds[axis][0]), max(ends[1], bounds[axis][1])) for axis, ends in around.items()}


def stream_walls(speed: float, bodies: Sequence[Body], bounds: Bounds) -> list[Walls]:
    """The stream along sides that are far away, and what each number adds to it; the right side is open."""
    low, high, size = _extent(bodies)
    middle = (low + high) / 2

    def source(side: str) -> Profile:
        axis, end = SIDES[side]

        def velocity(along: Array) -> Array:
            away = beside(axis, bounds[axis][end], along) - middle
            return speed * size * away / (2 * np.pi * (away**2).sum(axis=1, keepdims=True))

        return velocity

    uniform = Walls(dict.fromkeys(AROUND, lambda s: np.column_stack([np.full(len(s), speed), 0 * s])), slip=AROUND[1:])
    return [uniform, uniform, Walls({side: source(side) for side in AROUND}, slip=AROUND[1:])]


def _extent(bodies: Sequence[Body]) -> tuple[Array, Array, float]:
    """Lower and upper corner of the box around all bodies, and its longer side."""
    low = np.min([body.box[0] for body in bodies], axis=0)
    high = np.max([body.box[1] for body in bodies], axis=0)
    return low, high, float((high - low).max())
