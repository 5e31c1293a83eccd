"""What the flow of a run does to bodies and walls: forces, separation, the wake that runs backwards, shear.

    tau = nu (grad u + grad u^T) n without its part along n,   in units of U^2

Walls are the sides of the domain that hold the whole velocity and that nothing crosses. The network's shear comes from
its jets, a reference's from its grid by differences of fourth order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import pinn_ext
from pinnx.data.snapshots import Snapshots
from pinnx.evals.derivatives import GridDerivatives
from pinnx.evals.forces import FlowAt, box_force, recirculation_length, separation_angles, wall_force, wall_shear
from pinnx.jobs.cases.case import Case
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import SIDES, Bounds, Circle, Side, at_time, beside
from pinnx.physics.inner_points import walls_of
from pinnx.physics.outlines import Body, exposed

__all__ = ["body_forces", "model_flow", "walls_and_shear"]

Array = NDArray[np.float64]
# Sizes of a body that the box around it leaves on each side, where the domain reaches so far: outside of its layers.
MARGIN = 1.5
# Pieces of the wall of a body: the rule of midpoints is exact to rounding for smooth flows around a circle.
PIECES = 512
SIDE_PIECES = 200  # of a side without a reference
# Of its length at both ends: where two sides disagree the shear is infinite.
ENDS = 0.05
FEWEST = 8  # lines of a grid along each axis
SAME_PLACE = 1e-6  # of the longest side


def body_forces(case: Case, model: FieldModel, nu: float, *, forced: bool = False) -> list[dict[str, Any]]:
    """Drag, lift and more of each body in the plane, from what of its wall borders the flow.

    Returns:
        For each body its ``name``, ``center`` and ``size`` D (the longer side of the box around it), ``drag`` and
        ``lift``, 2 F / (U^2 D), the largest ``wall_shear`` in units of U^2, at the middle of the times (``time``); of a
        circle ``radius`` and ``separation_angles``, degrees from the rear; ``recirculation_length`` in D where the flow
        behind it runs backwards; of a steady flow without a body force (``forced``) ``drag_of_box``, which agrees with
        ``drag`` as far as momentum is conserved in between.
    """
    if case.dim != 2:
        return []
    time = None if case.steady else float(np.mean(case.bounds["t"]))
    flow, found = model_flow(case, model, time), []
    plane = {axis: case.bounds[axis] for axis in ("x", "y")}
    for body in case.bodies:
        wall = exposed(body, [other for other in case.bodies if other is not body], plane)
        points = wall.at((np.arange(PIECES)[:, None] + 0.5) / PIECES, plane)
        normals = body.normals(points, plane)
        length = body.perimeter * sum(last - first for first, last in getattr(wall, "parts", ((0.0, 1.0),)))
        unit = 2.0 / (case.scales.velocity**2 * body.size)
        drag, lift = (unit * wall_force(flow, points, normals, length, nu)).tolist()
        shear = np.linalg.norm(wall_shear(flow, points, normals, nu), axis=1) / case.scales.velocity**2
        one = {"name": body.name or "circle", "center": list(body.center), "size": body.size}
        one |= {"drag": drag, "lift": lift, "wall_shear": float(shear.max())}
        one |= _separated(case, body, flow, nu)
        if time is not None:
            one["time"] = time
        elif not forced and (box := _box(case, body)) is not None:
            one["drag_of_box"] = float(unit * box_force(flow, *box, nu)[0])
        found.append(one)
    return found


def _separated(case: Case, body: Body, flow: FlowAt, nu: float) -> dict[str, Any]:
    """Where the flow leaves a body, and how far behind it runs backwards."""
    found: dict[str, Any] = {}
    right, end = float(body.box[1][0]), case.bounds["x"][1]
    if right < end:
        behind = recirculation_length(flow, (right, body.center[1]), end)
        found |= {} if behind is None else {"recirculation_length": behind / body.size}
    if isinstance(body, Circle):
        angles = separation_angles(flow, body.center, body.radius, nu)
        found |= {"radius": body.radius} | ({"separation_angles": angles} if angles else {})
    return found


def model_flow(case: Case, model: FieldModel, time: float | None) -> FlowAt:
    """Velocity, pressure and gradient of a network at places of the plane, by its jets."""
    first = tuple(range(0 if time is None else 1, 2 if time is None else 3))

    @torch.no_grad()
    def flow(points: Array) -> tuple[Array, Array, Array]:
        values, slopes = [], []
        for _, x in model.blocks(at_time(points, time)):
            jet = model.jet(x, pinn_ext.JetSpec(first=first))
            values.append(jet.value.double().cpu().numpy() * model.field_scales)
            scaled = jet.first.double().cpu().numpy() * model.field_scales
            slopes.append(scaled / model.coordinate_scales[list(first)][:, None, None])
        fields, gradient = np.concatenate(values), np.concatenate(slopes, axis=1)  # [n, c], [2, n, c]
        return fields[:, :2], fields[:, 2], gradient[..., :2].transpose(1, 2, 0)

    return flow


def _box(case: Case, body: Body) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """A box around a body inside the domain; None where the body touches a side or another body is in it."""
    space = np.array([case.bounds[axis] for axis in ("x", "y")])
    low, high = (np.asarray(corner) for corner in body.box)
    bottom = np.maximum(low - MARGIN * body.size, space[:, 0])
    top = np.minimum(high + MARGIN * body.size, space[:, 1])
    others = [other for other in case.bodies if other is not body]
    near = any((other.box[0] < top).all() and (other.box[1] > bottom).all() for other in others)
    if near or (low <= bottom).any() or (high >= top).any():
        return None
    return (float(bottom[0]), float(bottom[1])), (float(top[0]), float(top[1]))


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
    along = low + (np.arange(SIDE_PIECES) + 0.5) / SIDE_PIECES * (high - low) if line is None else line
    away = max(radius, ENDS * (high - low))
    along = along[(along > low + away) & (along < high - away) & wall.has(along, plane)]
    return beside(wall.axis, wall.position(plane), along)


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
