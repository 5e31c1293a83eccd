"""What a model of breakage is judged by: size distributions at times, moments, errors, and whether f is one.

    M_k(t) = int v^k f dv,    error of f at a time: relative L2 of v f over ln v

Below the smallest volume f is v^c times an exponential with the slope that it has there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.physics.breakage_model import BreakageModel

__all__ = ["ORDERS", "SizeTable", "relative_l2_of_sizes", "size_table"]

Array = NDArray[np.float64]

ORDERS = (0, 1, 2, 3)
NODES, PIECES = 64, 8


@dataclass(frozen=True, eq=False)
class SizeTable:
    """Size distributions at some times, in the user's units.

    Args:
        v: [m] volumes, up to the largest that holds particles.
        weights: [m], of an integral over v.
        times: [T].
        f: [T, m], the continuous part.
        delta: [T], particles of the first size; zeros without one.
        moments: [T, 4], M0 to M3 of all particles.
        looked_at: [m] bool, which volumes are in the sizes of the case.
    """

    v: Array
    weights: Array
    times: Array
    f: Array
    delta: Array
    moments: Array
    looked_at: NDArray[np.bool_]


def size_table(model: BreakageModel, times: Sequence[float]) -> SizeTable:
    """What a model says at times."""
    case = model.case
    grid = VolumeGrid(case.sizes[0], case.top, num_nodes=NODES, pieces=PIECES)
    inside = np.minimum(grid.fine, case.top * (1 - 1e-12))
    moments_at = np.asarray(times, dtype=np.float64)
    coordinates = np.column_stack([np.repeat(moments_at, len(inside)), np.tile(inside, len(moments_at))])
    f = np.exp(model.predict(coordinates)[:, 0]).reshape(len(moments_at), -1)
    delta = model.delta_amplitude(moments_at)
    c = case.kinetics.daughters.c
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.diff(np.log(f[:, :2]), axis=1)[:, 0] / np.diff(np.log(inside[:2])) - c
    slope = np.where(np.isfinite(slope), slope, 0.0)
    columns = []
    for order in ORDERS:
        n = order + c
        below = (1 - slope / (n + 2) * (1 - slope / (n + 3))) / (n + 1) * f[:, 0] * inside[0] ** (order + 1)
        columns.append(f @ (grid.weights * inside**order) + below + delta * (case.delta_at or 0.0) ** order)
    looked_at = inside <= case.sizes[1] * (1 + 1e-9)
    return SizeTable(inside, grid.weights, moments_at, f, delta, np.column_stack(columns), looked_at)


def relative_l2_of_sizes(table: SizeTable, reference: Callable[[Array, float], Array]) -> dict[float, float]:
    """Time -> error of f; a time at which the reference is zero everywhere has none.

    Args:
        table: what is judged.
        reference: (volumes [m], time) -> [m].
    """
    v, weights = (given[table.looked_at] for given in (table.v, table.weights))
    errors = {}
    for time, f in zip(table.times.tolist(), table.f[:, table.looked_at], strict=True):
        wanted = reference(v, time)
        size = float(np.sqrt(np.sum(weights * v * wanted**2)))
        if size > 0:
            errors[time] = float(np.sqrt(np.sum(weights * v * (f - wanted) ** 2))) / size
    return errors
