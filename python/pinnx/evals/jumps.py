"""Corners of the box of a flow at which its sides disagree, found from the numbers alone.

At the upper corners of a cavity the lid moves and the wall does not. No field is right there, and no norm of a
derivative converges. The velocity along each of the two sides is continued to the corner by a line through its two
nearest points; sides that agree differ then by the square of a distance, whatever the flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.physics.corners import Corner

__all__ = ["corner_jumps"]

# Of the largest speed. A parabola of nine points that ends at a wall is continued to 0.06 of its maximum.
JUMP = 0.25
ON_SIDE = 1e-9  # of the longest side
REACHES = 0.2  # of its length: a side without points up to here is no side of the flow at this corner
_AXES = "xyz"

Array = NDArray[np.float64]


def corner_jumps(points: Array, velocity: Array) -> tuple[Corner, ...]:
    """The corners of the bounding box where two sides disagree in any frame; edges in three dimensions.

    Args:
        points: [n, d], d = 2 or 3.
        velocity: [T, n, d].

    Returns:
        Corners with the jump in units of the largest speed; none where a side has fewer than two points.
    """
    speed = float(np.linalg.norm(velocity, axis=2).max())
    low, high = points.min(axis=0), points.max(axis=0)
    near, found = ON_SIDE * float((high - low).max()), []
    for a, b in combinations(range(points.shape[1]), 2):
        for place in product((low[a], high[a]), (low[b], high[b])):
            on = np.abs(points[:, [a, b]] - place) <= near
            along_b, along_a = on[:, 0] & ~on[:, 1], on[:, 1] & ~on[:, 0]
            ends = [_continued(points, velocity, *side, place) for side in ((along_b, a, b), (along_a, b, a))]
            jump = _difference(*ends) / speed if all(len(where) for where, _ in ends) and speed > 0 else 0.0
            if jump > JUMP:
                found.append(Corner((_AXES[a], _AXES[b]), (float(place[0]), float(place[1])), jump, owner=0))
    return tuple(found)


def _continued(
    points: Array, velocity: Array, side: NDArray[np.bool_], fixed: int, free: int, place: Sequence[float]
) -> tuple[Array, Array]:
    """Places along the corner, [m, d - 2], and the velocity of the side continued to them, [T, m, d]."""
    rest = [axis for axis in range(points.shape[1]) if axis not in (fixed, free)]
    end = place[0] if free < fixed else place[1]
    away, rows = np.abs(points[side, free] - end), np.flatnonzero(side)
    layers = np.unique(away.round(12))[:2]
    if len(layers) < 2 or layers[0] > REACHES * np.ptp(points[:, free]):
        return np.zeros((0, len(rest))), np.zeros((len(velocity), 0, points.shape[1]))
    first, second = (rows[np.abs(away - layer) <= 1e-9 * away.max()] for layer in layers)
    second = second[_nearest(points[second][:, rest], points[first][:, rest])]
    slope = (velocity[:, first] - velocity[:, second]) * layers[0] / (layers[1] - layers[0])
    return points[first][:, rest], velocity[:, first] + slope


def _difference(here: tuple[Array, Array], there: tuple[Array, Array]) -> float:
    """The largest component of the difference of two sides."""
    return float(np.abs(here[1] - there[1][:, _nearest(there[0], here[0])]).max())


def _nearest(places: Array, wanted: Array) -> NDArray[np.intp]:
    if not wanted.shape[1]:
        return np.zeros(len(wanted), dtype=np.intp)
    return np.asarray(cKDTree(places).query(wanted)[1])
