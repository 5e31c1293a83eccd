"""Choices that look at places alone, not at what is measured there.

coverage   k-means of the area (a centroidal Voronoi tessellation): the mean square distance of a place of the
           domain to its nearest sensor is least. Lloyd's algorithm, the best of several starts.
lattice    k places in rows of equal distance, each taken to the nearest data point
farthest   each the point whose least distance is largest: to those before it, and twice to the edge of
           the box, where its own mirror image would be. The first is in the middle.
random     a seeded permutation in which a point comes early with the area that it stands for:
           the smallest e_j / area_j, e_j exponential

All keep to a least distance and take no place twice. Fewer random or farthest points are the first of more.

Sources: Du, Faber and Gunzburger, SIAM Review 41 (1999) 637; Arthur and Vassilvitskii, SODA 2007, for the
starts; Efraimidis and Spirakis, Inf. Process. Lett. 97 (2006) 181, for random points.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.errors import PinnxError

__all__ = ["by_rank", "coverage_points", "farthest_points", "gathered", "lattice_points", "random_points"]

# Areas are gathered in so many cells of a grid for each sensor, so that a fine mesh costs no more than a coarse one.
# At most `MAX_CELLS`: without a limit 100 sensors took two minutes.
CELLS_PER_SENSOR, MAX_CELLS = 400, 10_000
STARTS = 8
MAX_ITERATIONS = 300

Array = NDArray[np.float64]


def lattice_points(
    points: Array, count: int, allowed: NDArray[np.bool_], min_distance: float | None = None
) -> NDArray[np.int64]:
    """Return the data points nearest to a lattice over the box of the allowed points, row by row.

    Args:
        points: [n, d] float64.
        count: k.
        allowed: [n] bool.
        min_distance: least distance between two; None: any.

    Returns:
        [k] int64.

    Raises:
        PinnxError: fewer points than that; likewise below.
    """
    inside = points[allowed]
    wanted = _lattice(inside.min(axis=0), inside.max(axis=0), count)
    return _pick(points, count, allowed, min_distance, lambda rank, _: np.linalg.norm(points - wanted[rank], axis=1))


def farthest_points(
    points: Array, count: int, allowed: NDArray[np.bool_], min_distance: float | None = None
) -> NDArray[np.int64]:
    """Return points that are far from one another and from the edge of the box; arguments as of `lattice_points`."""
    low, high = points.min(axis=0), points.max(axis=0)
    free = 2.0 * np.minimum(points - low, high - points).min(axis=1)
    return _pick(points, count, allowed, min_distance, lambda _, gaps: -np.minimum(gaps, free))


def random_points(
    points: Array,
    count: int,
    allowed: NDArray[np.bool_],
    min_distance: float | None = None,
    *,
    weights: Array,
    seed: int,
) -> NDArray[np.int64]:
    """Return points drawn without repetition; other arguments as of `lattice_points`.

    The weights, [n] > 0 where a point is allowed, say how likely it is drawn, as its area. The seed names a permutation
    of all points, so that leaving some out reorders none.
    """
    keys = np.random.default_rng(seed).standard_exponential(len(points)) / np.where(allowed, weights, 1.0)
    return _pick(points, count, allowed, min_distance, lambda *_: keys)


def coverage_points(
    points: Array,
    count: int,
    allowed: NDArray[np.bool_],
    min_distance: float | None = None,
    *,
    weights: Array,
    seed: int,
) -> NDArray[np.int64]:
    """Return the points nearest to the centres of k cells of the domain, the most central first.

    The weights, [n] >= 0, are the area that each point stands for, the seed is that of the starts; other arguments as
    of `lattice_points`.
    """
    masses, centres, _ = gathered(points, weights, min(CELLS_PER_SENSOR * count, MAX_CELLS))
    rng = np.random.default_rng(seed)
    starts = [_start(masses, centres, count, rng) for _ in range(STARTS)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the search for the nearest holds no lock
        found = list(pool.map(lambda start: _lloyd(masses, centres, start), starts))
    lowest = min(cost for _, cost in found)
    means = next(means for means, cost in found if cost <= lowest * (1.0 + 1e-9))
    nearest = _pick(points, count, allowed, min_distance, lambda rank, _: np.linalg.norm(points - means[rank], axis=1))
    return by_rank(points, nearest, weights)


def by_rank(points: Array, chosen: NDArray[np.int64], weights: Array) -> NDArray[np.int64]:
    """Order places: the most central first, then the farthest from those before, so that any first few cover too."""
    off_centre = np.linalg.norm(points[chosen] - np.average(points, axis=0, weights=weights), axis=1)
    every = np.ones(len(chosen), dtype=bool)
    return chosen[_pick(points[chosen], len(chosen), every, None, lambda rank, gaps: -gaps if rank else off_centre)]


def gathered(points: Array, weights: Array, num_cells: int, values: Array | None = None) -> tuple[Array, Array, Array]:
    """Sums [m] of the weights in cells of a regular grid, and means there: of the points [m, d], of values [m, c]."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    extent = np.where(extent > 0.0, extent, 1.0)
    size = (np.prod(extent) / num_cells) ** (1.0 / len(extent))
    shape = np.clip(np.ceil(extent / size), 1, num_cells).astype(np.int64)
    index = np.minimum(((points - low) / extent * shape).astype(np.int64), shape - 1)
    _, cell = np.unique(np.ravel_multi_index(tuple(index.T), tuple(shape)), return_inverse=True)
    masses = np.bincount(cell, weights)
    held = masses > 0.0

    def mean(table: Array) -> Array:
        sums = [np.bincount(cell, weights * column)[held] / masses[held] for column in table.T]
        return np.stack(sums, axis=1)

    return masses[held], mean(points), mean(points if values is None else values)


