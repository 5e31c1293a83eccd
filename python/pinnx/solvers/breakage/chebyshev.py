"""The breakage equation by Chebyshev collocation in the logarithm of the volume.

With x = ln v and the daughters b(v / w) / w the equation has no power of v left:

    df/dt (x) = int_x^X b(exp(x - y)) S(y) f(y) dy - S(x) f(x)

f is a polynomial on each panel of x. Nothing comes from below, so that the lower end needs no condition. The integral
of the polynomial times b is taken by Gauss-Jacobi rules: their weight s^q is the kink of b at y = x. A rate with a
threshold jumps there, so that the panels have an edge at it. A delta is one more unknown, its amplitude. All is linear,
df/dt = A f, and solved by the exponential of A (`evolution`).

Source of the collocation: Trefethen, "Spectral Methods in MATLAB", SIAM (2000).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy import special

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Daughters, Kinetics
from pinnx.solvers.breakage.distributions import sampled

__all__ = ["ChebyshevGrid"]

Array = NDArray[np.float64]

# Points of the integral beyond those that its polynomial needs, for b. Parabolic daughters over 17 units of ln v: an
# error of 1e-8 with 8 of them, at rounding with 24.
MORE_POINTS = 32
# From an edge towards the inside of a panel, relative: a rate with a jump there has the value of its side.
INSIDE = 1e-12


class ChebyshevGrid:
    """Nodes in ln v, on one panel or more.

    Args:
        low: the smallest volume, > 0. Nothing depends on it but how far down f is known.
        high: the largest volume; above it there is nothing but a delta.
        num_nodes: of each panel.
        edges: volumes between panels: where the rate or the start has a jump or a kink.

    Attributes:
        v: [n] the nodes, rising; an edge between panels is there twice.
        weights: [n] of the integral over v from low to high.

    Raises:
        PinnxError: volumes that do not rise from above 0, or fewer than 4 nodes.
    """

    closed = False

    def __init__(self, low: float, high: float, *, num_nodes: int = 64, edges: Sequence[float] = ()) -> None:
        if not 0 < low < high < np.inf:
            raise PinnxError(f"volumes: expected 0 < low < high, got {low} and {high}")
        if num_nodes < 4:
            raise PinnxError(f"num_nodes: expected 4 or more, got {num_nodes}")
        self._ends = np.log([low, *sorted(edge for edge in edges if low < edge < high), high])
        self._num = num_nodes
        self._reference = -np.cos(np.pi * np.arange(num_nodes) / (num_nodes - 1))
        self._coefficients = np.linalg.inv(chebyshev.chebvander(self._reference, num_nodes - 1))
        self._halves, middles = np.diff(self._ends) / 2, (self._ends[1:] + self._ends[:-1]) / 2
        self._x = middles[:, None] + self._halves[:, None] * self._reference  # [panels, num]
        self._x[:, 0], self._x[:, -1] = self._ends[:-1], self._ends[1:]
        self.v = np.exp(self._x).ravel()
        nudge = INSIDE * self._halves[:, None] * np.sign(self._reference) * (np.abs(self._reference) == 1)
        self._inside = np.exp(self._x - nudge).ravel()
        whole = self._integral_above(np.array([-1.0]))
        self.weights = (self._halves[:, None] * whole).ravel() * self.v
        self._births: dict[Daughters, Array] = {}

    @property
    def low(self) -> float:
        """The smallest volume."""
        return float(self.v[0])

    def finer(self) -> ChebyshevGrid:
        """The same panels with half as many nodes again."""
        low, *edges, high = np.exp(self._ends).tolist()
        return ChebyshevGrid(low, high, num_nodes=self._num * 3 // 2, edges=edges)

    def sample(self, f: Callable[[Array], Array]) -> Array:
        """A function of v on the grid, [n, ...]: its values at the nodes."""
        return sampled(f, self._inside)

    def matrix(self, kinetics: Kinetics, delta_at: float | None = None) -> Array:
        """A of df/dt = A f, [n, n]; with the amplitude of a delta behind f, [n + 1, n + 1].

        Args:
            kinetics: its threshold is an edge of the panels, or outside of them.
            delta_at: volume of the particles that all have one size, >= high; None: there are none.

        Raises:
            PinnxError: a threshold inside a panel, a delta inside.
        """
        threshold = kinetics.threshold
        apart = np.abs(self._ends - np.log(threshold or 1e-300)).min()
        if self.low < threshold < self.v[-1] and apart > 1e-9:
            raise PinnxError(
                f"edges: expected one at the threshold {threshold:g}, got none; give edges=({threshold:g},)"
            )
        matrix = (self._birth(kinetics.daughters) - np.eye(len(self.v))) * kinetics.rate(self._inside)
        if delta_at is None:
            return matrix
        if delta_at < self.v[-1] * (1 - INSIDE):
            raise PinnxError(f"delta: expected it at the largest volume {self.v[-1]:g} or above, got {delta_at:g}")
        lost = float(kinetics.rate(delta_at))
        born = kinetics.daughters.density(np.minimum(self.v / delta_at, 1.0)) / delta_at * lost
        return np.block([[matrix, born[:, None]], [np.zeros(len(self.v)), np.array([-lost])]])

    def interpolate(self, f: Array, v: Array) -> Array:
        """f [T, n] at volumes [m] from low on, [T, m]; zero above the largest."""
        out, x = np.zeros((len(f), len(v))), np.log(v)
        for panel, values in enumerate(np.split(f, len(self._x), axis=1)):
            above = x > self._ends[panel] if panel else np.full(len(x), True)
            here = above & (x <= self._ends[panel + 1])
            out[:, here] = values @ self._from_nodes(panel, x[here]).T
        return out

    def above(self, g: Array, v: Array) -> Array:
        """The integral of g [T, n] over v from volumes [m] to the largest, [T, m]."""
        out, x = np.zeros((len(g), len(v))), np.log(v)
        for panel, values in enumerate(np.split(g * self.v, len(self._x), axis=1)):
            place = np.clip((x - self._ends[panel]) / self._halves[panel] - 1, -1, 1)
            out += self._halves[panel] * values @ self._integral_above(place).T
        return out

    def _integral_above(self, place: Array) -> Array:
        """Values at the reference nodes -> integral from places in [-1, 1] to 1, [len(place), num]."""
        integrals = chebyshev.chebint(np.eye(self._num), lbnd=1, axis=0)
        return -chebyshev.chebvander(place, self._num) @ integrals @ self._coefficients

    def _from_nodes(self, panel: int, x: Array) -> Array:
        """Values at the nodes of a panel -> values at x, [len(x), num]."""
        place = np.clip((x - self._ends[panel]) / self._halves[panel] - 1, -1, 1)
        return chebyshev.chebvander(place, self._num - 1) @ self._coefficients

    def _birth(self, daughters: Daughters) -> Array:
        """Values of S f at all nodes -> what is born at each, [n, n]; kept, as rates change more often."""
        if daughters not in self._births:
            if len(self._births) >= 4:
                self._births.clear()
            self._births[daughters] = self._integrated(daughters)
        return self._births[daughters]

    def _integrated(self, daughters: Daughters) -> Array:
        points = self._num // 2 + MORE_POINTS
        plain, kinked = special.roots_jacobi(points, 0.0, 0.0), special.roots_jacobi(points, 0.0, daughters.q)
        born = np.zeros((len(self.v), len(self.v)))
        for row, x in enumerate(self._x.ravel()):
            for panel in range(row // self._num, len(self._x)):
                start, end = max(x, self._ends[panel]), self._ends[panel + 1]
                if end <= start:
                    continue
                half, touches = (end - start) / 2, start == x
                nodes, weights = kinked if touches else plain
                s = start - x + half * (1 + nodes)
                factor = half ** (1 + daughters.q) if touches else half * s**daughters.q
                columns = slice(panel * self._num, (panel + 1) * self._num)
                born[row, columns] += (weights * factor * daughters.smooth_part(s)) @ self._from_nodes(panel, x + s)
        return born
