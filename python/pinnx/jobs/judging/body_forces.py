"""What the flow of a run does to the bodies in it: forces, separation, the length of the wake that runs backwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import pinn_ext
from pinnx.evals.forces import (
    FlowAt,
    box_force,
    recirculation_length,
    separation_angles,
    wall_force,
    wall_shear,
)
from pinnx.jobs.cases.case import Case
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import Circle
from pinnx.physics.outlines import Body, exposed

__all__ = ["body_forces", "model_flow"]

Array = NDArray[np.float64]
# Sizes of a body that the box around it leaves on each side, where the domain reaches so far: outside of its layers.
MARGIN = 1.5
# Pieces of a wall: the rule of midpoints is exact to rounding for smooth flows around a circle.
PIECES = 512


def body_forces(case: Case, model: FieldModel, nu: float) -> list[dict[str, Any]]:
    """Drag, lift and more of each body in the plane, from what of its wall borders the flow.

    Returns:
        For each body its ``name``, ``center`` and ``size`` D (the longer side of the box around it), ``drag`` and
        ``lift``, 2 F / (U^2 D), the largest ``wall_shear`` in units of U^2, at the middle of the times (``time``); of a
        circle ``radius`` and ``separation_angles``, degrees from the rear; ``recirculation_length`` in D where the flow
        behind it runs backwards; of a steady flow ``drag_of_box``, which agrees with ``drag`` as far as momentum is
        conserved in between.
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
        elif (box := _box(case, body)) is not None:
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
        at = points if time is None else np.column_stack([np.full(len(points), time), points])
        values, slopes = [], []
        for _, x in model.blocks(at):
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
