"""Wall shear, drag and lift of a body, per unit of density and of span.

    traction    sigma n = -p n + nu (grad u + grad u^T) n          n out of the body, into the flow
    wall shear  tau = nu (grad u + grad u^T) n - its part along n
    force       F = integral over the wall of sigma n ds
              = -integral over a box around it of [u (u . n) - sigma n] ds,   n out of the box; a steady flow
    drag, lift  C_D = 2 F_x / (U^2 D),  C_L = 2 F_y / (U^2 D)
    separation  where the wall shear along the wall changes its sign between front and rear
    recirculation  how far behind a body the flow runs backwards

The two forms agree where the flow conserves momentum in between: their difference is a check of the flow that needs no
reference. Source: G. K. Batchelor, "An Introduction to Fluid Dynamics", Cambridge 1967, sections 3.3 and 5.11.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.errors import PinnxError
from pinnx.evals.derivatives import local_fits, powers

__all__ = [
    "FlowAt",
    "box_force",
    "circle_force",
    "recirculation_length",
    "scattered_flow",
    "separation_angles",
    "wall_force",
    "wall_shear",
]

Array = NDArray[np.float64]
# Places [n, 2] -> velocity [n, 2], pressure [n], gradient [n, 2, 2] with [.., i, j] = d u_i / d x_j.
FlowAt = Callable[[Array], tuple[Array, Array, Array]]
# Points of a circle for its force and for its shear; of the line behind a body; of each side of a box.
AROUND, ALONG, BEHIND, SIDE = 256, 720, 2000, 200
NEAR = 40  # of those behind: an error of the velocity of the wall turns the sign of the nearest
EDGE = 5.0  # degrees next to the stagnation points, where the shear changes its sign without a separation
QUADRATIC = powers(2, 2)
NEIGHBOURS = 30  # of a quadratic fit, six coefficients: five times as many


def wall_shear(flow: FlowAt, points: Array, normals: Array, nu: float) -> Array:
    """The shear stress over the density at points of a wall, ``[n, 2]``, length^2 / time^2.

    Args:
        flow: velocity, pressure and gradient at places.
        points: [n, 2], on the wall.
        normals: [n, 2], of unit length, into the flow.
        nu: kinematic viscosity.
    """
    _, _, gradient = flow(points)
    friction = nu * np.einsum("nij,nj->ni", gradient + gradient.transpose(0, 2, 1), normals)
    return np.asarray(friction - (friction * normals).sum(axis=1, keepdims=True) * normals)


def circle_force(flow: FlowAt, center: tuple[float, float], radius: float, nu: float) -> Array:
    """The force on a circle from its wall, ``[2]``, length^3 / time^2: the trapezoidal rule on 256 points."""
    normals = _circle(AROUND)
    return wall_force(flow, np.asarray(center) + radius * normals, normals, 2 * np.pi * radius, nu)


def wall_force(flow: FlowAt, points: Array, normals: Array, length: float, nu: float) -> Array:
    """The force on a wall, ``[2]``, length^3 / time^2: the mean of the traction at even points, times the length.

    Args:
        flow: velocity, pressure and gradient at places.
        points: [n, 2], the middles of n equal pieces of the wall.
        normals: [n, 2], of unit length, into the flow.
        length: of the wall.
        nu: kinematic viscosity.
    """
    return np.asarray(_traction(flow, points, normals, nu).mean(axis=0) * length)


def separation_angles(flow: FlowAt, center: tuple[float, float], radius: float, nu: float) -> list[float]:
    """Where a stream along x leaves a circle, in degrees from its rear: the upper side's and the lower side's (< 0).

    Of each side the change of sign of the wall shear that is nearest to the front, of those more than 5 degrees away
    from front and rear; none where the flow does not separate.
    """
    normals = _circle(ALONG)
    shear = wall_shear(flow, np.asarray(center) + radius * normals, normals, nu)
    along = shear[:, 1] * normals[:, 0] - shear[:, 0] * normals[:, 1]  # against the clock
    found = []
    for side in (1.0, -1.0):
        angle = np.linspace(EDGE, 180.0 - EDGE, ALONG // 2)
        turns = 360.0 * np.arange(-ALONG, ALONG + 1) / ALONG
        values = np.interp(side * angle, turns, np.append(np.tile(along, 2), along[0]))
        changes = np.flatnonzero(values[:-1] * values[1:] < 0.0)
        if changes.size:
            i = int(changes[-1])
            share = values[i] / (values[i] - values[i + 1])
            found.append(side * float(angle[i] + share * (angle[i + 1] - angle[i])))
    return found


def recirculation_length(flow: FlowAt, rear: tuple[float, float], end: float) -> float | None:
    """How far behind a point on the rear of a body the flow along x runs backwards; None where it does not.

    Args:
        flow: velocity, pressure and gradient at places.
        rear: (x, y) of that point.
        end: the x up to which is looked.
    """
    x = np.linspace(rear[0], end, BEHIND + 1)[1:]
    u = flow(np.stack([x, np.full(BEHIND, rear[1])], axis=1))[0][:, 0]
    backwards = np.flatnonzero(u[:NEAR] < 0.0)
    if not backwards.size or not (u[backwards[-1] :] > 0.0).any():
        return None
    i = int(backwards[-1] + np.argmax(u[backwards[-1] :] > 0.0))
    return float(np.interp(0.0, u[i - 1 : i + 1], x[i - 1 : i + 1]) - rear[0])


def box_force(flow: FlowAt, low: tuple[float, float], high: tuple[float, float], nu: float) -> Array:
    """The force on what is inside a box of steady flow, ``[2]``, by Gauss-Legendre sums on its four sides."""
    if not (low[0] < high[0] and low[1] < high[1]):
        raise PinnxError(f"box: expected low < high, got {low} and {high}")
    nodes, weights = np.polynomial.legendre.leggauss(SIDE)
    force = np.zeros(2)
    for axis in (0, 1):
        other, half = 1 - axis, (high[1 - axis] - low[1 - axis]) / 2
        for end, sign in ((low[axis], -1.0), (high[axis], 1.0)):
            points, normals = np.empty((SIDE, 2)), np.zeros((SIDE, 2))
            points[:, axis], points[:, other] = end, low[other] + half * (nodes + 1)
            normals[:, axis] = sign
            velocity, _, _ = flow(points)
            carried = velocity * (velocity * normals).sum(axis=1, keepdims=True)
            force -= half * weights @ (carried - _traction(flow, points, normals, nu))
    return force


def scattered_flow(points: Array, velocity: Array, pressure: Array) -> FlowAt:
    """A flow known at scattered points in the plane, at any place: by quadratic least squares through the nearest.

    Args:
        points: [n, 2].
        velocity: [n, 2].
        pressure: [n], kinematic.

    Raises:
        PinnxError: fewer points than a fit needs.
    """
    if len(points) < NEIGHBOURS:
        raise PinnxError(f"points: expected at least {NEIGHBOURS} for fits, got {len(points)}")
    known, columns = np.asarray(points, dtype=np.float64), np.column_stack([velocity, pressure]).astype(np.float64)
    tree = cKDTree(known)

    def at(places: Array) -> tuple[Array, Array, Array]:
        distances, near = tree.query(places, k=NEIGHBOURS)
        found = local_fits(known[near] - places[:, None], distances, QUADRATIC)[:, :3] @ columns[near]
        return found[:, 0, :2], found[:, 0, 2], found[:, 1:, :2].transpose(0, 2, 1)

    return at


def _traction(flow: FlowAt, points: Array, normals: Array, nu: float) -> Array:
    _, pressure, gradient = flow(points)
    friction = np.einsum("nij,nj->ni", gradient + gradient.transpose(0, 2, 1), normals)
    return np.asarray(nu * friction - pressure[:, None] * normals)


def _circle(count: int) -> Array:
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
