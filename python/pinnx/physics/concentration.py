"""Where the square of a residual is: at few points beside a side or a body, or all over the domain.

    share   what the WORST share of the points, those with the largest squares, holds of the sum
    rest    the root mean square of the others: what a gate would see without them

A place is named where MANY of the worst points are BESIDE it, and more than of all points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pinnx.physics.geometry import SIDES, Bounds
from pinnx.physics.outlines import Body

__all__ = ["concentration", "largest_without_worst", "norm_without_worst", "where_errors_are"]

Array = NDArray[np.float64]

WORST = 0.05
BESIDE = 0.05  # of the extent of an axis, or of the size of a body
# Of the worst points, and how many times as often as among all: even points have 0.05 beside each side.
MANY, TIMES_EVEN = 0.1, 2.0
MOST = 3  # places that are named
ENDS = {(axis, end): f"the {side} side" for side, (axis, end) in SIDES.items()}
ENDS |= {("t", 0): "the first time", ("t", 1): "the last time"}


def concentration(squares: Array, places: Mapping[str, Array], bounds: Bounds, bodies: Sequence[Body] = ()) -> str:
    """Two sentences: how much of a sum of squares few points hold, and where these are.

    Args:
        squares: [n], >= 0, finite.
        places: axis name -> [n].
        bounds: axis name -> (low, high) of the domain.
        bodies: in it.
    """
    count, total = max(1, round(WORST * len(squares))), float(squares.sum())
    if not total > 0.0 or count == len(squares):
        return ""
    worst = np.argpartition(-squares, count)[:count]
    held, rest = float(squares[worst].sum()), norm_without_worst(squares)
    near = {name: (float(rows[worst].mean()), float(rows.mean())) for name, rows in _beside(places, bounds, bodies)}
    named = sorted((-of, name) for name, (of, usual) in near.items() if of >= max(MANY, TIMES_EVEN * usual))
    beside = ", ".join(f"{-of:.0%} beside {name}" for of, name in named[:MOST])
    where = f"Of these points are {beside}" if beside else "They are spread over the domain"
    few = f"{WORST:.0%} of the points hold {held / total:.0%} of its square; without them it is {rest:.3g}"
    return f"{few}. {where}.".replace("%", " %")


def norm_without_worst(squares: Array) -> float:
    """The root mean square of numbers without the worst of their squares, [n]; of a single one, of all."""
    count = max(1, round(WORST * len(squares)))
    return float(np.sqrt(np.mean(np.sort(squares)[: -count if count < len(squares) else None])))


def largest_without_worst(errors: Sequence[tuple[str, Array]]) -> float:
    """The largest error without the worst points of all conditions; of a single point that of all."""
    every = np.sort(np.concatenate([values for _, values in errors]))
    count = max(1, round(WORST * len(every)))
    return float(every[-count - 1 if count < len(every) else -1])


def where_errors_are(errors: Sequence[tuple[str, Array]]) -> str:
    """Two sentences: the largest error without the worst points, and at which conditions it is largest.

    Args:
        errors: of each condition its name and its errors [n], >= 0, finite.
    """
    if sum(len(values) for _, values in errors) == 1:
        return ""
    largest = sorted(((float(values.max()), name) for name, values in errors), reverse=True)[:MOST]
    few = f"Without the worst {100 * WORST:.0f} % of the points it is {largest_without_worst(errors):.3g}"
    return f"{few}. Largest at: {', '.join(f'{name} {value:.3g}' for value, name in largest)}."


def _beside(places: Mapping[str, Array], bounds: Bounds, bodies: Sequence[Body]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Of each end of an axis and each body which points are beside it."""
    found = []
    for axis, values in places.items():
        extent = bounds[axis][1] - bounds[axis][0]
        found += [(ENDS[axis, end], np.abs(values - bounds[axis][end]) < BESIDE * extent) for end in (0, 1)]
    for body in bodies:
        away = body.distance(np.column_stack([places["x"], places["y"]]))
        found.append((f"the {body}", np.abs(away) < BESIDE * body.size))
    return found
