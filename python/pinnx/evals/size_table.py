"""What a model of breakage is judged by: its size distributions at times, diameters, and errors beside a reference.

error of f at a time: relative L2 of v f over ln v
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid

from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.physics.breakage_model import BreakageModel
from pinnx.solvers.breakage import SizeDistributions, diameter

__all__ = ["ORDERS", "TabulatedAxis", "diameters", "relative_l2_of_sizes", "size_table"]

Array = NDArray[np.float64]

ORDERS = (0, 1, 2, 3)
NODES, PIECES = 64, 8


class TabulatedAxis:
    """Volumes of a table, some 500, with weights of an integral over v: between them f is linear in ln v."""

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


def size_table(model: BreakageModel, times: Sequence[float]) -> SizeDistributions:
    """What a model says at times, as the solvers give their solutions: on volumes up to the largest with particles."""
    case, times = model.case, np.asarray(times, dtype=np.float64)
    grid = VolumeGrid(case.sizes[0], case.top, num_nodes=NODES, pieces=PIECES)
    inside = np.minimum(grid.fine, case.top * (1 - 1e-12))
    coordinates = np.column_stack([np.repeat(times, len(inside)), np.tile(inside, len(times))])
    f = np.exp(model.predict(coordinates)[:, 0]).reshape(len(times), -1)
    axis = TabulatedAxis(inside, grid.weights)
    return SizeDistributions(axis, model.kinetics, times, f, model.delta_amplitude(times), case.delta_at)


def relative_l2_of_sizes(
    table: SizeDistributions, reference: Callable[[Array, float], Array], largest: float
) -> dict[float, float]:
    """Time -> error of f; a time at which the reference is zero everywhere has none.

    Args:
        table: what is judged.
        reference: (volumes [m], time) -> [m].
        largest: volume up to which f is compared.
    """
    looked_at = table.grid.v <= largest * (1 + 1e-9)
    v, weights = (given[looked_at] for given in (table.grid.v, table.grid.weights))
    errors = {}
    for time, f in zip(table.times.tolist(), table.f[:, looked_at], strict=True):
        wanted = reference(v, time)
        size = float(np.sqrt(np.sum(weights * v * wanted**2)))
        if size > 0:
            errors[time] = float(np.sqrt(np.sum(weights * v * (f - wanted) ** 2))) / size
    return errors


def diameters(sizes: SizeDistributions) -> dict[str, Array]:
    """d10, d50 and d90 of the volume, and Sauter's d32, each [T]; NaN below the smallest volume."""
    found = {f"d{percent}": diameter(sizes.percentile(percent / 100)) for percent in (10, 50, 90)}
    return found | {"d32": sizes.sauter()}
