"""Points at which equations are imposed: a box less the bodies in it, denser at walls, in a window of the time.

    x = lo + (hi - lo) U                                      inside
    x = wall(U_1, ..., U_{D-1}) + layer U_0^2 normal          the last ones of a step: a share of all, in equal parts
                                                              for the walls

U are points of the unit cube (pinnx.data.collocation). The density of a wall's points falls with the root of their
distance to it. A point inside a body is drawn anew, uniformly. The window reaches from the first time to a share of the
whole that may grow from step to step: so equations are learned from the start of the time on, with one network
(the sampling in time of Wight and Zhao, Commun. Comput. Phys. 29, 2021). No point is weighed by its density.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import count
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from pinnx.data.collocation import BoxPoints, Sampling, uniform_points
from pinnx.errors import PinnxError
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.concentration import concentration
from pinnx.physics.geometry import Bounds, Side, Wall, stretched
from pinnx.physics.outlines import Body

__all__ = ["InnerPoints", "growing_window", "walls_of"]

# Of candidates for a pool, and of points in place of those inside a body: one for each time that they are drawn.
CANDIDATE_STREAM = 1 << 24
AGAIN_STREAM = CANDIDATE_STREAM + 16
# Points that are looked at to see whether the bodies leave any room.
PROBES = 4096

Array = NDArray[np.float64]


def walls_of(conditions: Sequence[BoundaryCondition]) -> tuple[Wall, ...]:
    """Bodies and sides on which all of the velocity is prescribed; of the sides those that none crosses.

    What is known roughly only guides: a stream far from a body is no wall.
    """
    normal = {"x": "u", "y": "v", "z": "w"}
    full = [c for c in conditions if c.mask[:-1].all() and not c.rough]
    bodies = (c.where for c in full if isinstance(c.where, Body))
    sides = (c.where for c in full if isinstance(c.where, Side) and c.values[normal[c.where.axis]] == 0)
    return (*bodies, *sides)


def growing_window(step: int, *, windows: int, last_step: float) -> float:
    """The share of the time in a step: 1 / windows at first, one more each, all from ``last_step`` on."""
    grown = windows if step >= last_step else 1 + int(step / last_step * (windows - 1))
    return grown / windows


class InnerPoints:
    """Points of a box, fresh in each step; see the file's head.

    Args:
        bounds: axis name -> (low, high) of the box, time first.
        num: points of a step.
        seed: key of the points.
        sampling: how they are spread.
        bodies: where none is drawn.
        walls: where points are denser.
        wall_share: of a step's points that belong to walls.
        wall_layer: how far from a wall these are at most, units of length.
        window: step -> share of the time that is drawn from; None: all of it.

    Attributes:
        num: points of a step.

    Raises:
        PinnxError: no points; an axis without extent; no walls for a share of them; bodies that leave no room.
    """

    def __init__(
        self,
        bounds: Bounds,
        num: int,
        *,
        seed: int,
        sampling: Sampling = "uniform",
        bodies: Sequence[Body] = (),
        walls: Sequence[Wall] = (),
        wall_share: float = 0.0,
        wall_layer: float = 0.0,
        window: Callable[[int], float] | None = None,
    ) -> None:
        if not isinstance(num, Integral) or num < 1:
            raise PinnxError(f"points: expected an integer >= 1 of them in a step, got {num}")
        for axis, (low, high) in bounds.items():
            if not -np.inf < low < high < np.inf:
                raise PinnxError(f"bounds of {axis}: expected finite low < high, got {low} and {high}")
        if wall_share > 0.0 and not walls:
            raise PinnxError("walls: expected a side or circle with a velocity that does not cross it, got none")
        self.num = num
        self._bounds, self._seed, self._bodies, self._window = bounds, seed, tuple(bodies), window
        self._low, self._high = np.array(list(bounds.values())).T
        self._layer = wall_layer
        self._drawn = self._cube(num, 0, sampling)
        self._again = functools.lru_cache(maxsize=8)(lambda time: self._cube(num, AGAIN_STREAM + time))
        first, many = num - round(wall_share * num), max(len(walls), 1)
        stops = [first + (num - first) * part // many for part in range(many + 1)]
        self._blocks = [(range(*stops[part : part + 2]), wall) for part, wall in enumerate(walls)]
        if bodies and not self.in_flow(uniform_points(self._low, self._high, PROBES, seed=0, step=0)).any():
            raise PinnxError("bodies: expected room for the flow beside them, got none in the domain")

    def draw(self, step: int, rows: range) -> Array:
        """Points number ``rows`` of a step, [len(rows), D] float64."""
        bounds = self._bounds_at(step)
        ends = np.array(list(bounds.values())).T
        cube = self._drawn.draw(step, rows)
        points = stretched(cube, ends)
        for block, wall in self._blocks:
            start, stop = (min(max(number - rows.start, 0), len(rows)) for number in (block.start, block.stop))
            if start < stop:
                at, away = wall.at(cube[start:stop, 1:], bounds), self._layer * cube[start:stop, 0] ** 2
                points[start:stop] = np.clip(wall.off(at, away, bounds), self._low, self._high)
        return self._outside(points, lambda time: stretched(self._again(time).draw(step, rows), ends))

    def candidates(self, step: int, num: int) -> Array:
        """Uniform points of the same domain and window, none of which ``draw`` gives, [num, D] float64."""
        ends = np.array(list(self._bounds_at(step).values())).T

        def uniform(stream: int) -> Array:
            return stretched(self._cube(num, stream).draw(step, range(num)), ends)

        # Streams of the second half: those before are the replacements of `draw`.
        points = uniform(CANDIDATE_STREAM)
        return self._outside(points, lambda time: uniform(AGAIN_STREAM + (1 << 20) + time))

    def in_flow(self, points: Array) -> NDArray[np.bool_]:
        """Which of [n, D] points are in no body, [n]."""
        outside = np.ones(len(points), dtype=bool)
        for body in self._bodies:
            outside &= ~body.contains(points, self._bounds)
        return outside

    def concentration(self, points: Array, squares: Array) -> str:
        """At which of [n, D] points the squares [n] of a residual are large, in two sentences."""
        return concentration(squares, dict(zip(self._bounds, points.T, strict=True)), self._bounds, self._bodies)

    def _cube(self, num: int, stream: int, sampling: Sampling = "uniform") -> BoxPoints:
        d = len(self._low)
        return BoxPoints(np.zeros(d), np.ones(d), num, seed=self._seed, stream=stream, sampling=sampling)

    def _bounds_at(self, step: int) -> Bounds:
        if self._window is None:
            return self._bounds
        first, last = self._bounds["t"]
        return {**self._bounds, "t": (first, first + self._window(step) * (last - first))}

    def _outside(self, points: Array, again: Callable[[int], Array]) -> Array:
        """Points with those inside a body drawn again until none is: each by its own number."""
        inside, times = np.flatnonzero(~self.in_flow(points)), count()
        while len(inside):
            points[inside] = again(next(times))[inside]
            inside = inside[~self.in_flow(points[inside])]
        return points