def _start(masses: Array, centres: Array, count: int, rng: np.random.Generator) -> Array:
    """k-means++: each further start is drawn with a probability that grows with the square distance to the others."""
    chosen: list[int] = []
    gaps = np.ones(len(masses))
    for _ in range(count):
        chances = masses * gaps
        chances = chances if chances.any() else masses
        chosen.append(int(rng.choice(len(masses), p=chances / chances.sum())))
        squares = ((centres - centres[chosen[-1]]) ** 2).sum(axis=1)
        gaps = np.minimum(gaps, squares) if len(chosen) > 1 else squares
    return centres[chosen]


def _lloyd(masses: Array, centres: Array, means: Array) -> tuple[Array, float]:
    """Move each mean to the centre of what is nearest to it, until none moves; the cost is the sum of squares."""
    for _ in range(MAX_ITERATIONS):
        nearest = cKDTree(means).query(centres)[1]
        share = np.bincount(nearest, masses, len(means))
        sums = np.stack([np.bincount(nearest, masses * column, len(means)) for column in centres.T], axis=1)
        moved = np.where(share[:, None] > 0.0, sums / np.where(share > 0.0, share, 1.0)[:, None], means)
        if np.array_equal(moved, means):
            break
        means = moved
    return means, float(masses @ cKDTree(means).query(centres)[0] ** 2)


def _lattice(low: Array, high: Array, count: int) -> Array:
    """Return k places [k, d]: rows along the last axis, as many as make cells square, with places in their middle."""
    lengths = high - low
    dim = len(lengths)
    if dim == 1:
        return (low + lengths * (np.arange(count)[:, None] + 0.5) / count).reshape(count, 1)
    solid = lengths[lengths > 0]
    rows = 1
    if lengths[-1] > 0 and solid.size:
        rows = int(np.clip(round(lengths[-1] * (count / np.prod(solid)) ** (1.0 / solid.size)), 1, count))
    parts = []
    for row, share in enumerate(np.diff(np.arange(rows + 1) * count // rows)):
        across = np.full((share, 1), low[-1] + lengths[-1] * (row + 0.5) / rows)
        parts.append(np.concatenate([_lattice(low[:-1], high[:-1], int(share)), across], axis=1))
    return np.concatenate(parts)


def _pick(
    points: Array,
    count: int,
    allowed: NDArray[np.bool_],
    min_distance: float | None,
    costs: Callable[[int, Array], Array],
) -> NDArray[np.int64]:
    """Take the point of least cost that is still open, k times; ``costs`` are [n] numbers.

    They are a function of the rank, and of the distances [n] to the nearest that was taken, at first infinite.
    """
    if min_distance is not None and not min_distance > 0:
        raise PinnxError(f"sensors.min_distance: expected a number > 0, got {min_distance}")
    gaps = np.full(len(points), np.inf)
    still = allowed.copy()
    chosen: list[int] = []
    while len(chosen) < count:
        if not still.any():
            apart = f" at least {min_distance:g} apart" if min_distance else ""
            raise PinnxError(
                f"sensors.count: expected at most {len(chosen)}, the sensors that fit{apart} on "
                f"{int(allowed.sum())} points, got {count}"
            )
        index = int(np.argmin(np.where(still, costs(len(chosen), gaps), np.inf)))
        chosen.append(index)
        gaps = np.minimum(gaps, np.linalg.norm(points - points[index], axis=1))
        still &= (gaps > 0.0) & (gaps >= (min_distance or 0.0))
    return np.array(chosen, dtype=np.int64)
