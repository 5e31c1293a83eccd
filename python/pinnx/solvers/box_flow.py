"""Steady plane flow in a box with known velocities along its sides: stream function, vorticity, Newton.

    -lap psi = omega,    div (u omega - nu grad omega) = 0,    u = psi_y,  v = -psi_x

Vorticity is balanced over the cell around each node. This balance is the circulation of the momentum equation

    B_x = v omega - nu omega_y,    B_y = -(u omega - nu omega_x),    B = p + (u^2 + v^2) / 2

along the edges of that cell. Where it vanishes, one B at the middles of the grid's cells satisfies all discrete
momentum equations (box_fields.py). Mass is conserved by construction. omega at a wall is from psi one cell inside, at a
corner of a block from the mean of two.

Around a block that touches no side B has one value if the balances of its nodes add up to zero: the equation of the
constant that psi is on it.

Layout: nodes [n_x, n_y] in C order; unknowns psi, then omega, at m places: the inner nodes, to which those of an open
side belong, and after them the blocks that touch no side (their omega is in no balance). All is dimensionless.
Coefficients a [1 + K], a_0 = 1, multiply what walls 0 ... K prescribe.
Source of the wall formula (Thom's) and its order: E and Liu, J. Comput. Phys. 124 (1996) 368-382.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid
from scipy.sparse.linalg import SuperLU, splu

from pinnx.errors import PinnxError
from pinnx.physics.geometry import SIDES
from pinnx.solvers.box_grid import differences, dissection_order, first_derivative, means, middles
from pinnx.solvers.walls import Walls, bodies_of

__all__ = ["BoxFlow", "NoSteadyFlowError", "Solved"]

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
COMPLEX_STEP = 1e-30


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
        close: see ``Walls.stream_function``.
        solid: [n_x, n_y] bool, nodes in blocks at rest and on their faces.
    """

    def __init__(
        self, x: Array, y: Array, walls: Sequence[Walls], *, close: bool = False, solid: NDArray[np.bool_] | None = None
    ) -> None:
        self.x, self.y, self.shape, is_open = x, y, (len(x), len(y)), "right" not in walls[0].profiles
        self.degree, self._solid = 3 if solid is None else 1, solid  # of splines: fields are bent at a block
        nodes = np.arange(len(x) * len(y)).reshape(self.shape)
        box = np.zeros(self.shape, dtype=bool)
        box[1 : len(x) - 1 + is_open, 1:-1] = True
        self.inner = box if solid is None else box & ~solid
        rows, number = np.flatnonzero(self.inner), np.full(self.shape, -1)
        number[self.inner] = np.arange(len(rows))
        afloat = [] if solid is None else bodies_of(solid, afloat=True)
        self._slip = np.zeros(self.shape, dtype=bool)
        for axis, end in map(SIDES.__getitem__, walls[0].slip):
            (self._slip if axis == "x" else self._slip.T)[-end, 1:-1] = True
        self._afloat = sp.csr_array(np.array([block.ravel() for block in afloat]).reshape(-1, nodes.size) * 1.0)
        m = len(rows) + len(afloat)
        order = np.concatenate(dissection_order(number))
        order = np.append(order[order >= 0], np.arange(len(rows), m))
        self._order = np.column_stack([order, order + m]).ravel()  # omega of a node beside its psi
        self._wall_psi = np.column_stack([w.stream_function(x, y, close=close, solid=solid).ravel() for w in walls])
        self._wall_psi[rows] = 0.0
        self._wall_velocity = np.stack([w.velocity(x, y).reshape(-1, 2) for w in walls], axis=-1)
        if solid is not None:
            self._wall_velocity[solid.ravel()] = 0.0
        inside = sp.identity(nodes.size, format="csr")[:, rows]
        self._inside = (
            sp.hstack([inside, self._afloat.T], format="csr"),
            sp.hstack([inside, 0 * self._afloat.T]).tocsr(),
        )
        self._from_psi, self._from_walls = self._wall_vorticity(nodes)
        self._make_balances(box, is_open)

    def _make_balances(self, box: NDArray[np.bool_], is_open: bool) -> None:
        """Matrices from nodes to edges across x and across y, and back to balances of inner nodes and of blocks.

        To edges: the velocity through them, the vorticity, its slope. An open side is a face of half a cell. There
        v = 0 and p is constant, so that B_y = u u_y: instead of omega, -u_y is carried through it.
        """
        x, y = self.x, self.y

        def kron(along_x: Any, along_y: Any) -> sp.csr_array:
            return sp.csr_array(sp.kron(along_x, along_y, format="csr"))

        eye_x, eye_y = (sp.identity(n, format="csr") for n in self.shape)
        face = eye_x[len(x) - is_open :]
        last, at_x, at_y = 0 * face, eye_x[1 : len(x) - 1 + is_open], eye_y[1:-1]
        faces_x = np.append(middles(x), x[len(x) - is_open :])
        mean_x, slope_x = sp.vstack([means(len(x)), face]), sp.vstack([differences(x), last])
        turning = sp.vstack([first_derivative(x), last])
        self._through = kron(mean_x, first_derivative(y)), -kron(turning, means(len(y)))
        self._mean = kron(sp.vstack([means(len(x)), last]), at_y), kron(at_x, means(len(y)))
        self._slope = kron(slope_x, at_y), kron(at_x, differences(y))
        back_y = differences(middles(y))
        self._carried = -kron(sp.vstack([0 * means(len(x)), face]), back_y @ differences(y))
        backs = kron(differences(faces_x), at_y[:, 1:-1]), kron(at_x[:, 1 : len(x) - 1 + is_open], back_y)
        area = np.outer(np.diff(faces_x), np.diff(middles(y))).ravel()
        blocks = self._afloat[:, box.ravel()] @ sp.diags_array(area / area.mean())
        balanced = sp.vstack([sp.identity(len(area), format="csr")[self.inner[box]], blocks])
        self._back = tuple(sp.csr_array(balanced @ back) for back in backs)
        self._laplacian = sum(back @ slope for back, slope in zip(self._back, self._slope, strict=True))

    def _wall_vorticity(self, nodes: NDArray[np.intp]) -> tuple[sp.csr_array, Array]:
        """omega at walls: a matrix on psi at inner nodes, [N, m], and what coefficients add, [N, 1 + K]."""
        from_nodes, from_walls = sp.lil_array((nodes.size, nodes.size)), np.zeros_like(self._wall_psi)
        count = np.zeros((nodes.size, 1))
        for line, along, across, inner, slip in (
            (self.x, self.y, nodes, self.inner, -self._wall_velocity[:, 1]),
            (self.y, self.x, nodes.T, self.inner.T, self._wall_velocity[:, 0]),
        ):
            curvature = differences(middles(along)) @ differences(along)
            for here, there, sign in ((slice(-1), slice(1, None), 1), (slice(1, None), slice(-1), -1)):
                at = ~inner[here] & inner[there]  # of a corner of a block both neighbours count
                wall, h = across[here][at], np.broadcast_to(sign * np.diff(line)[:, None], at.shape)[at][:, None]
                from_nodes[wall, across[there][at]] = -2.0 / h[:, 0] ** 2
                from_nodes[wall, wall] += 2.0 / h[:, 0] ** 2  # counts on blocks afloat; psi of others is below
                from_walls[wall] += 2.0 / h**2 * (self._wall_psi[wall] + h * slip[wall])
                count[wall] += 1
            for end in (0, -1):
                if not inner[end].any():
                    from_walls[across[end][1:-1]] -= curvature @ self._wall_psi[across[end]]
        share = np.where(self._slip.reshape(-1, 1), 0.0, 1.0 / np.maximum(count, 1))
        return sp.csr_array(from_nodes.tocsr().multiply(share) @ self._inside[0]), from_walls * share

    def newton(self, start: Solved | None, nu: float, a: Array, *, tol: float) -> Solved:
        """The flow, from a guess on this grid; None: from rest.

        Raises:
            NoSteadyFlowError: no steady flow was found with changes of psi below ``tol``, over U L.
        """
        state = np.zeros(len(self._order)) if start is None else start.state
        residual, factors, change = self._residual(state, nu, a), None, state
        for step in range(1, MOST_STEPS + 1):
            if factors is None:
                factors = self._factored(state, nu, a)
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
        u, v = np.moveaxis(velocity if self._solid is None else np.where(self._solid[..., None], 0.0, velocity), -1, 0)
        psi = (self._wall_psi @ a).reshape(self.shape)[:, :1] + cumulative_trapezoid(u, self.y, axis=1, initial=0)
        omega = np.gradient(v, self.x, axis=0) - np.gradient(u, self.y, axis=1)
        return Solved(self.state(psi, omega), nu, a)

    def state(self, psi: Array, omega: Array) -> Array:
        """The unknowns, [2 m], from fields at all nodes, [n_x, n_y] each."""
        found, first = [], self._afloat.indices[self._afloat.indptr[:-1]]
        for field in (psi, omega):
            one = field.ravel()[first]  # the mean of equal numbers is exact: walls divide it by h^2
            mean = one + self._afloat @ (field.ravel() - self._afloat.T @ one) / self._afloat.sum(axis=1)
            found += [field[self.inner], mean]
        return np.concatenate(found)

    def sensitivities(self, flow: Solved) -> Array:
        """Derivatives of psi at the m places with respect to a_1, ..., a_K and nu, [m, K + 1], by complex steps."""
        factors = self._factored(flow.state, flow.nu, flow.a)
        tries = [(flow.nu, flow.a + COMPLEX_STEP * 1j * one) for one in np.eye(len(flow.a))[1:]]
        found = []
        for nu, a in (*tries, (flow.nu + COMPLEX_STEP * 1j, flow.a)):
            found.append(-self._solved(factors, self._residual(flow.state, nu, a).imag / COMPLEX_STEP))
        return np.column_stack(found)[: len(flow.state) // 2]

    def nodal(self, state: Array, a: Array) -> tuple[Array, Array]:
        """psi and omega at all nodes, [n_x n_y] each; omega at the four corners is 0."""
        psi, omega = np.split(state, 2)
        return (
            self._inside[0] @ psi + self._wall_psi @ a,
            self._inside[1] @ omega + self._from_psi @ psi + self._from_walls @ a,
        )

    def velocity(self, psi: Array, a: Array) -> Array:
        """u, v at all nodes, [n_x, n_y, 2], from psi at all nodes."""
        psi, found = psi.reshape(self.shape), (self._wall_velocity @ a).reshape(*self.shape, 2)
        inside = np.zeros_like(found)
        inside[:, 1:-1, 0] = (first_derivative(self.y) @ psi.T).T
        inside[1:-1, :, 1] = -(first_derivative(self.x) @ psi)
        found = np.where(self.inner[..., None], inside, found)
        if self._slip.any():  # without friction the velocity along a side is as next to it
            by_x, by_y = np.gradient(psi, self.x, self.y, edge_order=2)
            found[self._slip] = np.stack([by_y, -by_x], axis=-1)[self._slip]
        return found

    def fluxes(self, state: Array, nu: Any, a: Array) -> tuple[Array, Array]:
        """u omega - nu omega_x on edges across x; v omega - nu omega_y on edges across y."""
        psi, omega = self.nodal(state, a)
        through, mean = [m @ psi for m in self._through], [m @ omega for m in self._mean]
        mean[0] = mean[0] + self._carried @ psi
        across_x, across_y = (t * w - nu * (m @ omega) for t, w, m in zip(through, mean, self._slope, strict=True))
        return across_x, across_y

    def _residual(self, state: Array, nu: Any, a: Array) -> Array:
        across_x, across_y = self.fluxes(state, nu, a)
        poisson = self._laplacian @ self.nodal(state, a)[0] + state[len(state) // 2 :]
        return np.concatenate([poisson, self._back[0] @ across_x + self._back[1] @ across_y])

    def _factored(self, state: Array, nu: float, a: Array) -> SuperLU:
        """Factors of the Jacobian, its unknowns in the order of nested dissection."""
        psi, omega = self.nodal(state, a)
        carried = self._carried, 0 * self._through[1]
        to_psi = to_omega = 0
        for through, mean, more, slope, back in zip(
            self._through, self._mean, carried, self._slope, self._back, strict=True
        ):
            velocity = sp.diags_array(through @ psi)
            by_omega = back @ (velocity @ mean - nu * slope)
            by_psi = back @ (sp.diags_array(mean @ omega + more @ psi) @ through + velocity @ more)
            to_psi, to_omega = (
                to_psi + by_psi @ self._inside[0] + by_omega @ self._from_psi,
                to_omega + by_omega @ self._inside[1],
            )
        rows = [[self._laplacian @ self._inside[0], sp.identity(len(state) // 2)], [to_psi, to_omega]]
        ordered = sp.block_array(rows, format="csr")[self._order][:, self._order].tocsc()
        return splu(ordered, permc_spec="NATURAL", diag_pivot_thresh=DIAGONAL_PIVOTS, options={"SymmetricMode": True})

    def _solved(self, factors: SuperLU, right: Array) -> Array:
        found = np.empty_like(right)
        found[self._order] = factors.solve(right[self._order])
        return found
