"""A discrete flow as fields in the user's units, on its grid and anywhere in the box, and how well it is balanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from pinnx.physics.scales import Scales
from pinnx.solvers.box_flow import BoxFlow, Solved
from pinnx.solvers.box_grid import middles

__all__ = ["GridFields", "grid_fields"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridFields:
    """Fields at the nodes of a grid.

    Args:
        x: nodes, [n_x].
        y: nodes, [n_y].
        columns: u, v, p, psi, omega -> [n_x, n_y]; the pressure has the mean 0 over the box.
        mass: the largest net flow out of a cell, over U times its longer side.
        momentum: the largest net force between the middles of two cells, over U^2.
    """

    x: Array
    y: Array
    columns: Mapping[str, Array]
    mass: float
    momentum: float

    def at(self, points: Array, names: Sequence[str] = ("u", "v", "p")) -> Array:
        """Fields at points [n, 2] in the box by bicubic splines, [n, c]."""
        splines = [RectBivariateSpline(self.x, self.y, self.columns[name]) for name in names]
        return np.column_stack([spline.ev(*points.T) for spline in splines])


def grid_fields(
    flow: BoxFlow, solved: Solved, scales: Scales, origin: Sequence[float], force: Sequence[float]
) -> GridFields:
    """The fields of a solution; origin (the low corner of the box) and constant force are in the user's units."""
    psi, omega = (values.reshape(flow.shape) for values in flow.nodal(solved.state, solved.a))
    u, v = np.moveaxis(flow.velocity(psi, solved.a), -1, 0)
    pressure, mass, momentum = _balanced(flow, solved, psi)
    x, y = (low + scales.length * line for low, line in zip(origin, (flow.x, flow.y), strict=True))
    pressure = scales.pressure * pressure + force[0] * x[:, None] + force[1] * y
    pressure -= np.trapezoid(np.trapezoid(pressure, y), x) / ((x[-1] - x[0]) * (y[-1] - y[0]))
    columns = {"u": scales.velocity * u, "v": scales.velocity * v, "p": pressure}
    columns |= {"psi": scales.viscosity * psi, "omega": scales.rate * omega}
    return GridFields(x, y, columns, mass, momentum)


def _balanced(flow: BoxFlow, solved: Solved, psi: Array) -> tuple[Array, float, float]:
    """The pressure at nodes, [n_x, n_y], and what is left of the balances of mass and momentum."""
    across_x, across_y = flow.fluxes(solved.state, solved.nu, solved.a)
    x, y = middles(flow.x), middles(flow.y)
    rise_x = across_y.reshape(len(x) - 1, len(y)) * np.diff(x)[:, None]
    rise_y = -across_x.reshape(len(x), len(y) - 1) * np.diff(y)
    # Added up along the lowest row, and from there along each column; the other rises are a check.
    head = np.zeros((len(x), len(y)))
    head[1:, 0] = np.cumsum(rise_x[:, 0])
    head[:, 1:] = head[:, :1] + np.cumsum(rise_y, axis=1)
    momentum = float(np.abs(np.diff(head, axis=0) - rise_x).max())
    h_x, h_y = np.diff(flow.x)[:, None], np.diff(flow.y)
    u, v = np.diff(psi, axis=1) / h_y, -np.diff(psi, axis=0) / h_x  # through the edges of the grid's cells
    net = np.diff(u, axis=0) * h_y + np.diff(v, axis=1) * h_x
    pressure = head - ((u[1:] + u[:-1]) / 2) ** 2 / 2 - ((v[:, 1:] + v[:, :-1]) / 2) ** 2 / 2
    pressure = _to_ends(_to_ends(pressure, x, flow.x).T, y, flow.y).T
    spline = RectBivariateSpline(np.r_[flow.x[0], x, flow.x[-1]], np.r_[flow.y[0], y, flow.y[-1]], pressure)
    return spline(flow.x, flow.y), float(np.abs(net / np.maximum(h_x, h_y)).max()), momentum


def _to_ends(values: Array, at: Array, line: Array) -> Array:
    """Values at the middles of cells, and on straight lines to both ends, [n + 2, ...]."""
    ends = [values[i] + (line[i] - at[i]) / (at[j] - at[i]) * (values[j] - values[i]) for i, j in ((0, 1), (-1, -2))]
    return np.concatenate([ends[:1], values, ends[1:]])
