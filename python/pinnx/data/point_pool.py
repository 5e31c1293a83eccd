"""A pool of points where the residual of an equation is large; each step draws a share of its points from it.

    rar   adds the points of fresh candidates at which |r| is at or above a percentile, the largest first; they stay
    rad   draws the whole pool among fresh candidates, with density |r|^exponent / mean(|r|^exponent) + floor
    r3    keeps the pool's points with |r| above their mean, and draws the others anew, uniformly

r is the residual at a point, and all numbers drawn depend on (seed, step, number) alone. A point of the pool counts as
any other one: nothing divides by its density, so the loss is the mean over the points and not over the domain, as in
the papers.

Sources: rar, Lu, Meng, Mao, Karniadakis, "DeepXDE", SIAM Review 63 (2021), which adds a given number.
rad, Wu, Zhu, Tan, Kartha, Lu, Comput. Methods Appl. Mech. Engrg. 403 (2023) 115671. r3, Daw, Bu, Wang, Perdikaris,
Karpatne, "Mitigating propagation failures in physics-informed neural networks using Retain-Resample-Release (R3)
sampling", ICML 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pinnx.data.collocation import BoxPoints, uniform_points
from pinnx.errors import PinnxError

__all__ = ["PointPool", "PointSource", "Refinement", "Rule", "drawn_by_residual", "largest_residuals", "retained"]

# Which rows of the pool a step takes, and which candidates rad takes; see docs/conventions.md for all streams.
ROWS_STREAM = (1 << 24) + 1
DENSITY_STREAM = (1 << 24) + 2

Array = NDArray[np.float64]
Rule = Literal["rar", "rad", "r3"]


def largest_residuals(residual: Array, *, percentile: float = 95.0, max_new_points: int = 500) -> NDArray[np.intp]:
    """The numbers of the points whose |residual| is at or above a percentile, the largest first.

    Args:
        residual: [n] float64, n >= 1; what is not finite, and what is 0, is never chosen.
        percentile: of |residual|, 0 to 100.
        max_new_points: at most as many.

    Returns:
        [k] indices.
    """
    size = _sizes(residual)
    above = np.flatnonzero((size >= np.percentile(size, percentile)) & (size > 0.0))
    return above[np.argsort(-size[above], kind="stable")][:max_new_points]


def drawn_by_residual(
    residual: Array, num: int, uniform: Array, *, exponent: float = 1.0, floor: float = 1.0
) -> NDArray[np.intp]:
    """The numbers of ``num`` points drawn without repetition, by the density of the file's head.

    Args:
        residual: [n] float64, n >= num.
        num: how many.
        uniform: [n] float64 in [0, 1), the random numbers.
        exponent: a larger one draws more where the residual is large; k of the paper.
        floor: a larger one draws more everywhere; c of the paper.

    Returns:
        [num] indices, rising.
    """
    size = _sizes(residual)
    power = (size / (size.max() or 1.0)) ** exponent  # the ratio keeps a large exponent from an overflow
    mean = power.mean()
    density = (power / mean if mean > 0.0 else np.ones_like(power)) + floor
    # Weights w and exponential numbers e: the least e / w are a draw without repetition (Efraimidis, Spirakis, 2006).
    with np.errstate(divide="ignore"):
        order = np.argsort(-np.log1p(-uniform) / density, kind="stable")
    return np.sort(order[:num])


def retained(residual: Array) -> NDArray[np.bool_]:
    """Which points stay, [n] bool: those with |residual| above its mean."""
    size = _sizes(residual)
    kept: NDArray[np.bool_] = size > size.mean()
    return kept


def _sizes(residual: Array) -> Array:
    size = np.abs(residual)
    return np.where(np.isfinite(size), size, 0.0)


class PointSource(Protocol):
    """Where points come from: those of the steps, and candidates for a pool.

    Attributes:
        num: points of a step.
    """

    num: int

    def draw(self, step: int, rows: range) -> Array:
        """Points number ``rows`` of a step, [len(rows), D]."""
        ...

    def candidates(self, step: int, num: int) -> Array:
        """Other points of the same domain, uniform, [num, D]."""
        ...


@dataclass(frozen=True)
class Refinement:
    """How a pool is refined.

    Args:
        method: see the file's head.
        every: steps from one refinement to the next.
        share: of a step's points that come from the pool, at most.
        candidates: rar, rad: points at which the residual is looked at.
        percentile: rar: of |r| over the candidates, from which on one may be added.
        max_new_points: rar: added at most at once.
        max_points: in the pool at most; rar adds nothing from then on.
        exponent: rad: of |r| in the density.
        floor: rad: of the density.
    """

    method: Rule
    every: int = 100
    share: float = 0.5
    candidates: int = 2000
    percentile: float = 95.0
    max_new_points: int = 500
    max_points: int = 8000
    exponent: float = 1.0
    floor: float = 1.0


class PointPool:
    """Points of a source, of which the first of a step come from a pool that follows the residual.

    Args:
        source: of all points.
        refinement: how the pool is refined.
        seed: key of the points.

    Attributes:
        num: points of a step, as the source has them.
        points: [P, D] float64, the pool.

    Raises:
        PinnxError: rad with too few candidates to choose among.
    """

    def __init__(self, source: PointSource, refinement: Refinement, *, seed: int) -> None:
        self.num = source.num
        self._source, self._refinement, self._seed = source, refinement, seed
        self._most = min(round(refinement.share * source.num), refinement.max_points)
        if refinement.method == "rad" and refinement.candidates <= self._most:
            raise PinnxError(
                f"refine.candidates: expected more than {self._most}, the points of a step that come from the pool, "
                f"got {refinement.candidates}"
            )
        self._offset = BoxPoints([0.0], [1.0], 1, seed=seed, stream=ROWS_STREAM)
        self._refined = 0  # the step in which it last was
        self.points = source.candidates(0, self._most if refinement.method == "r3" else 0)

    def draw(self, step: int, rows: range) -> Array:
        """Points number ``rows`` of a step, [len(rows), D]: the first of all are the pool's, each at most once."""
        used = min(self._most, len(self.points))
        mine = range(min(rows.start, used), min(rows.stop, used))
        numbers = np.arange(mine.start, mine.stop)
        if used < len(self.points):  # at equal distances from a random one on, so that all come up equally often
            spread = (numbers + self._offset.draw(step, range(1))[0, 0]) * (len(self.points) / used)
            numbers = np.minimum(spread.astype(np.intp), len(self.points) - 1)
        fresh = self._source.draw(step, range(max(rows.start, used), max(rows.stop, used)))
        return np.concatenate([self.points[numbers], fresh])

    def refine(self, step: int, residual: Callable[[Array], Array]) -> None:
        """Follows the residual, where ``every`` steps have been taken since it last did.

        Args:
            step: the next one.
            residual: coordinates [n, D] -> |r| of each, [n].
        """
        if step - self._refined >= self._refinement.every:
            self._refined = step
            rules = {"rar": self._rar, "rad": self._rad, "r3": self._r3}
            self.points = rules[self._refinement.method](step, residual)

    def _rar(self, step: int, residual: Callable[[Array], Array]) -> Array:
        given = self._refinement
        room = min(given.max_new_points, given.max_points - len(self.points))
        if room <= 0:
            return self.points
        fresh = self._source.candidates(step, given.candidates)
        chosen = largest_residuals(residual(fresh), percentile=given.percentile, max_new_points=room)
        return np.concatenate([self.points, fresh[chosen]])

    def _rad(self, step: int, residual: Callable[[Array], Array]) -> Array:
        given = self._refinement
        fresh = self._source.candidates(step, given.candidates)
        uniform = uniform_points([0.0], [1.0], len(fresh), seed=self._seed, step=step, stream=DENSITY_STREAM)[:, 0]
        density = {"exponent": given.exponent, "floor": given.floor}
        return fresh[drawn_by_residual(residual(fresh), self._most, uniform, **density)]

    def _r3(self, step: int, residual: Callable[[Array], Array]) -> Array:
        kept = retained(residual(self.points))
        return np.where(kept[:, None], self.points, self._source.candidates(step, len(kept)))

    def state_dict(self) -> dict[str, Any]:
        """The points of the pool, and when it was last refined."""
        return {"points": torch.from_numpy(self.points), "refined": self._refined}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave.

        Raises:
            ValueError: points of another dimension.
        """
        points = state["points"].cpu().numpy().copy()
        if points.ndim != 2 or points.shape[1] != self.points.shape[1]:
            raise ValueError(f"pool: expected points [P, {self.points.shape[1]}], got {list(points.shape)}")
        self.points, self._refined = points, int(state["refined"])
