"""Weights of places: the area that each stands for, and a rule for channels.

    area_j     grid: products of half the distances to the two neighbours along each axis; scattered:
               a share 1 / (d + 1) of every Delaunay simplex at the point. Simplices that span a hole
               of the domain (a body, a corner that is cut out) do not count.
    channel    weight_j = factor where the nearest wall is less than distance * half_height away, else 1

Areas make sums over an uneven mesh sums over the domain: without them a refined region counts more.
In y / h < 0.1 of a turbulent channel lie the buffer layer and most of the production of turbulent
energy, while the modes of largest energy live in its middle. That rule is one of thumb, not a law:
`factor` and `distance` are yours to change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Delaunay, QhullError, cKDTree

from pinnx.data.layout import grid_lines
from pinnx.errors import PinnxError

__all__ = ["areas_and_inner_walls", "cell_areas", "channel_wall_weights", "in_hole"]

# Coordinates are known to float32 as a rule; a place at the distance itself is not nearer.
SLACK = 1e-5
# A place is in a hole when its nearest data point is this many times farther than that point's own
# neighbours. Measured on 12,000 spectral-element nodes around a cylinder: at most 3.5 anywhere in
# the flow, above 5.5 from a tenth of the diameter inside the wall on.
HOLE_FACTOR = 5.0
# Distinct neighbours that make up a point's surroundings: the two on each axis.
NEIGHBOURS_PER_AXIS = 2
# Least area of a point, as a part of the mean: slivers at the hull have almost none, and modes are divided by its root.
LEAST_AREA = 1e-6
# Simplices of less than this part of their edges' volume are points on a line, to the rounding of float32.
SLIVER = 1e-4
# Points that are triangulated at a time, and those of each neighbour beside them: 30 MB.
STRIP_POINTS, OVERLAP_POINTS = 2**14, 2**13


def cell_areas(points: ArrayLike, grid_shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Return the area (in three dimensions the volume) that each point stands for.

    Points at one place share theirs. Points on a line (in a plane, in three dimensions) have no
    area, and all count alike.

    Args:
        points: [n, d] float64, d = 2 or 3.
        grid_shape: numbers of points along x, y[, z], where they are a grid in C order.

    Returns:
        [n] float64, > 0; their sum is the area of the domain, up to the slivers that are raised to
        1e-6 of the mean.
    """
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] not in (2, 3) or not len(places):
        raise PinnxError(f"points: expected shape [n, 2] or [n, 3], n >= 1, got {list(places.shape)}")
    if grid_shape is not None:
        return reduce(np.multiply.outer, map(_trapezoid, grid_lines(places, grid_shape))).reshape(-1)
    return areas_and_inner_walls(places)[0]


