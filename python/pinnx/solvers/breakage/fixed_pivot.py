"""The breakage equation by the fixed pivot method: particles have one of n sizes, the pivots x_i.

A daughter between two pivots counts for both, such that number and volume are kept. Of the daughters of one particle at
pivot k, pivot i takes

    n_ik = int_{x_i}^{x_i+1} (x_i+1 - v) / (x_i+1 - x_i) beta(v, x_k) dv
         + int_{x_i-1}^{x_i} (v - x_i-1) / (x_i - x_i-1) beta(v, x_k) dv

Integrals of beta and v beta are incomplete beta functions. Number N_i and density are tied by the hat function of the
pivot: f_i = N_i / width_i with width_i = (x_i+1 - x_i-1) / 2, exact where f is linear in v. One pivot below the range
takes all that is smaller, with its volume, so that it has no density. Of first order below a threshold of the rate: the
pivot above it takes a part of what is below.

Source: Kumar and Ramkrishna, "On the solution of population balance equations by discretization I", Chemical
Engineering Science 51 (1996) 1311-1332.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Kinetics
from pinnx.solvers.breakage.distributions import sampled

__all__ = ["PivotGrid"]

Array = NDArray[np.float64]

GAUSS = np.polynomial.legendre.leggauss(8)


class PivotGrid:
    """Pivots, each larger than the one before by the same factor.

    Args:
        low: the smallest volume of which a density is known, > 0.
        high: the largest volume; above it there is nothing.
        num_pivots: from low to high; one more is below.

    Attributes:
        v: [n] the pivots, n = num_pivots + 1; the first one takes all that is smaller than low.
        weights: [n] their widths.

    Raises:
        PinnxError: volumes that do not rise from above 0, or fewer than 3 pivots.
    """

    closed = True

    def __init__(self, low: float, high: float, *, num_pivots: int = 160) -> None:
        if not 0 < low < high < np.inf:
            raise PinnxError(f"volumes: expected 0 < low < high, got {low} and {high}")
        if num_pivots < 3:
            raise PinnxError(f"num_pivots: expected 3 or more, got {num_pivots}")
        inside = np.geomspace(low, high, num_pivots)
        self.v = np.append(low * low / inside[1], inside)
        ends = np.concatenate([[0.0], self.v, self.v[-1:]])
        self.weights = (ends[2:] - ends[:-2]) / 2

    @property
    def low(self) -> float:
        """The smallest volume of which a density is known."""
        return float(self.v[1])

    def finer(self) -> PivotGrid:
        """Half the distance between pivots."""
        return PivotGrid(self.low, float(self.v[-1]), num_pivots=2 * len(self.v) - 3)

    def sample(self, f: Callable[[Array], Array]) -> Array:
        """A function of v on the grid, [n, ...]: what is between two pivots counts for both, with number and volume."""
        ends = np.append(0.0, self.v)
        half, middle = np.diff(ends) / 2, (ends[1:] + ends[:-1]) / 2
        v = middle[:, None] + half[:, None] * GAUSS[0]  # [n, points] between a pivot and the one below
        values = sampled(f, v.ravel())
        number = (half[:, None] * GAUSS[1]).ravel() * values.T  # [..., n * points]
        share = ((v - ends[:-1, None]) / (2 * half[:, None])).ravel()  # what the upper pivot takes
        upper = (number * share).reshape(*number.shape[:-1], *v.shape).sum(-1)
        lower = (number * (1 - share)).reshape(*number.shape[:-1], *v.shape).sum(-1)
        upper[..., :-1] += lower[..., 1:]
        return np.asarray((upper / self.weights).T)

    def matrix(self, kinetics: Kinetics, delta_at: float | None = None) -> Array:
        """A of df/dt = A f, [n, n]; with the amplitude of a delta behind f, [n + 1, n + 1].

        Args:
            kinetics: rate and daughters.
            delta_at: volume of the particles that all have one size, >= high; None: there are none.

        Raises:
            PinnxError: a delta below the last pivot.
        """
        sizes, widths = self.v, self.weights
        if delta_at is not None:
            if delta_at < self.v[-1] * (1 - 1e-12):
                raise PinnxError(f"delta: expected it at the largest volume {self.v[-1]:g} or above, got {delta_at:g}")
            sizes, widths = np.append(sizes, delta_at), np.append(widths, 1.0)
        lost = kinetics.rate(sizes)
        matrix = (self._taken(sizes, kinetics) - np.eye(len(sizes))) * lost
        return matrix * widths / widths[:, None]

    def _taken(self, sizes: Array, kinetics: Kinetics) -> Array:
        """n_ik of daughters of all sizes, [len(sizes), len(sizes)]; the delta takes none."""
        ends = np.append(0.0, self.v)
        ratio = np.minimum(ends[:, None] / sizes, 1.0)
        number = np.diff(kinetics.daughters.number_below(ratio), axis=0)  # of daughters between x_i-1 and x_i
        volume = np.diff(kinetics.daughters.volume_below(ratio), axis=0) * sizes
        upper = (volume - ends[:-1, None] * number) / np.diff(ends)[:, None]  # what x_i has of them
        lower = number - upper  # what x_i-1 has of them
        taken = np.zeros((len(sizes), len(sizes)))
        taken[: len(self.v)] = upper
        taken[: len(self.v) - 1] += lower[1:]
        return taken

    def interpolate(self, f: Array, v: Array) -> Array:
        """f [T, n] at volumes [m] from low on, linear in ln v between pivots, [T, m]; zero above the largest."""
        found = [np.interp(np.log(v), np.log(self.v), row) for row in f]
        return np.where(v > self.v[-1], 0.0, np.array(found))

    def above(self, g: Array, v: Array) -> Array:
        """The integral of g [T, n] over v from volumes [m] to the largest, [T, m], by the numbers at pivots.

        Those of one pivot stand evenly in its cell, which ends at the geometric means with its neighbours.
        """
        edges = np.concatenate([[0.0], np.sqrt(self.v[1:] * self.v[:-1]), self.v[-1:]])
        total = np.cumsum((g * self.weights)[:, ::-1], axis=1)[:, ::-1]
        total = np.column_stack([total, np.zeros(len(g))])
        return np.array([np.interp(v, edges, row) for row in total])
