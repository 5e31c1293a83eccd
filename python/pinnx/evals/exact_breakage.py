"""Exact solutions of the breakage equation with two daughters of uniform size, to hold solvers and networks against.

    df/dt (v) = int_v^inf (2 / w) S(w) f(w) dw - S(v) f(v)

    case1   S = v     f0 = exp(-v)       f = (1 + t)^2 exp(-v (1 + t))
    case2   S = v^2   f0 = exp(-v)       f = (1 + 2 t (1 + v)) exp(-t v^2 - v)
    case3   S = v     f0 = delta(v - 1)  f = exp(-t) delta(v - 1) + (2 t + t^2 (1 - v)) exp(-t v), v < 1
    case4   S = v^2   f0 = delta(v - 1)  f = exp(-t) delta(v - 1) + 2 t exp(-t v^2), v < 1

M1 is 1 in all: breakage keeps the volume. Source: Ziff and McGrady, "The kinetics of cluster fragmentation and
depolymerisation", Journal of Physics A 18 (1985) 3027-3037.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, special

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Kinetics

__all__ = ["BREAKAGE_CASES", "ExactBreakage"]

Array = NDArray[np.float64]
Formula = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class ExactBreakage:
    """A case with its solution. Volumes, times and f are dimensionless.

    Args:
        kinetics: rate and daughters.
        sizes: the smallest and the largest volume that are looked at.
        times: the four at which it is reported, rising from 0.
        delta_at: volume of the particles at t = 0 where all have the same; None: f0 is a function.
        formula: (v, t) -> the continuous part of f, for v below ``delta_at``.
        number: t -> M0.
    """

    kinetics: Kinetics
    sizes: tuple[float, float]
    times: tuple[float, ...]
    delta_at: float | None
    formula: Formula
    number: Callable[[Array], Array]

    def density(self, v: ArrayLike, t: ArrayLike) -> Array:
        """The continuous part of f at volumes and times that broadcast; zero from the delta on."""
        v, t = np.broadcast_arrays(np.asarray(v, dtype=np.float64), np.asarray(t, dtype=np.float64))
        f = self.formula(v, t)
        return f if self.delta_at is None else np.where(v < self.delta_at, f, 0.0)

    def delta_amplitude(self, t: ArrayLike) -> Array:
        """The number of particles that have not broken yet, of the shape of t; zero without a delta."""
        t = np.asarray(t, dtype=np.float64)
        return np.zeros_like(t) if self.delta_at is None else np.exp(-self.kinetics.rate(self.delta_at) * t)

    def moment(self, order: float, t: float) -> float:
        """The integral of v^order f over all volumes: M0 and M1 in closed form, others by adaptive quadrature.

        Raises:
            PinnxError: an order below 0.
        """
        if not order >= 0:
            raise PinnxError(f"moment: expected an order of 0 or more, got {order}")
        if order in (0, 1):
            return 1.0 if order else float(self.number(np.asarray(float(t))))
        return self.moment_by_quadrature(order, t)

    def moment_by_quadrature(self, order: float, t: float) -> float:
        """The same from the density, for any order."""
        high = 60.0 if self.delta_at is None else self.delta_at  # exp(-60) is below rounding
        # Where the density falls: exp(-t v), exp(-t v^2), exp(-v).
        falls = sorted({1 / (1 + t), 10 / (1 + t), (1 + t) ** -0.5, 5 * (1 + t) ** -0.5})
        ends = [0.0, *(v for v in falls if v < high), high]
        delta = 0.0 if self.delta_at is None else self.delta_at**order * float(self.delta_amplitude(t))
        parts = (
            integrate.quad(lambda v: v**order * self.formula(v, t), low, high, epsabs=0.0, epsrel=1e-12, limit=200)[0]
            for low, high in pairwise(ends)
        )
        return float(sum(parts)) + delta


def _number_of_case2(t: Array) -> Array:
    root = np.sqrt(np.maximum(t, 1e-300))
    scaled: Array = special.erfcx(1 / (2 * root))
    return 1 + np.sqrt(np.pi) * root * scaled


BREAKAGE_CASES = {
    "case1": ExactBreakage(
        Kinetics(a=1.0),
        (1e-3, 10.0),
        (0.0, 2.0, 5.0, 10.0),
        None,
        lambda v, t: (1 + t) ** 2 * np.exp(-v * (1 + t)),
        lambda t: 1 + t,
    ),
    "case2": ExactBreakage(
        Kinetics(a=2.0),
        (1e-3, 100.0),
        (0.0, 1.0, 2.0, 5.0),
        None,
        lambda v, t: (1 + 2 * t * (1 + v)) * np.exp(-t * v**2 - v),
        _number_of_case2,
    ),
    "case3": ExactBreakage(
        Kinetics(a=1.0),
        (1e-4, 1.0),
        (0.0, 10.0, 100.0, 1000.0),
        1.0,
        lambda v, t: (2 * t + t**2 * (1 - v)) * np.exp(-t * v),
        lambda t: 1 + t,
    ),
    "case4": ExactBreakage(
        Kinetics(a=2.0),
        (1e-4, 1.5),
        (0.0, 20.0, 200.0, 2000.0),
        1.0,
        lambda v, t: 2 * t * np.exp(-t * v**2),
        lambda t: np.exp(-t) + np.sqrt(np.pi * t) * special.erf(np.sqrt(t)),
    ),
}