def areas_and_inner_walls(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the areas of scattered points, and mark those at the edge of a hole, by one triangulation.

    Args:
        points: [n, d] float64.

    Returns:
        [n] float64, as of `cell_areas`; [n] bool, the corners of Delaunay simplices that span a hole.
    """
    distinct, place_of, count = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    areas, walls, corners = np.zeros(len(distinct)), np.zeros(len(distinct), dtype=bool), points.shape[1] + 1
    for simplices, volumes, holes in _simplices(distinct):
        np.add.at(areas, simplices[~holes].reshape(-1), np.repeat(volumes[~holes] / corners, corners))
        walls[simplices[holes]] = True
    place_of = place_of.reshape(-1)
    if not areas.any():
        return np.ones(len(points)), walls[place_of]
    areas = np.maximum(areas, LEAST_AREA * areas.mean())
    return (areas / count)[place_of], walls[place_of]


def in_hole(points: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each place [m, d] whether it is far from the scattered points, measured by their own spacing."""
    distinct = np.unique(points, axis=0)
    neighbours = min(NEIGHBOURS_PER_AXIS * points.shape[1], len(distinct) - 1)
    if neighbours < 1:
        return np.zeros(len(places), dtype=bool)
    tree = cKDTree(distinct)
    distance, nearest = tree.query(places)
    spacing = tree.query(distinct[nearest], k=neighbours + 1)[0][:, -1]
    return distance > HOLE_FACTOR * spacing


def _simplices(
    points: NDArray[np.float64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield Delaunay simplices [m, d + 1] of distinct points, their volumes [m], and which span a hole; none on a line.

    Strips across the longest axis are triangulated one by one, each with some of its neighbours' points,
    and a simplex belongs to the strip that its centre is in: the memory does not grow with the number of points.
    """
    count, dim = points.shape
    across = points[:, int(np.argmax(np.ptp(points, axis=0)))]
    order = np.argsort(across, kind="stable")
    for begin in range(0, count, STRIP_POINTS):
        end = begin + STRIP_POINTS
        some = order[max(0, begin - OVERLAP_POINTS) : end + OVERLAP_POINTS]
        if len(some) <= dim:
            continue
        try:
            found = Delaunay(points[some])
        except QhullError:  # flat: no simplex has a volume
            continue
        simplices, at_hull = some[found.simplices], (found.neighbors < 0).any(axis=1)
        centres = across[simplices].mean(axis=1)
        low = across[order[begin]] if begin else -np.inf
        high = across[order[end]] if end < count else np.inf
        own = (centres >= low) & (centres < high)
        yield simplices[own], *_measured(points, simplices[own], at_hull[own])


def _measured(
    points: NDArray[np.float64], simplices: NDArray[np.int64], at_hull: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Volumes [m] of simplices, and which of them span a hole.

    The sphere around a simplex has no point inside. In a hole it is large beside the edges at its corners, even where
    the simplex itself is thin; beside their median, so that a mesh of flat cells at a wall is none. At the hull, where
    spheres reach outside, a hole needs a long edge as well.
    """
    dim = points.shape[1]
    corners = points[simplices]
    edges = corners[:, 1:] - corners[:, :1]
    volumes = np.abs(np.linalg.det(edges)) / math.factorial(dim)
    ends = np.concatenate([simplices[:, list(pair)] for pair in permutations(range(dim + 1), 2)])
    lengths = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    order = np.lexsort((lengths, ends[:, 0]))
    vertices, first, count = np.unique(ends[order, 0], return_index=True, return_counts=True)
    usual = np.zeros(len(points))
    usual[vertices] = lengths[order][first + count // 2]
    usual = usual[simplices].min(axis=1)
    solid = volumes > SLIVER * usual**dim
    radius = np.zeros(len(simplices))
    squares = np.sum(edges[solid] ** 2, axis=2)[..., None]
    radius[solid] = np.linalg.norm(np.linalg.solve(2.0 * edges[solid], squares)[..., 0], axis=1)
    longest = lengths.reshape(-1, len(simplices)).max(axis=0)
    limit = HOLE_FACTOR * usual
    return volumes, (radius > limit) & (~at_hull | (longest > limit))


def _trapezoid(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """The length that each point of a rising grid line stands for."""
    edges = np.concatenate([line[:1], 0.5 * (line[1:] + line[:-1]), line[-1:]])
    return np.diff(edges)


def channel_wall_weights(
    y: ArrayLike, half_height: float, factor: float = 5.0, distance: float = 0.1, *, centre: float = 0.0
) -> NDArray[np.float64]:
    """Return weights of places in a channel for `SensorSelector(weights=...)`.

    Args:
        y: [n] the coordinate across the channel, |y - centre| <= half_height, in units of length.
        half_height: h > 0; the walls are at centre - h and centre + h.
        factor: > 0, the weight near a wall.
        distance: from the wall, as a part of h, between 0 and 1.
        centre: of the channel; 0 where y runs from -h to h, h where it runs from 0 to 2 h.

    Returns:
        [n] float64.

    Raises:
        PinnxError: a place outside the channel (by more than the rounding of float32), or a number
            out of its range.
    """
    across = np.asarray(y, dtype=np.float64)
    if across.ndim != 1 or not np.isfinite(across).all():
        raise PinnxError(f"y: expected finite coordinates [n], got {list(across.shape)}")
    for name, value, holds in (
        ("half_height", half_height, half_height > 0),
        ("factor", factor, factor > 0),
        ("distance", distance, 0 < distance <= 1),
    ):
        if not holds:
            raise PinnxError(f"{name}: expected a number > 0{' up to 1' if name == 'distance' else ''}, got {value}")
    from_wall = 1.0 - np.abs(across - centre) / half_height
    if across.size and from_wall.min() < -float(np.finfo(np.float32).eps):
        worst = float(across[np.argmin(from_wall)])
        raise PinnxError(
            f"y: expected places from {centre - half_height:g} to {centre + half_height:g}, got {worst:g}; a channel "
            "from 0 to 2 h has centre=h"
        )
    # Less than the distance by more than rounding, so that both walls are treated alike.
    return np.where(from_wall < distance * (1.0 - SLACK), float(factor), 1.0)
