"""What is odd about numbers of a file, before they are believed: those that stand for none, those far larger than all
others, frames and points that come twice. Zeros that stand for none: `fill_blocks`.
"""

from __future__ import annotations

import numpy as np

from pinnx.errors import PinnxError

__all__ = [
    "MARK_BEYOND",
    "MARK_FROM",
    "MARK_NUMBERS",
    "contradictions",
    "copies_in",
    "frames_twice",
    "jump_of",
    "refuse_marks",
    "values_out_of_scale",
]

# Numbers that programs write where nothing was measured.
NINES = (-99.0, 999.0, -999.0, 9999.0, -9999.0, 99999.0, -99999.0, 999999.0)
NINES_BEHIND = (-9.99, -99.9, -99.99, -999.9, -999.99, 9999.99)
IN_FLOAT32 = tuple(float(np.float32(number)) for number in NINES_BEHIND)
# The least integers of 2 and 4 bytes, and what the netCDF library fills such arrays with.
LEAST = (-32768.0, -32767.0, -2147483648.0, -2147483647.0)
MARK_NUMBERS = (*NINES, *NINES_BEHIND, *IN_FLOAT32, *LEAST, 1e6)
MARK_FROM = 1e20
# Times the largest other value: from the first on such a number is refused, from the second on any number is odd.
MARK_BEYOND, ODD_BEYOND = 5.0, 10.0
# The largest values, of which a jump is odd; in smaller fields it says little.
FEW_PLACES, SHARE_OF_LARGEST = 50, 10
# Copies of a point differ by this share of the largest value at least: copies at the seam of a mesh differ by rounding.
COPIES_DIFFER = 1e-3


def refuse_marks(name: str, values: np.ndarray, factor: float = 1.0) -> None:
    """Refuses values [..., c] of one kind of which some are far larger than all others, and a number that marks none.

    The values are those of the file times a factor; marks are numbers of the file.

    Raises:
        PinnxError: such a number often marks what is missing; NaN does not count.
    """
    low, high = values.min(), values.max()
    if np.isnan(low):
        low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)  # slower
    numbers = [number * factor for number in MARK_NUMBERS]
    if low not in numbers and high not in numbers:
        return
    marks = np.isin(values, numbers)
    others = float(np.max(np.abs(values), where=~np.isnan(values) & ~marks, initial=0.0))
    found = values[marks & (np.abs(values) > MARK_BEYOND * others)]
    if found.size and others > 0.0:
        raise PinnxError(
            f"{name}: expected values that were measured or computed, got {found[0] / factor:.10g} in "
            f"{np.count_nonzero(values == found[0]):,} of {values.size:,} where all others are within "
            f"{others / factor:.3g}; store NaN there, or name an array of 0 and 1 by data.arrays.mask"
        )


def values_out_of_scale(name: str, values: np.ndarray, factor: float = 1.0) -> list[str]:
    """Sentences about values [..., c] of one kind that are far larger than all others; NaN does not count.

    The factor is that of `refuse_marks`.

    Raises:
        PinnxError: as `refuse_marks`.
    """
    refuse_marks(name, values, factor)
    sizes = np.max(np.abs(values), axis=-1, where=~np.isnan(values), initial=0.0).reshape(-1)
    jump = jump_of(sizes) if np.count_nonzero(sizes) >= FEW_PLACES else None
    if jump is None:
        return []
    low, high = jump
    return [
        f"Look at {name}: {np.count_nonzero(sizes >= high):,} of {np.count_nonzero(sizes):,} values are {high:.3g} or "
        f"more, where all others are within {low:.3g}. If they mark what is missing, store NaN there."
    ]


def jump_of(sizes: np.ndarray) -> tuple[float, float] | None:
    """The first two sizes [n] of the largest tenth, in order, between which they grow tenfold; zeros do not count."""
    sizes = sizes[sizes > 0.0]
    few = max(1, sizes.size // SHARE_OF_LARGEST)
    largest = np.sort(np.partition(sizes, -few - 1)[-few - 1 :])
    at = np.flatnonzero(largest[1:] > ODD_BEYOND * largest[:-1])
    return (largest[at[0]], largest[at[0] + 1]) if at.size else None


def frames_twice(velocity: np.ndarray, times: np.ndarray | None) -> list[str]:
    """A sentence about frames, of a velocity [T, ..., d], that are the one before to the bit, other than at rest."""
    if times is None:
        return []
    pairs = enumerate(zip(velocity[1:], velocity[:-1], strict=True), start=1)
    twice = [
        k for k, (now, before) in pairs if np.array_equal(now, before, equal_nan=True) and np.nan_to_num(now).any()
    ]
    return [
        f"The velocity in {len(twice):,} of {len(velocity):,} frames is that of the frame before, t = "
        f"{_first(times[twice])}. A frame that was stored twice has a wrong time: remove it from the file."
    ] * bool(twice)


def _first(times: np.ndarray) -> str:
    return ", ".join(f"{time:.6g}" for time in times[:3]) + (", ..." if times.size > 3 else "")


def copies_in(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of points [n, d] that are the same, by their numbers: each copy, and the one before it."""
    order = np.lexsort(points.T[::-1])
    same = (points[order[1:]] == points[order[:-1]]).all(axis=1)
    return order[:-1][same], order[1:][same]


def contradictions(points: np.ndarray, values: np.ndarray) -> list[str]:
    """A sentence about points [n, d] that come more than once, with other values [T, n, c]."""
    first, second = copies_in(points)
    if not first.size:
        return []
    largest = float(np.max(np.abs(values), where=~np.isnan(values), initial=0.0))
    differ = (np.abs(values[:, first] - values[:, second]) > COPIES_DIFFER * largest).any(axis=(0, 2))
    if not differ.any():
        return []
    place = ", ".join(f"{number:.6g}" for number in points[first[differ][0]])
    return [
        f"{np.count_nonzero(differ):,} of {len(points):,} places are copies of another one with other values, the "
        f"first at ({place}): a sensor there sees one of them, errors count both. Keep one of each in the file."
    ]
