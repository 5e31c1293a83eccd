"""Size distributions in a table as engineers read them: cumulative curves, d10, d50, d90 and d32, of any f."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid

from pinnx.evals.size_table import SizeTable
from pinnx.physics.breakage_kinetics import Kinetics
from pinnx.solvers.breakage import SizeDistributions, diameter

__all__ = ["as_distributions", "diameters"]

Array = NDArray[np.float64]


class _Tabulated:
    """Volumes of a table, some 500: between them f is linear in ln v."""

    closed = False

    def __init__(self, v: Array, weights: Array) -> None:
        self.v, self.weights = v, weights

    @property
    def low(self) -> float:
        return float(self.v[0])

    def interpolate(self, f: Array, v: Array) -> Array:
        return np.array([np.interp(np.log(v), np.log(self.v), row, right=0.0) for row in f])

    def above(self, g: Array, v: Array) -> Array:
        below = cumulative_trapezoid(g * self.v, np.log(self.v), axis=1, initial=0.0)
        return np.array([np.interp(np.log(v), np.log(self.v), row[-1] - row) for row in below])


def as_distributions(table: SizeTable, kinetics: Kinetics, delta_at: float | None) -> SizeDistributions:
    """A table as the solvers give their solutions.

    Args:
        table: of a network.
        kinetics: whose daughters say how f continues below the smallest volume.
        delta_at: volume of the particles of the first size; None: there are none.
    """
    return SizeDistributions(_Tabulated(table.v, table.weights), kinetics, table.times, table.f, table.delta, delta_at)


def diameters(sizes: SizeDistributions) -> dict[str, Array]:
    """d10, d50 and d90 of the volume, and Sauter's d32, each [T]; NaN below the smallest volume."""
    found = {f"d{percent}": diameter(sizes.percentile(percent / 100)) for percent in (10, 50, 90)}
    return found | {"d32": sizes.sauter()}
