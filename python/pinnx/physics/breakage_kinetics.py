"""How fast particles break, and into what: rate and daughters of the breakage population balance.

    df/dt (v) = int_v^inf beta(v, w) S(w) f(w) dw - S(v) f(v)

    S(v) = s0 v^a where v > threshold, else 0; or a curve through values
    beta(v, w) = b(v / w) / w,    b(z) = z^c (1 - z)^q / B(c + 2, q + 1)

B is the beta function, so that the daughters have the volume of what broke: the integral of z b is 1. One particle
breaks into (c + q + 2) / (c + 1) daughters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from pinnx.errors import PinnxError

__all__ = ["Daughters", "Kinetics", "TabulatedKinetics"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Daughters:
    """The sizes of daughters relative to what broke; by default two of them, every size as likely.

    Args:
        c: exponent of small daughters, > -1; that of `pinn_ext.breakage_residual`.
        q: exponent of daughters nearly as large as what broke, >= 0.

    Raises:
        PinnxError: another exponent.
    """

    c: float = 0.0
    q: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.c) and self.c > -1):
            raise PinnxError(f"daughters: expected an exponent c > -1, as their number is infinite else, got {self.c}")
        if not (math.isfinite(self.q) and self.q >= 0):
            raise PinnxError(f"daughters: expected an exponent q >= 0, got {self.q}")

    @classmethod
    def uniform(cls) -> Daughters:
        """Two daughters, every size as likely: b = 2."""
        return cls(0.0, 0.0)

    @classmethod
    def parabolic(cls) -> Daughters:
        """Two daughters, halves the likeliest: b = 12 z (1 - z)."""
        return cls(1.0, 1.0)

    @classmethod
    def power_law(cls, c: float) -> Daughters:
        """b = (c + 2) z^c: (c + 2) / (c + 1) daughters."""
        return cls(c, 0.0)

    @classmethod
    def product(cls, number: float, power: float) -> Daughters:
        """As likely as the product of the daughters' volumes to a power.

        Args:
            number: of daughters, >= 2.
            power: of each volume, > -1; 0 is random breakage.

        Source: Hill and Ng, "Statistics of multiple particle breakage", AIChE Journal 42 (1996) 1600-1611.

        Raises:
            PinnxError: less than 2 daughters, or another power.
        """
        if not number >= 2:
            raise PinnxError(f"daughters: expected 2 or more, got {number}")
        return cls(power, power + (power + 1) * (number - 2))

    @property
    def number(self) -> float:
        """How many there are, in the mean."""
        return (self.c + self.q + 2) / (self.c + 1)

    def smooth_part(self, log_ratio: ArrayLike) -> Array:
        """b(exp(-s)) / s^q at s = ``log_ratio`` >= 0 of any shape: without the zero or the kink of s^q at s = 0."""
        s = np.asarray(log_ratio, dtype=np.float64)
        shrunk = np.where(s > 0, -np.expm1(-s) / np.where(s > 0, s, 1.0), 1.0)
        return np.exp(-self.c * s) * shrunk**self.q / special.beta(self.c + 2, self.q + 1)

    def density(self, ratio: ArrayLike) -> Array:
        """b(z) at ``ratio`` z of any shape, 0 < z <= 1."""
        s = -np.log(np.asarray(ratio, dtype=np.float64))
        return self.smooth_part(s) * s**self.q

    def number_below(self, ratio: ArrayLike) -> Array:
        """How many daughters are smaller than a share of what broke: the integral of b from 0, of any shape."""
        return self.number * np.asarray(special.betainc(self.c + 1, self.q + 1, ratio))

    def volume_below(self, ratio: ArrayLike) -> Array:
        """Their volume as a share of what broke: the integral of z b from 0, of any shape."""
        return np.asarray(special.betainc(self.c + 2, self.q + 1, ratio))

    def power_laws(self) -> list[tuple[float, float]]:
        """Factors and exponents with b(z) = sum factor (exponent + 2) z^exponent, the sum that a kernel takes.

        Raises:
            PinnxError: q is not whole, or above 8, where the summands cancel to fewer than ten digits.
        """
        if self.q != int(self.q) or self.q > 8:
            raise PinnxError(f"daughters: expected a whole exponent q up to 8 for a sum of power laws, got {self.q}")
        scale = float(special.beta(self.c + 2, self.q + 1))
        return [
            ((-1) ** k * math.comb(int(self.q), k) / scale / (self.c + k + 2), self.c + k)
            for k in range(int(self.q) + 1)
        ]


@dataclass(frozen=True)
class Kinetics:
    """Rate and daughters.

    Args:
        s0: rate of a particle of unit volume, >= 0, in 1/time.
        a: exponent of the volume in the rate.
        threshold: volume up to which nothing breaks, >= 0.
        daughters: their sizes.

    Raises:
        PinnxError: a number outside its range.
    """

    s0: float = 1.0
    a: float = 1.0
    threshold: float = 0.0
    daughters: Daughters = Daughters()

    def __post_init__(self) -> None:
        for name, least in (("s0", 0.0), ("a", -math.inf), ("threshold", 0.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise PinnxError(f"breakage: expected {name} finite and >= {least}, got {value}")

    def rate(self, v: ArrayLike) -> Array:
        """S at volumes v > 0 of any shape, in 1/time."""
        v = np.asarray(v, dtype=np.float64)
        return np.where(v > self.threshold, self.s0 * v**self.a, 0.0)


@dataclass(frozen=True, kw_only=True)
class TabulatedKinetics(Kinetics):
    """A rate of any form: ln S is a natural cubic spline in ln v, and straight beyond its ends.

    Args:
        volumes: rising, > 0, two or more.
        rates: S at each, > 0, in 1/time.
        daughters: their sizes.

    Attributes:
        s0, a: of the power law below the first volume.

    Raises:
        PinnxError: other volumes, or another number of rates.
    """

    volumes: tuple[float, ...]
    rates: tuple[float, ...]
    s0: float = field(init=False)
    a: float = field(init=False)
    threshold: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        v, rates = np.asarray(self.volumes), np.asarray(self.rates)
        if len(v) < 2 or v[0] <= 0 or not (np.diff(v) > 0).all():
            raise PinnxError(f"volumes: expected two or more that rise from above 0, got {list(self.volumes)}")
        if rates.shape != v.shape or not ((rates > 0) & np.isfinite(rates)).all():
            raise PinnxError(f"rates: expected {len(v)} numbers > 0, got {list(self.rates)}")
        slope = float(self._log_rate(np.log(v[:1]), 1)[0])
        object.__setattr__(self, "a", slope)
        object.__setattr__(self, "s0", float(rates[0] * v[0] ** -slope))

    def _log_rate(self, x: Array, order: int = 0) -> Array:
        """ln S at x = ln v between the ends, or a derivative of it."""
        from scipy.interpolate import CubicSpline  # 0.1 s of each start that needs none

        spline = CubicSpline(np.log(self.volumes), np.log(self.rates), bc_type="natural")
        return np.asarray(spline(x, order))

    def rate(self, v: ArrayLike) -> Array:
        """S at volumes v > 0 of any shape, in 1/time."""
        x = np.log(np.asarray(v, dtype=np.float64))
        inside = np.clip(x, *np.log([self.volumes[0], self.volumes[-1]]))
        return np.exp(self._log_rate(inside) + self._log_rate(inside, 1) * (x - inside))
