"""Points in a box; random ones are drawn by counter: point i depends on (seed, step, stream, i).

    x_i = lo + (hi - lo) * U_i

    uniform          U_i = words 0 .. d-1 of Philox4x64-10, 53 bits each
    sobol            U_i = point i of the Sobol sequence, with a digital shift (exclusive or) that each step draws
    latin_hypercube  U_i = (order_i + V_i) / num, a permutation of 0 .. num-1 for each axis; V_i is uniform
    grid             U_i = (k_i + 1/2) / m, the centres of m^d = num equal cells, the last axis the fastest; no draw

One counter block holds four words and serves one point, so a point does not depend on how many
others are drawn, nor on who draws them: ranks, micro-batches and a resumed run agree bitwise.
Counter (index + 1, 0, 0, stream), key (seed, step); the + 1 is NumPy's, which counts up before it
draws. Points of one step are even over the box with the two others, and steps are independent of one another. The
permutations of a Latin hypercube sort words number num to 2 num - 1, so they depend on num, the points of all ranks.

Sources: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Matousek, "On the
L2-discrepancy for anchored boxes", J. Complexity 14 (1998), digital shifts. McKay, Beckman, Conover, Technometrics 21
(1979), Latin hypercubes.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from pinnx.errors import PinnxError

__all__ = ["BoxPoints", "Sampling", "UniformPoints", "uniform_points"]

Sampling = Literal["uniform", "latin_hypercube", "sobol", "grid"]

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
    """The draws of ``uniform_points``, arguments and errors as there, for one step after the other.

    What stays is checked and built once.
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
        points = self._unit(step)
        points *= self._width
        points += self._low
        return points.T

    def words(self, step: int) -> np.ndarray:
        """The random words of a step, [d, n] uint64 below 2^53, until the next call."""
        self._key[1] = step
        self._generator.state = self._start
        words = self._generator.random_raw(WORDS_PER_POINT * self._n).reshape(self._n, WORDS_PER_POINT)
        # Column by column: a loop over n at a time, not over d.
        return np.right_shift(words.T[: len(self._words)], DROPPED_BITS, out=self._words)

    def _unit(self, step: int) -> np.ndarray:
        """The points of a step in the unit cube, [d, n]."""
        return self.words(step) * UNIT


class _SobolPoints(UniformPoints):
    """As `UniformPoints`, on the Sobol sequence: torch has it, and imports nothing for it as SciPy would (0.7 s)."""

    def __init__(self, lo: ArrayLike, hi: ArrayLike, rows: range, *, seed: int, stream: int) -> None:
        super().__init__(lo, hi, len(rows), seed=seed, first_index=rows.start, stream=stream)
        engine = torch.quasirandom.SobolEngine(len(self._low))
        sequence = engine.draw(max(rows.stop, 1), dtype=torch.float64).numpy()[rows.start : rows.stop]
        self._sequence = np.ascontiguousarray((sequence / UNIT).astype(np.uint64).T)
        self._shift = UniformPoints(lo, hi, 1, seed=seed, stream=stream)

    def _unit(self, step: int) -> np.ndarray:
        return (self._sequence ^ self._shift.words(step)) * UNIT


class _LatinPoints(UniformPoints):
    """As `UniformPoints`, one point of ``num`` in each of ``num`` equal slices of each axis."""

    def __init__(self, lo: ArrayLike, hi: ArrayLike, rows: range, num: int, *, seed: int, stream: int) -> None:
        super().__init__(lo, hi, len(rows), seed=seed, first_index=rows.start, stream=stream)
        self._sorted_by = UniformPoints(lo, hi, num, seed=seed, first_index=num, stream=stream)
        self._slices, self._num = slice(rows.start, rows.stop), num

    def _unit(self, step: int) -> np.ndarray:
        orders = np.argsort(self._sorted_by.words(step), axis=1)[:, self._slices]
        return (orders + super()._unit(step)) / self._num


class _GridPoints(UniformPoints):
    """As `UniformPoints`, on a grid that is the same in each step: the midpoint rule of an integral."""

    def __init__(self, lo: ArrayLike, hi: ArrayLike, rows: range, num: int) -> None:
        super().__init__(lo, hi, 0, seed=0)
        d = len(self._low)
        along = round(num ** (1 / d))
        if along**d != num:
            above = math.ceil(num ** (1 / d))
            raise PinnxError(f"grid: expected n^{d} points, such as {above**d}, got {num}")
        cells = np.unravel_index(np.arange(rows.start, rows.stop), (along,) * d)
        self._centres = (np.stack(cells) + 0.5) / along

    def _unit(self, step: int) -> np.ndarray:
        return self._centres.copy()


class BoxPoints:
    """Points of a box, fresh in each step but for a grid, of which a rank or a micro-batch draws its own rows.

    Args:
        lo: [d] lower corner.
        hi: [d] upper corner.
        num: points of a step.
        seed: key of the whole run.
        stream: separates uses within a step.
        sampling: how they are spread over the box; see the file's head.

    Raises:
        PinnxError: as `uniform_points`; a grid of a number of points that is no n^d.
    """

    def __init__(
        self, lo: ArrayLike, hi: ArrayLike, num: int, *, seed: int, stream: int = 0, sampling: Sampling = "uniform"
    ) -> None:
        self.num = num

        def make(rows: range) -> UniformPoints:
            if sampling == "sobol":
                return _SobolPoints(lo, hi, rows, seed=seed, stream=stream)
            if sampling == "latin_hypercube":
                return _LatinPoints(lo, hi, rows, num, seed=seed, stream=stream)
            if sampling == "grid":
                return _GridPoints(lo, hi, rows, num)
            return UniformPoints(lo, hi, len(rows), seed=seed, first_index=rows.start, stream=stream)

        self._made = functools.lru_cache(maxsize=8)(make)
        self._made(range(num))  # refuses now what is out of range

    def draw(self, step: int, rows: range) -> np.ndarray:
        """Points number ``rows`` of a step, [len(rows), d] float64."""
        return self._made(rows).at(step)


def _require_word(name: str, value: int) -> None:
    if not 0 <= value < 2**64:
        raise PinnxError(f"{name}: expected 0 <= {name} < 2^64, got {value}")
