"""Numbered marks that do not cover each other.

Sensors often stand close together (walls, a lid). Marks that would overlap are pushed apart, pair
by pair, and a thin line leads from each to its true place.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pinnx.report.picture import INK

__all__ = ["draw_ranks", "spread"]

_DIAMETER = 13.0  # of a mark, in typographic points
_APART = _DIAMETER + 3.0  # between the centres of two marks, edges included
_ROUNDS = 200  # a dozen marks settle within twenty; hundreds may stay crowded


def draw_ranks(
    ax: Axes,
    places: NDArray[np.float64],
    ranks: NDArray[np.int64],
    points_per_unit: NDArray[np.float64],
) -> None:
    """Draws a numbered mark for each place.

    Args:
        ax: where to draw.
        places: ``[k, 2]`` in data units.
        ranks: ``[k]``, the numbers in the marks.
        points_per_unit: ``[2]``, typographic points to one unit of x and of y.
    """
    marks = spread(places * points_per_unit, _APART) / points_per_unit
    for place, mark, rank in zip(places, marks, ranks, strict=True):
        if np.linalg.norm((mark - place) * points_per_unit) > _DIAMETER / 4:
            line = np.stack((place, mark))
            ax.plot(*line.T, color="white", lw=2.4, zorder=4, clip_on=False)
            ax.plot(*line.T, color=INK, lw=1.0, zorder=4, clip_on=False)
            ax.plot(*place, "o", ms=4.5, mfc=INK, mec="white", mew=0.8, zorder=4, clip_on=False)
        ax.plot(*mark, "o", ms=_DIAMETER, mfc="white", mec=INK, mew=1.3, zorder=5, clip_on=False)
        ax.text(
            mark[0],
            mark[1],
            str(rank),
            ha="center",
            va="center_baseline",
            fontsize=7.5,
            weight="bold",
            color=INK,
            zorder=6,
        )


def spread(places: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Moves places ``[k, 2]`` until any two are ``apart`` or the rounds are over."""
    marks = places.astype(np.float64, copy=True)
    # Two marks on one spot have no direction to part in: each gets its own, a golden angle on.
    angle = 2.399963 * np.arange(len(marks))
    own = np.column_stack((np.cos(angle), np.sin(angle)))
    for _ in range(_ROUNDS):
        difference = marks[:, None] - marks[None]
        distance = np.linalg.norm(difference, axis=2)
        np.fill_diagonal(distance, np.inf)
        overlap = np.maximum(apart - distance, 0.0)
        if overlap.max() < 1e-2 * apart:
            break
        direction = np.where(
            distance[..., None] > 1e-9 * apart,
            difference / np.maximum(distance, 1e-12)[..., None],
            own[:, None] - own[None],
        )
        marks += 0.5 * (overlap[..., None] * direction).sum(axis=1)
    return marks
