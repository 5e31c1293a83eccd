"""A discrete flow as fields in the user's units, on its grid and anywhere in the box, and how well it is balanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import distance_transform_edt
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from pinnx.physics.scales import Scales
from pinnx.solvers.box_flow import BoxFlow, Solved
from pinnx.solvers.box_grid import differences, middles

__all__ = ["GridFields", "grid_fields"]

Array = NDArray[np.float64]
Imbalance = tuple[float, Array]


@dataclass(frozen=True, eq=False)
class GridFields:
    """Fields at the nodes of a grid.

    Args:
        x: nodes, [n_x].
        y: nodes, [n_y].
        columns: u, v, p, psi, omega -> [n_x, n_y]; the pressure has the mean 0 over the box.
        mass: the largest net flow out of a cell, over U times its longer side.
        momentum: the largest net force between the middles of two cells, over U^2.
        mass_at: the middle of that cell, (x, y).
        momentum_at: the middle between these two, (x, y).
        degree: of the splines between nodes; 1 where blocks bend the fields.
    """

    x: Array
    y: Array
    columns: Mapping[str, Array]
    mass: float
    momentum: float
    mass_at: tuple[float, float]
    momentum_at: tuple[float, float]
    degree: int = 3

    def at(self, points: Array, names: Sequence[str] = ("u", "v", "p")) -> Array:
        """Fields at points [n, 2] in the box by splines, [n, c]."""
        degrees = {"kx": self.degree, "ky": self.degree}
        splines = [RectBivariateSpline(self.x, self.y, self.columns[name], **degrees) for name in names]
        return np.column_stack([spline.ev(*points.T) for spline in splines])


def grid_fields(
    flow: BoxFlow, solved: Solved, scales: Scales, origin: Sequence[float], force: Sequence[float]
) -> GridFields:
    """The fields of a solution; origin (the low corner of the box) and constant force are in the user's units."""
    psi, omega = (values.reshape(flow.shape) for values in flow.nodal(solved.state, solved.a))
    u, v = np.moveaxis(flow.velocity(psi, solved.a), -1, 0)
    pressure, (mass, mass_at), (momentum, momentum_at) = _balanced(flow, solved, psi)
    x, y = (low + scales.length * line for low, line in zip(origin, (flow.x, flow.y), strict=True))
    mass_at, momentum_at = (
        (float(origin[0] + scales.length * a), float(origin[1] + scales.length * b)) for a, b in (mass_at, momentum_at)
    )
    pressure = scales.pressure * pressure + force[0] * x[:, None] + force[1] * y
    pressure -= np.trapezoid(np.trapezoid(pressure, y), x) / ((x[-1] - x[0]) * (y[-1] - y[0]))
    columns = {"u": scales.velocity * u, "v": scales.velocity * v, "p": pressure}
    columns |= {"psi": scales.viscosity * psi, "omega": scales.rate * omega}
    return GridFields(x, y, columns, mass, momentum, mass_at, momentum_at, flow.degree)


def _balanced(flow: BoxFlow, solved: Solved, psi: Array) -> tuple[Array, Imbalance, Imbalance]:
    """The pressure at nodes, [n_x, n_y], and what is left of the balances of mass and momentum, with its place."""
    across_x, across_y = flow.fluxes(solved.state, solved.nu, solved.a)
    x, y = middles(flow.x), middles(flow.y)
    rise_x = across_y.reshape(-1, len(y))[: len(x) - 1] * np.diff(x)[:, None]
    rise_y = -across_x.reshape(-1, len(y) - 1)[: len(x)] * np.diff(y)
    steps = [differences(np.arange(float(len(line)))) for line in (x, y)]
    beside = flow.inner[1:-1, :-1] | flow.inner[1:-1, 1:], flow.inner[:-1, 1:-1] | flow.inner[1:, 1:-1]
    edges = np.concatenate([part.ravel() for part in beside])
    rises = np.append(rise_x, rise_y)[edges]
    up = sp.vstack([sp.kron(steps[0], sp.identity(len(y))), sp.kron(sp.identity(len(x)), steps[1])]).tocsr()[edges]
    graph = up.T @ up
    component = connected_components(graph)[1]  # of the flow, and each cell of a block
    fixed = np.zeros(len(component))
    fixed[np.unique(component, return_index=True)[1]] = 1.0
    found = splu((graph + sp.diags_array(fixed)).tocsc(), permc_spec="MMD_AT_PLUS_A").solve(up.T @ rises)
    between = np.concatenate([_mesh(flow.x[1:-1], y), _mesh(x, flow.y[1:-1])])[edges]
    momentum = _largest(up @ found - rises, between)
    head = found.reshape(len(x), len(y))
    h_x, h_y = np.diff(flow.x)[:, None], np.diff(flow.y)
    u, v = np.diff(psi, axis=1) / h_y, -np.diff(psi, axis=0) / h_x  # through the edges of the grid's cells
    net = np.diff(u, axis=0) * h_y + np.diff(v, axis=1) * h_x
    pressure = head - ((u[1:] + u[:-1]) / 2) ** 2 / 2 - ((v[:, 1:] + v[:, :-1]) / 2) ** 2 / 2
    solid = (np.bincount(component)[component] == 1).reshape(head.shape)
    if solid.any():  # a number for splines, of the nearest cell with flow
        pressure = pressure[tuple(distance_transform_edt(solid, return_distances=False, return_indices=True))]
    pressure = _to_ends(_to_ends(pressure, x, flow.x).T, y, flow.y).T
    spline = RectBivariateSpline(np.r_[flow.x[0], x, flow.x[-1]], np.r_[flow.y[0], y, flow.y[-1]], pressure)
    return spline(flow.x, flow.y), _largest(net / np.maximum(h_x, h_y), _mesh(x, y)), momentum


def _largest(left: Array, places: Array) -> Imbalance:
    """The largest size of numbers, and its place out of [n, 2]."""
    sizes = np.abs(left).ravel()
    row = int(sizes.argmax())
    return float(sizes[row]), places[row]


def _mesh(x: Array, y: Array) -> Array:
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


def _to_ends(values: Array, at: Array, line: Array) -> Array:
    """Values at the middles of cells, and on straight lines to both ends, [n + 2, ...]."""
    ends = [values[i] + (line[i] - at[i]) / (at[j] - at[i]) * (values[j] - values[i]) for i, j in ((0, 1), (-1, -2))]
    return np.concatenate([ends[:1], values, ends[1:]])
