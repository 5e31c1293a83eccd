"""The shear at the walls of the domain, sides that hold the whole velocity and that nothing crosses.

    tau = nu (grad u + grad u^T) n without its part along n,   in units of U^2

The network's comes from its jets, a reference's from its grid by differences of fourth order. Bodies have theirs beside
their drag (`body_forces.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.data.snapshots import Snapshots
from pinnx.evals.derivatives import GridDerivatives
from pinnx.evals.forces import FlowAt, wall_shear
from pinnx.jobs.cases.case import Case
from pinnx.jobs.judging.body_forces import model_flow
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import SIDES, Bounds, Side
from pinnx.physics.inner_points import walls_of

__all__ = ["walls_and_shear"]

Array = NDArray[np.float64]

PIECES = 200  # of a wall without a reference
# Of its length at both ends: where two sides disagree the shear is infinite.
ENDS = 0.05
FEWEST = 8  # lines of a grid along each axis
SAME_PLACE = 1e-6  # of the longest side


def walls_and_shear(case: Case, model: FieldModel, nu: float, corner_radius: float) -> list[dict[str, Any]]:
    """The shear at each wall of a plane domain; of an unsteady flow at the middle of its times.

    Returns:
        For each wall its ``side``; ``mean``, the mean of its size, and the ``largest`` with its place ``worst_at``, in
        units of U^2; against a reference on a grid with lines on the wall ``reference_mean``, ``reference_largest`` and
        ``relative_l2``; of an unsteady flow ``time``. Parts within ``corner_radius``, or ENDS of its length, of its
        ends do not count.
    """
    if case.dim != 2:
        return []
    reference, plane = case.reference, {axis: case.bounds[axis] for axis in ("x", "y")}
    time, frame = None, 0
    if not case.steady:
        time = float(np.mean(case.bounds["t"]))
        if reference is not None and reference.times is not None:
            frame = int(np.abs(reference.times - time).argmin())
            time = float(reference.times[frame])
    flow, unit, found = model_flow(case, model, time), case.scales.velocity**2, []
    for wall in walls_of(case.conditions):
        if not isinstance(wall, Side) or wall.at_position is not None:
            continue
        lines = None if reference is None else _lines(reference, wall, plane)
        points = _points(wall, plane, corner_radius, None if lines is None else lines["xy".index(wall.along)])
        if not len(points):
            continue
        tau = _shear(flow, points, wall, plane, nu) / unit
        sizes = np.linalg.norm(tau, axis=1)
        worst = int(sizes.argmax())
        one: dict[str, Any] = {"side": str(wall), "mean": float(sizes.mean()), "largest": float(sizes[worst])}
        one |= {"worst_at": points[worst].tolist()} | ({} if time is None else {"time": time})
        if reference is not None and lines is not None:
            at = np.searchsorted(lines["xy".index(wall.along)], points[:, "xy".index(wall.along)])
            wanted = _shear(_at_wall(reference, frame, wall, at), points, wall, plane, nu) / unit
            one |= {"reference_mean": float(np.linalg.norm(wanted, axis=1).mean())}
            one |= {"reference_largest": float(np.linalg.norm(wanted, axis=1).max())}
            one |= {"relative_l2": float(np.linalg.norm(tau - wanted) / (np.linalg.norm(wanted) or 1.0))}
        found.append(one)
    return found


def _shear(flow: FlowAt, points: Array, wall: Side, plane: Bounds, nu: float) -> Array:
    return wall_shear(flow, points, wall.normals(points, plane), nu)


def _points(wall: Side, plane: Bounds, radius: float, line: Array | None) -> Array:
    """Places on a wall away from its ends, [n, 2]: those of a grid, else even ones."""
    low, high = wall.range or plane[wall.along]
    along = low + (np.arange(PIECES) + 0.5) / PIECES * (high - low) if line is None else line
    away = max(radius, ENDS * (high - low))
    along = along[(along > low + away) & (along < high - away) & wall.has(along, plane)]
    across = np.full(len(along), wall.position(plane))
    return np.column_stack([across, along] if wall.axis == "x" else [along, across])


def _lines(reference: Snapshots, wall: Side, plane: Bounds) -> tuple[Array, ...] | None:
    """The lines of a reference's grid; None where it has none, too few, holes, or none on the wall."""
    shape = reference.grid_shape
    if shape is None or min(shape) < FEWEST or reference.holes is not None:
        return None
    lines = tuple(np.asarray(line) for line in reference.grid_lines)
    gap = lines["xy".index(wall.axis)][-SIDES[wall.name][1]] - wall.position(plane)
    return lines if abs(gap) < SAME_PLACE * max(np.ptp(line) for line in lines) else None


def _at_wall(reference: Snapshots, frame: int, wall: Side, rows: NDArray[np.intp]) -> FlowAt:
    """The reference at nodes of a wall, whose places are those of the call."""
    assert reference.grid_shape is not None
    grid, end = GridDerivatives(reference.grid_lines, 4), -SIDES[wall.name][1]
    velocity = np.moveaxis(reference.velocity[frame].reshape(*reference.grid_shape, 2), -1, 0)
    fields = np.stack([*velocity, *(grid.first(part, axis) for part in velocity for axis in (0, 1))], axis=-1)
    values = (fields[end] if wall.axis == "x" else fields[:, end])[rows]
    return lambda places: (values[:, :2], np.zeros(len(values)), values[:, 2:].reshape(-1, 2, 2))
