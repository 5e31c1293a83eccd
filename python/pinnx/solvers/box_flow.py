"""Steady plane flow in a box with known velocities along its sides: stream function, vorticity, Newton.

    -lap psi = omega,    div (u omega - nu grad omega) = 0,    u = psi_y,  v = -psi_x

Vorticity is balanced over the cell around each node. This balance is the circulation of the momentum equation

    B_x = v omega - nu omega_y,    B_y = -(u omega - nu omega_x),    B = p + (u^2 + v^2) / 2

along the edges of that cell. Where it vanishes, one B at the middles of the grid's cells satisfies all discrete
momentum equations (`balanced`). Mass is conserved by construction. omega at a wall is from psi one cell inside, at a
corner of a block from the mean of two.

Around a block that touches no side B has one value if the balances of its nodes add up to zero: the equation of the
constant that psi is on it.

Layout: N = n_x n_y nodes in C order; unknowns psi, then omega, at m places: the inner nodes, to which those of an open
side belong, and after them the blocks that touch no side (their omega is in no balance). E edges: those across x, then
those across y. All is dimensionless. Coefficients a [1 + K], a_0 = 1, multiply what walls 0 ... K prescribe.
Source of the wall formula (Thom's) and its order: E and Liu, J. Comput. Phys. 124 (1996) 368-382.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import RectBivariateSpline, make_interp_spline
from scipy.ndimage import distance_transform_edt
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError
from pinnx.physics.geometry import SIDES
from pinnx.solvers.box_grid import differences, dissection_order, first_derivative, means, middles
from pinnx.solvers.walls import Walls, bodies_of

__all__ = ["BoxFlow", "NoSteadyFlowError", "Solved", "balanced"]

Array = NDArray[np.float64]

# A step of Newton's method is tried so often, halved each time; then another guess is better.
MOST_HALVINGS = 5
MOST_STEPS = 20
# Changes of psi, over U L, below which whole steps are taken.
CLOSE = 1e-6
# A step that leaves less than this of the one before is taken with the same factors, which take most of the time.
KEEPS = 0.2
# Steps with the last factors, which take out their rounding: balances of momentum fall from 1e-9 to 1e-12.
REFINEMENTS = 4
# Pivots stay on the diagonal unless they are this much smaller than the largest of their column.
DIAGONAL_PIVOTS = 0.01


class NoSteadyFlowError(PinnxError):
    """Newton's method found no steady flow from its guess."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A discrete flow: its unknowns [2 m], nu, a [1 + K]; the steps of Newton's method."""

    state: Array
    nu: float
    a: Array
    steps: int = 0


class BoxFlow:
    """The discrete equations on one grid.

    Args:
        x: nodes, [n_x], rising.
        y: nodes, [n_y], rising.
        walls: what the sides prescribe, and what each further coefficient adds to it; the right side is open where the
            first has none.
        solid: [n_x, n_y] bool, nodes in blocks at rest and on their faces.
        close: see ``Walls.stream_function``.
    """

    def __init__(
        self, x: Array, y: Array, walls: Sequence[Walls], solid: NDArray[np.bool_], *, close: bool = False
    ) -> None:
        self.x, self.y, self.shape = x, y, (len(x), len(y))
        self.degree = 1 if solid.any() else 3  # of splines: fields are bent at a block
        is_open = "right" not in walls[0].profiles
        box, self._slip = np.zeros(self.shape, dtype=bool), np.zeros(self.shape, dtype=bool)
        box[1 : len(x) - 1 + is_open, 1:-1] = True
        for axis, end in map(SIDES.__getitem__, walls[0].slip):
            (self._slip if axis == "x" else self._slip.T)[-end, 1 : len(x) - 1 + is_open if axis == "y" else -1] = True
        self.inner, self._solid = box & ~solid, solid
        rows, num = np.flatnonzero(self.inner), box.size
        blocks = np.array([block.ravel() for block in bodies_of(solid, afloat=True)]).reshape(-1, num)
        self._places = np.append(rows, blocks.argmax(axis=1))  # of the unknowns: of each block one node
        m, number = len(self._places), np.full(self.shape, -1)
        number[self.inner] = np.arange(len(rows))
        order = np.concatenate(dissection_order(number))
        order = np.append(order[order >= 0], np.arange(len(rows), m))
        self._order = np.column_stack([order, order + m]).ravel()  # omega of a node beside its psi
        self._wall_velocity = np.stack([w.velocity(x, y).reshape(-1, 2) for w in walls], axis=-1)
        self._wall_velocity[solid.ravel()] = 0.0
        wall_psi = np.column_stack([w.stream_function(x, y, solid, close=close).ravel() for w in walls])
        wall_psi[rows] = 0.0
        inside = sp.eye_array(num, format="csr")[:, rows]
        psi_at, omega_at = (sp.hstack([inside, more]) for more in (sp.csr_array(blocks.T * 1.0), 0 * blocks.T))
        at_walls, sliding = self._wall_vorticity()
        # psi and omega at all nodes, [2 N], of the unknowns and of the coefficients.
        self._nodal = sp.block_array([[psi_at, None], [at_walls @ psi_at, omega_at]], format="csr")
        self._nodal_walls = np.concatenate([wall_psi, at_walls @ wall_psi + sliding])
        self._own = sp.block_array([[None, sp.eye_array(m)], [sp.csr_array((m, m)), None]], format="csr")
        self._make_balances(box, blocks, is_open)

    def _make_balances(self, box: NDArray[np.bool_], blocks: NDArray[np.bool_], is_open: bool) -> None:
        """Matrices [E, N] from nodes to edges, and [m, E] back to balances of inner nodes and of blocks.

        To edges: the velocity through them, the vorticity, its slope. An open side is a face of half a cell. There
        v = 0 and p is constant, so that B_y = u u_y: instead of omega, -u_y is carried through it.
        """
        x, y, kron = self.x, self.y, partial(sp.kron, format="csr")
        eye_x, eye_y = (sp.eye_array(n, format="csr") for n in self.shape)
        face, at_x, at_y = eye_x[len(x) - is_open :], eye_x[1 : len(x) - 1 + is_open], eye_y[1:-1]
        mean_x, mean_y, back_y = means(len(x)), means(len(y)), differences(middles(y))
        no_x, no_face = sp.csr_array(mean_x.shape), sp.csr_array(face.shape)
        faces_x = np.append(middles(x), x[len(x) - is_open :])

        def to_edges(along_x: Any, by_y: Any, across_y: Any) -> sp.csr_array:
            return sp.vstack([kron(sp.vstack(along_x), by_y), across_y], format="csr")

        to_middles = kron(at_x, mean_y)
        self._through = to_edges(
            [mean_x, face], first_derivative(y), -kron(sp.vstack([first_derivative(x), no_face]), mean_y)
        )
        self._mean = to_edges([mean_x, no_face], at_y, to_middles)
        self._slope = to_edges([differences(x), no_face], at_y, kron(at_x, differences(y)))
        self._carried = to_edges([no_x, face], -back_y @ differences(y), sp.csr_array(to_middles.shape))
        self.edges_x = len(faces_x) * (len(y) - 2)
        back = sp.hstack([kron(differences(faces_x), at_y[:, 1:-1]), kron(at_x[:, 1 : len(x) - 1 + is_open], back_y)])
        area = np.outer(np.diff(faces_x), np.diff(middles(y))).ravel()
        of_blocks = sp.csr_array(blocks[:, box.ravel()] * area / area.mean())
        balanced = sp.vstack([sp.eye_array(len(area), format="csr")[self.inner[box]], of_blocks])
        self._back = balanced @ back
        self._laplacian = self._back @ self._slope

    def _wall_vorticity(self) -> tuple[sp.csr_array, Array]:
        """omega at walls: a matrix on psi at all nodes, [N, N], and what moving walls add, [N, 1 + K]."""
        nodes = np.arange(self.inner.size).reshape(self.shape)
        entries, count = [], np.zeros((nodes.size, 1))
        sliding = np.zeros((nodes.size, self._wall_velocity.shape[-1]))
        for line, along, across, inner, slip in (
            (self.x, self.y, nodes, self.inner, -self._wall_velocity[:, 1]),
            (self.y, self.x, nodes.T, self.inner.T, self._wall_velocity[:, 0]),
        ):
            for here, there, sign in ((slice(-1), slice(1, None), 1), (slice(1, None), slice(-1), -1)):
                at = ~inner[here] & inner[there]  # of a corner of a block both neighbours count
                wall, h = across[here][at], np.broadcast_to(sign * np.diff(line)[:, None], at.shape)[at]
                entries += [(2.0 / h**2, wall, wall), (-2.0 / h**2, wall, across[there][at])]
                sliding[wall] += 2.0 / h[:, None] * slip[wall]
                count[wall] += 1
            curved = sp.coo_array(differences(middles(along)) @ differences(along))
            for end in (0, -1):
                if not inner[end].any():
                    entries.append((-curved.data, across[end][1:-1][curved.row], across[end][curved.col]))
        share = np.where(self._slip.reshape(-1, 1), 0.0, 1.0 / np.maximum(count, 1))
        data, rows, columns = map(np.concatenate, zip(*entries, strict=True))
        return sp.csr_array((data, (rows, columns)), shape=(nodes.size, nodes.size)).multiply(share), sliding * share

    def newton(self, start: Solved | None, nu: float, a: Array, *, tol: float) -> Solved:
        """The flow, from a guess on this grid; None: from rest.

        Raises:
            NoSteadyFlowError: no steady flow was found with changes of psi below ``tol``, over U L.
        """
        state = np.zeros(len(self._order)) if start is None else start.state
        residual, factors, change = self._residual(state, nu, a), None, state
        for step in range(1, MOST_STEPS + 1):
            if factors is None:
                factors = self._factored(self._by_nodal(state, nu, a))
                change = self._solved(factors, residual)
            size = float(np.abs(change[: len(change) // 2]).max())
            if not np.isfinite(size):
                break
            # Near the solution a whole step is right, and residuals are rounding, which no search can lower.
            for halving in range(1 if size < CLOSE else MOST_HALVINGS):
                trial = state - change / 2**halving
                residual = self._residual(trial, nu, a)
                after = self._solved(factors, residual)
                gain = float(np.linalg.norm(after) / (np.linalg.norm(change) or 1.0))
                if size < CLOSE or gain <= 1.0:
                    break
            else:
                break
            state = trial
            if size < tol:
                for _ in range(REFINEMENTS):
                    state = state - self._solved(factors, self._residual(state, nu, a))
                return Solved(state, nu, a, step)
            change = after
            factors = factors if halving == 0 and gain < KEEPS else None
        raise NoSteadyFlowError(f"expected a steady flow, and Newton's method found none at nu = {nu:.3g} U L")

    def guess(self, velocity: Array, nu: float, a: Array) -> Solved:
        """A guess from the velocity at all nodes, [n_x, n_y, 2]: psi by integrals along y, omega by differences."""
        u, v = np.moveaxis(np.where(self._solid[..., None], 0.0, velocity), -1, 0)
        psi = (self._nodal_walls @ a)[: u.size].reshape(self.shape)[:, :1] + cumulative_trapezoid(u, self.y, initial=0)
        return Solved(self.state(psi, np.gradient(v, self.x, axis=0) - np.gradient(u, self.y, axis=1)), nu, a)

    def state(self, psi: Array, omega: Array) -> Array:
        """The unknowns, [2 m], from fields at all nodes, [n_x, n_y] each."""
        return np.concatenate([psi.ravel()[self._places], omega.ravel()[self._places]])

    def nodal(self, state: Array, a: Array) -> Array:
        """psi and omega at all nodes, [2, N]; omega at the four corners is 0."""
        return (self._nodal @ state + self._nodal_walls @ a).reshape(2, -1)

    def sensitivities(self, flow: Solved) -> Array:
        """Derivatives of psi at all nodes with respect to a_1, ..., a_K and nu, [K + 1, N]."""
        by_nodal, m = self._by_nodal(flow.state, flow.nu, flow.a), len(self._places)
        rubbed = -self._back @ (self._slope @ self.nodal(flow.state, flow.a)[1])
        right = np.column_stack([by_nodal @ self._nodal_walls[:, 1:], np.append(np.zeros(m), rubbed)])
        of_walls = np.column_stack([self._nodal_walls[:, 1:], np.zeros(len(self._nodal_walls))])
        return (of_walls - self._nodal @ self._solved(self._factored(by_nodal), right)).T[:, : self.inner.size]

    def velocity(self, psi: Array, a: Array) -> Array:
        """u, v at all nodes, [n_x, n_y, 2], from psi at all nodes."""
        by_x, by_y = np.gradient(psi.reshape(self.shape), self.x, self.y, edge_order=2)
        by_x[-1, self.inner[-1]] = 0.0  # the flow leaves an open side in parallel
        found = (self._wall_velocity @ a).reshape(*self.shape, 2)
        free = self.inner | self._slip  # without friction the velocity along a side is as next to it
        return np.where(free[..., None], np.stack([by_y, -by_x], axis=-1), found)

    def fluxes(self, state: Array, nu: float, a: Array) -> Array:
        """u omega - nu omega_x on edges across x, v omega - nu omega_y on edges across y, [E]."""
        psi, omega = self.nodal(state, a)
        return (self._through @ psi) * (self._mean @ omega + self._carried @ psi) - nu * (self._slope @ omega)

    def _residual(self, state: Array, nu: float, a: Array) -> Array:
        poisson = self._laplacian @ self.nodal(state, a)[0] + state[len(state) // 2 :]
        return np.append(poisson, self._back @ self.fluxes(state, nu, a))

    def _by_nodal(self, state: Array, nu: float, a: Array) -> sp.csr_array:
        """Derivatives of the residual with respect to psi and omega at all nodes, [2 m, 2 N]."""
        psi, omega = self.nodal(state, a)
        velocity, carried = sp.diags_array(self._through @ psi), self._mean @ omega + self._carried @ psi
        by_psi = self._back @ (sp.diags_array(carried) @ self._through + velocity @ self._carried)
        by_omega = self._back @ (velocity @ self._mean - nu * self._slope)
        return sp.block_array([[self._laplacian, None], [by_psi, by_omega]], format="csr")

    def _factored(self, by_nodal: sp.csr_array) -> SuperLU:
        """Factors of the Jacobian, its unknowns in the order of nested dissection."""
        jacobian = by_nodal @ self._nodal + self._own
        ordered = jacobian[self._order][:, self._order].tocsc()
        return splu(ordered, permc_spec="NATURAL", diag_pivot_thresh=DIAGONAL_PIVOTS, options={"SymmetricMode": True})

    def _solved(self, factors: SuperLU, right: Array) -> Array:
        found = np.empty_like(right)
        found[self._order] = factors.solve(right[self._order])
        return found


def balanced(flow: BoxFlow, solved: Solved) -> tuple[Array, tuple[float, Array], tuple[float, Array]]:
    """The pressure at nodes, [n_x, n_y], and what is left of the balances of mass and momentum, with its place."""
    x, y, inner = middles(flow.x), middles(flow.y), flow.inner
    psi = flow.nodal(solved.state, solved.a)[0].reshape(flow.shape)
    across_x, across_y = np.split(flow.fluxes(solved.state, solved.nu, solved.a), [flow.edges_x])
    # Rises of B from cell to cell, where an end of the edge between them is in the flow.
    rise_x = across_y.reshape(-1, len(y))[: len(x) - 1] * np.diff(x)[:, None]
    rise_y = -across_x.reshape(-1, len(y) - 1)[: len(x)] * np.diff(y)
    beside = inner[1:-1, :-1] | inner[1:-1, 1:], inner[:-1, 1:-1] | inner[1:, 1:-1]
    edges = np.concatenate([part.ravel() for part in beside])
    rises = np.append(rise_x, rise_y)[edges]
    steps = [differences(np.arange(float(len(line)))) for line in (x, y)]
    up = sp.vstack([sp.kron(steps[0], sp.eye_array(len(y))), sp.kron(sp.eye_array(len(x)), steps[1])]).tocsr()[edges]
    graph = up.T @ up
    component = connected_components(graph)[1]  # of the flow, and each cell of a block
    fixed = np.zeros(len(component))
    fixed[np.unique(component, return_index=True)[1]] = 1.0
    found = splu((graph + sp.diags_array(fixed)).tocsc(), permc_spec="MMD_AT_PLUS_A").solve(up.T @ rises)
    between = np.concatenate([grid_points(lines) for lines in ((flow.x[1:-1], y), (x, flow.y[1:-1]))])
    momentum = _largest(up @ found - rises, between[edges])
    h_x, h_y = np.diff(flow.x)[:, None], np.diff(flow.y)
    u, v = np.diff(psi, axis=1) / h_y, -np.diff(psi, axis=0) / h_x  # through the edges of the grid's cells
    net = np.diff(u, axis=0) * h_y + np.diff(v, axis=1) * h_x
    pressure = found.reshape(net.shape) - (u[1:] + u[:-1]) ** 2 / 8 - (v[:, 1:] + v[:, :-1]) ** 2 / 8
    solid = (np.bincount(component)[component] == 1).reshape(net.shape)
    if solid.any():  # a number for splines, of the nearest cell with flow
        pressure = pressure[tuple(distance_transform_edt(solid, return_distances=False, return_indices=True))]
    x, y = (np.r_[line[0], at, line[-1]] for line, at in ((flow.x, x), (flow.y, y)))
    pressure = make_interp_spline(x[1:-1], make_interp_spline(y[1:-1], pressure, 1, axis=1)(y), 1)(x)
    return (
        RectBivariateSpline(x, y, pressure)(flow.x, flow.y),
        _largest(net / np.maximum(h_x, h_y), grid_points([x[1:-1], y[1:-1]])),
        momentum,
    )


def _largest(left: Array, places: Array) -> tuple[float, Array]:
    """The largest size of numbers, and its place out of [n, 2]."""
    row = int(np.abs(left).argmax())
    return float(np.abs(left).ravel()[row]), places[row]
