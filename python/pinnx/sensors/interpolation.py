"""Places from which the flow is interpolated best: a cover of the domain that is finer where the flow varies.

    cost(S) = sum_i area_i |v(x_i) - I_S v(x_i)|^2
    I_S v(x) = m + sum_s g(x, s) c_s,   (g(s, s') + noise) c = v(s) - m,   g = exp(-|x - x'|^2 / 2 l^2)

with m the mean over the sensors and l half of h = (area / k)^(1 / d), the width of the cell of one sensor. The search
starts from the cheapest of several covers and moves one sensor at a time, in random steps that shrink, as long as the
cost falls. No sensor moves farther than a tenth of h from its place in the cover, so that no gap opens.

No equation enters, yet this cost orders placements as the errors of trained networks do; the conditioning of a
linear (POD) estimate orders them the other way round (docs/sensors.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.sensors.patterns import gathered

__all__ = ["interpolated_points"]

Array = NDArray[np.float64]

# The length of the kernel in widths of a cell: of 0.5, 0.8 and 1.2 the one that followed the networks' errors best.
LENGTH = 0.5
# What keeps the kernel's matrix away from singular, beside its diagonal of 1.
NOISE = 1e-3
# At most so many cells: the time of a move grows with them.
CELLS_PER_SENSOR, MAX_CELLS = 125, 4096
TRIES_PER_SENSOR = 125
# How far a sensor may move, in widths of a cell. With 0.25 networks had 1.16 times the error of a lattice on a steady
# flow, and without a limit 1.15 times on the flow of the preset demo; with 0.1 at most 1.01 (docs/sensors.md).
REACH = 0.1
# Steps of the search in widths of a cell, from the first to the last.
FIRST_STEP, LAST_STEP = 0.12, 0.05


def interpolated_points(
    points: Array,
    values: Array,
    areas: Array,
    allowed: NDArray[np.bool_],
    starts: Sequence[NDArray[np.int64]],
    *,
    seed: int,
    min_distance: float | None = None,
) -> NDArray[np.int64]:
    """Return the places [k] that the search ends with.

    Args:
        points: [n, d] float64.
        values: [n, c] what a sensor at each point sees: snapshots, or modes times their singular values.
        areas: [n] >= 0, the area that each point stands for.
        allowed: [n] bool, where a sensor may stand.
        starts: indices [k] of the covers to start from.
        seed: of the steps.
        min_distance: least distance between two; None: any.
    """
    count = len(starts[0])
    width = float((areas.sum() / count) ** (1.0 / points.shape[1]))
    masses, centres, wanted = gathered(points, areas, min(CELLS_PER_SENSOR * count, MAX_CELLS), values)
    costs = [_Cost(centres, masses, wanted, LENGTH * width, points[start], values[start]) for start in starts]
    best = int(np.argmin([cost.value for cost in costs]))
    cost, chosen = costs[best], np.array(starts[best])
    home = points[chosen]
    candidates = np.flatnonzero(allowed)
    tree, rng = cKDTree(points[candidates]), np.random.default_rng(seed)
    tries = TRIES_PER_SENSOR * count
    for number in range(tries):
        sensor = number % count
        step = width * (FIRST_STEP + (LAST_STEP - FIRST_STEP) * number / tries)
        target = points[chosen[sensor]] + step * rng.normal(size=points.shape[1])
        index = int(candidates[tree.query(target)[1]])
        if np.linalg.norm(points[index] - home[sensor]) > REACH * width:
            continue
        gaps = np.linalg.norm(points[np.delete(chosen, sensor)] - points[index], axis=1)
        if index == chosen[sensor] or not gaps.all() or gaps.min(initial=np.inf) < (min_distance or 0.0):
            continue
        if cost.move(sensor, points[index], values[index]):
            chosen[sensor] = index
    return chosen


class _Cost:
    """The cost of k sensors, and what it would be if one of them stood elsewhere.

    The squares are multiplied out, so that only the kernel of the sensor that moves is computed anew:
    gram = K' W K [k, k], sums = K' w [k], products = K' W V [k, c], K [m, k], W = diag(w) the areas.
    """

    def __init__(self, centres: Array, areas: Array, wanted: Array, length: float, places: Array, seen: Array) -> None:
        self.centres, self.areas, self.wanted = centres, areas, wanted  # [m, d], [m], [m, c]
        self.denominator = 2.0 * length**2
        self.places, self.seen = places.copy(), seen.copy()  # [k, d], [k, c]
        self.kernel = self._kernel(centres, places)
        weighted = self.kernel.T * areas
        self.gram, self.sums, self.products = weighted @ self.kernel, weighted.sum(axis=1), weighted @ wanted
        self.total, self.mean_wanted = areas.sum(), areas @ wanted
        self.squares = float(areas @ (wanted**2).sum(axis=1))
        self.value = self._evaluate()

    def move(self, sensor: int, place: Array, seen: Array) -> bool:
        """Move a sensor if that lowers the cost."""
        kept = [array.copy() for array in (self.places, self.seen, self.gram, self.sums, self.products)]
        column = self._kernel(self.centres, place[None])[:, 0]
        weighted = column * self.areas
        old_column = self.kernel[:, sensor].copy()
        self.kernel[:, sensor] = column
        self.places[sensor], self.seen[sensor] = place, seen
        self.gram[sensor] = self.gram[:, sensor] = weighted @ self.kernel
        self.sums[sensor], self.products[sensor] = weighted.sum(), weighted @ self.wanted
        value = self._evaluate()
        # A difference of rounding must not decide, or another machine would choose other sensors.
        if value < self.value * (1.0 - 1e-6):
            self.value = value
            return True
        self.kernel[:, sensor] = old_column
        self.places, self.seen, self.gram, self.sums, self.products = kept
        return False

    def _kernel(self, a: Array, b: Array) -> Array:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / self.denominator)

    def _evaluate(self) -> float:
        mean = self.seen.mean(axis=0)
        matrix = self._kernel(self.places, self.places) + NOISE * np.eye(len(self.places))
        c = np.linalg.solve(matrix, self.seen - mean)
        constant = self.squares - 2.0 * float(mean @ self.mean_wanted) + self.total * float(mean @ mean)
        linear = float((c * (self.products - np.outer(self.sums, mean))).sum())
        return constant - 2.0 * linear + float((c * (self.gram @ c)).sum())
