"""Uniform random points in a box, drawn by counter: point i depends on (seed, step, stream, i).

    x_i = lo + (hi - lo) * U_i,    U_i = words 0 .. d-1 of Philox4x64-10, 53 bits each

One counter block holds four words and serves one point, so a point does not depend on how many
others are drawn, nor on who draws them: ranks, micro-batches and a resumed run agree bitwise.
Counter (index + 1, 0, 0, stream), key (seed, step); the + 1 is NumPy's, which counts up before it
draws.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike

from pinnx.errors import PinnxError

__all__ = ["BoxPoints", "UniformPoints", "uniform_points"]

WORDS_PER_POINT = 4  # one Philox4x64 block
# The top 53 bits fill the mantissa of a float64: values k / 2^53 in [0, 1).
DROPPED_BITS = np.uint64(11)
UNIT = 2.0**-53


def uniform_points(
    lo: ArrayLike,
    hi: ArrayLike,
    n: int,
    *,
    seed: int,
    step: int,
    first_index: int = 0,
    stream: int = 0,
) -> np.ndarray:
    """Draw points number first_index to first_index + n - 1 of an endless uniform sequence.

    Args:
        lo: [d] lower corner of the box, d = 1 to 4.
        hi: [d] upper corner, hi >= lo; an axis with hi = lo stays fixed, which samples a face.
        n: number of points, >= 0.
        seed: key of the whole run, 0 <= seed < 2^64.
        step: training step, 0 <= step < 2^64.
        first_index: number of the first point; a rank or micro-batch sets its own offset.
        stream: separates uses within a step, e.g. 0 interior, 1 boundary.

    Returns:
        [n, d] float64, uniform in the box. The first m of n points equal a draw of m.

    Raises:
        PinnxError: a corner that is not finite or of another shape, hi < lo, or a number out of
            its range.
    """
    return np.ascontiguousarray(UniformPoints(lo, hi, n, seed=seed, first_index=first_index, stream=stream).at(step))


class UniformPoints:
    """The draws of ``uniform_points`` for one step after the other: what stays is checked and built once.

    Args:
        lo: [d] lower corner of the box, d = 1 to 4.
        hi: [d] upper corner, hi >= lo.
        n: number of points, >= 0.
        seed: key of the whole run.
        first_index: number of the first point.
        stream: separates uses within a step.

    Raises:
        PinnxError: as there.
    """

    def __init__(
        self, lo: ArrayLike, hi: ArrayLike, n: int, *, seed: int, first_index: int = 0, stream: int = 0
    ) -> None:
        low = np.asarray(lo, dtype=np.float64)
        high = np.asarray(hi, dtype=np.float64)
        if low.ndim != 1 or low.shape != high.shape or not 1 <= low.size <= WORDS_PER_POINT:
            raise PinnxError(
                f"lo, hi: expected two corners of shape [d], d = 1 to {WORDS_PER_POINT}, "
                f"got {list(low.shape)} and {list(high.shape)}"
            )
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise PinnxError(f"lo, hi: expected finite lo <= hi, got {low.tolist()}, {high.tolist()}")
        for name, value in {"seed": seed, "stream": stream, "n": n, "first_index": first_index}.items():
            _require_word(name, value)
        if first_index + n >= 2**64:
            raise PinnxError(f"first_index + n: expected less than 2^64, got {first_index + n}")
        self._low, self._width = low[:, None], (high - low)[:, None]
        self._n = n
        self._key = np.array([seed, 0], dtype=np.uint64)
        counter = np.array([first_index, 0, 0, stream], dtype=np.uint64)
        self._generator = np.random.Philox(key=self._key, counter=counter)
        self._start = self._generator.state
        self._start["state"] = {"key": self._key, "counter": counter}
        self._words = np.empty((low.size, n), dtype=np.uint64)

    def at(self, step: int) -> np.ndarray:
        """The points of a step, [n, d] float64; each column is contiguous.

        Raises:
            PinnxError: a step out of its range.
        """
        _require_word("step", step)
        self._key[1] = step
        self._generator.state = self._start
        words = self._generator.random_raw(WORDS_PER_POINT * self._n).reshape(self._n, WORDS_PER_POINT)
        # Column by column: a loop over n at a time, not over d.
        np.right_shift(words.T[: len(self._words)], DROPPED_BITS, out=self._words)
        points = self._words * UNIT
        points *= self._width
        points += self._low
        return points.T


class BoxPoints:
    """Uniform points of a box, fresh in each step, of which a rank or a micro-batch draws its own rows.

    Args:
        lo: [d] lower corner.
        hi: [d] upper corner.
        num: points of a step.
        seed: key of the whole run.
        stream: separates uses within a step.
    """

    def __init__(self, lo: ArrayLike, hi: ArrayLike, num: int, *, seed: int, stream: int = 0) -> None:
        self.num = num
        self._made = functools.lru_cache(maxsize=8)(
            lambda rows: UniformPoints(lo, hi, len(rows), seed=seed, first_index=rows.start, stream=stream)
        )
        self._made(range(num))  # refuses now what is out of range

    def draw(self, step: int, rows: range) -> np.ndarray:
        """Points number ``rows`` of a step, [len(rows), d] float64."""
        return self._made(rows).at(step)


def _require_word(name: str, value: int) -> None:
    if not 0 <= value < 2**64:
        raise PinnxError(f"{name}: expected 0 <= {name} < 2^64, got {value}")
