"""Size distributions in time, and what engineers read from them: moments, percentiles, Sauter's diameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Kinetics

__all__ = ["SizeAxis", "SizeDistributions", "SizeGrid", "diameter", "sampled", "volume"]

Array = NDArray[np.float64]

# Volumes between which a percentile is interpolated: an error of 1e-5 of it over 10 units of ln v.
CURVE_POINTS = 2001


def diameter(v: ArrayLike) -> Array:
    """Of spheres of volumes v of any shape: (6 v / pi)^(1/3)."""
    return np.cbrt(6 / np.pi * np.asarray(v, dtype=np.float64))


def volume(d: ArrayLike) -> Array:
    """Of spheres of diameters d of any shape: pi d^3 / 6."""
    return np.pi / 6 * np.asarray(d, dtype=np.float64) ** 3


def sampled(start: Callable[[Array], Array], v: Array) -> Array:
    """A number density at volumes [n], one or several of them: [n, ...] float64.

    Raises:
        PinnxError: not a number for each volume, or one that is not finite.
    """
    f = np.asarray(start(v), dtype=np.float64)
    if not f.ndim or len(f) != len(v):
        raise PinnxError(
            f"start: expected a density for each of the {len(v)} volumes it is given, [{len(v)}], got {list(f.shape)}"
        )
    if not (finite := np.isfinite(f).reshape(len(v), -1).all(axis=1)).all():
        raise PinnxError(f"start: expected finite densities, got one that is not at v = {v[~finite][0]:.6g}")
    return f


class SizeAxis(Protocol):
    """Where sizes are known. An axis that is ``closed`` holds what is below low, too."""

    v: Array
    weights: Array
    closed: bool

    @property
    def low(self) -> float: ...

    def interpolate(self, f: Array, v: Array) -> Array: ...

    def above(self, g: Array, v: Array) -> Array: ...


class SizeGrid(SizeAxis, Protocol):
    """Where the balance is solved: `ChebyshevGrid`, `PivotGrid`."""

    def finer(self) -> SizeGrid: ...

    def sample(self, f: Callable[[Array], Array]) -> Array: ...

    def matrix(self, kinetics: Kinetics, delta_at: float | None = None) -> Array: ...


@dataclass(frozen=True, eq=False)
class SizeDistributions:
    """Size distributions at some times: a solution of the breakage equation, by a solver or a network.

    Args:
        grid: their sizes.
        kinetics: rate and daughters.
        times: [T] rising.
        f: [T, n] number density in v, its continuous part.
        delta: [T] particles of the volume ``delta_at``; zero where there is no such volume.
        delta_at: that volume, or None.
    """

    grid: SizeAxis
    kinetics: Kinetics
    times: Array
    f: Array
    delta: Array
    delta_at: float | None = None

    def density(self, v: ArrayLike) -> Array:
        """The continuous part of f at volumes [m], [T, m]; zero above the largest.

        Raises:
            PinnxError: a volume below the smallest of the grid.
        """
        return self.grid.interpolate(self.f, self._known(v))

    def moment(self, order: float) -> Array:
        """The integral of v^order f over all v, [T].

        Below an axis that is not closed f is A v^c exp(-k v^min(a, 1)) through two of its values: as daughters are,
        far below.

        Raises:
            PinnxError: an order for which the small daughters have no finite integral.
        """
        grid, c = self.grid, self.kinetics.daughters.c
        power = c + order + 1
        if power <= 0:
            raise PinnxError(f"moment: expected an order above {-c - 1:g}, got {order}")
        inside = self.f @ (grid.weights * grid.v**order) + self._of_delta(order)
        if grid.closed:
            return inside
        next_power = self.kinetics.a if 0 < self.kinetics.a < 1 else 1.0
        low, other = grid.low, 2 * grid.low
        first, second = grid.interpolate(self.f, np.array([low, other])).T
        with np.errstate(divide="ignore", invalid="ignore"):
            fall = (np.log(first / second) + c * np.log(2)) / (2**next_power - 1)  # k low^min(a, 1)
        fall = np.where(np.isfinite(fall), fall, 0.0)
        return inside + first * low ** (order + 1) / power * special.hyp1f1(1, power / next_power + 1, fall)

    def below(self, v: ArrayLike, order: float = 1.0) -> Array:
        """The cumulative curve: the share of the moment of an order in particles up to volumes [m], [T, m].

        Args:
            v: [m] volumes from the smallest of the grid on.
            order: 1 for the share of the volume, 0 for that of the number.

        Raises:
            PinnxError: a volume below the smallest of the grid.
        """
        v = self._known(v)
        above = self.grid.above(self.f * self.grid.v**order, v)
        if self.delta_at is not None:
            above = above + self._of_delta(order)[:, None] * (v < self.delta_at)
        return 1 - above / self.moment(order)[:, None]

    def percentile(self, share: float, order: float = 1.0) -> Array:
        """The volume up to which particles have a share of the total volume (or another order), [T].

        ``diameter(percentile(0.5))`` is d50. NaN where it is below the smallest volume of the grid.

        Raises:
            PinnxError: a share outside 0 to 1.
        """
        if not 0 < share < 1:
            raise PinnxError(f"percentile: expected a share between 0 and 1, got {share}")
        x = np.linspace(np.log(self.grid.low), np.log(self.grid.v[-1]) - 1e-12, CURVE_POINTS)  # below a delta
        curves = np.maximum.accumulate(self.below(np.exp(x), order), axis=1)
        largest = np.log(self.delta_at or self.grid.v[-1])
        return np.exp([np.interp(share, curve, x, left=np.nan, right=largest) for curve in curves])

    def sauter(self) -> Array:
        """d32, the diameter of the sphere with the mean ratio of volume to surface, [T]."""
        return diameter(1.0) * self.moment(1.0) / self.moment(2 / 3)

    def _of_delta(self, order: float) -> Array:
        return self.delta * (0.0 if self.delta_at is None else self.delta_at**order)

    def _known(self, v: ArrayLike) -> Array:
        v = np.asarray(v, dtype=np.float64)
        if v.size and not v.min() >= self.grid.low * (1 - 1e-9):
            raise PinnxError(f"v: expected volumes from {self.grid.low:g} on, got {v.min():g}")
        return v
