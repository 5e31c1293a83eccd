"""Where scattered places leave a gap that their own spacing does not explain: often a solid.

    gap(x) = |x - place nearest to x|,   spacing(place) = distance to its third neighbour

Of independent uniform places the largest gap is about 1.7 spacings, in a regular grid 0.7. A gap counts where it is
three times the spacing of its nearest place, and three times the mean distance of all places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.data.layout import grid_points

__all__ = ["Gap", "largest_gap"]

# Fewer places show no density.
LEAST_PLACES = 100
NEIGHBOURS, FACTOR = 3, 3.0
# Points of the box of the places at which gaps are looked for.
PROBES = {2: 64, 3: 20}


class Gap(NamedTuple):
    """The middle of a gap, [d], its radius, and the spacing of the places at its edge."""

    middle: NDArray[np.float64]
    radius: float
    spacing: float


def largest_gap(
    places: NDArray[np.float64], explained: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None
) -> Gap | None:
    """The largest gap inside the box of the places; None where there is none, or where they are too few or in rows.

    Args:
        places: [n, d], all different.
        explained: which of [m, d] points are in a known body; None: there is none.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    if len(places) < LEAST_PLACES or not (high > low).all():
        return None
    lines = [np.linspace(*ends, PROBES[len(low)]) for ends in zip(low, high, strict=True)]
    probes = grid_points(lines)
    tree = cKDTree(places)
    gaps, nearest = tree.query(probes)
    spacing = tree.query(places[nearest], k=[NEIGHBOURS + 1])[0][:, 0]
    mean = (float(np.prod(high - low)) / len(places)) ** (1 / len(low))
    if np.median(gaps / spacing) > 1.0:  # rows of places: what is between them is no gap
        return None
    counts = (gaps > FACTOR * spacing) & (gaps > FACTOR * mean)
    if explained is not None:
        counts &= ~explained(probes)
    if not counts.any():
        return None
    at = int(np.argmax(np.where(counts, gaps, 0.0)))
    return Gap(probes[at], float(gaps[at]), float(spacing[at]))
