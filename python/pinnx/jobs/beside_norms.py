"""What stands beside the norms of a run: the worst place of an error, the waves that are there, forces on bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import pinn_ext
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.fields_apart import apart, energy_spectrum, resolved_wavenumber
from pinnx.evals.forces import FlowAt, box_force, circle_force
from pinnx.jobs.case import Case
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import Circle

__all__ = ["beside_norms", "body_forces", "model_flow"]

Array = NDArray[np.float64]
# The box around a body, in its radii, as far as the domain reaches: two diameters are outside of the boundary layer.
BOX = 4.0
FEWEST = 8  # lines of a grid along each axis that make a spectrum


def beside_norms(case: Case, fields: Array) -> dict[str, Any] | None:
    """Of the velocity at the output points, against the reference; None where there is none.

    Returns:
        ``rmse`` and ``largest`` (length of the difference, in the data's units), ``worst_at`` (x, y[, z][, t]); of an
        even grid without holes ``resolved_wavenumber`` and the ``highest_wavenumber`` of the grid, radians per length,
        at the frame of the worst place.

    Args:
        case: with the reference.
        fields: [T n, c], frame by frame.
    """
    reference = case.reference
    if reference is None:
        return None
    velocity = fields[:, : case.dim].reshape(reference.velocity.shape)
    wanted, places = reference.velocity[:, case.in_flow], reference.points[case.in_flow]
    # All frames are one set of points: one at rest has no relative error of its own.
    every = np.tile(places, (reference.num_times, 1))
    whole = apart(velocity[:, case.in_flow].reshape(-1, case.dim), wanted.reshape(-1, case.dim), every)
    error = np.linalg.norm(velocity[:, case.in_flow] - wanted, axis=2)
    frame = int(error.max(axis=1).argmax())
    place = whole.worst_at if reference.times is None else (*whole.worst_at, float(reference.times[frame]))
    found = {"rmse": whole.rmse, "largest": whole.largest, "worst_at": list(place)}
    return found | _spectrum(case, reference, velocity[frame], frame)


def _spectrum(case: Case, reference: Snapshots, velocity: Array, frame: int) -> dict[str, Any]:
    shape = reference.grid_shape
    if shape is None or min(shape) < FEWEST or reference.holes is not None:
        return {}
    velocity = np.where(case.in_flow[:, None], velocity, reference.velocity[frame])  # at singular corners
    axes, periods, cut = reference.grid_lines, [], []
    for name, axis in zip(reference.axis_names, axes, strict=True):
        period = case.periods.get(name)
        repeated = period is not None and np.ptp(axis) > period - 0.5 * np.diff(axis).mean()
        periods.append(period)
        cut.append(slice(0, axis.size - 1) if repeated else slice(None))
    lines = [axis[part] for axis, part in zip(axes, cut, strict=True)]
    spectra = []
    for field in (velocity, reference.velocity[frame]):
        parts = [column.reshape(shape)[tuple(cut)] for column in field.T]
        try:
            k, energy = energy_spectrum(parts, lines, periods=periods)
        except PinnxError:  # a grid that is not even has no spectrum
            return {}
        spectra.append(energy)
    return {"resolved_wavenumber": resolved_wavenumber(*spectra, k), "highest_wavenumber": float(k[-1])}


def body_forces(case: Case, model: FieldModel, nu: float) -> list[dict[str, Any]]:
    """Drag and lift of each circle in the plane, from its wall and, of a steady flow, from a box around it.

    Returns:
        For each body ``center``, ``radius``, ``drag`` and ``lift``, 2 F / (U^2 D), at the middle of the times
        (``time``), and ``drag_of_box``, which agrees with ``drag`` as far as momentum is conserved in between.
    """
    if case.dim != 2:
        return []
    time = None if case.steady else float(np.mean(case.bounds["t"]))
    flow, found = model_flow(case, model, time), []
    for body in (body for body in case.bodies if isinstance(body, Circle)):
        unit = 2.0 / (case.scales.velocity**2 * 2.0 * body.radius)
        drag, lift = (unit * circle_force(flow, body.center, body.radius, nu)).tolist()
        one = {"center": list(body.center), "radius": body.radius, "drag": drag, "lift": lift}
        if time is not None:
            one["time"] = time
        elif (box := _box(case, body)) is not None:
            one["drag_of_box"] = float(unit * box_force(flow, *box, nu)[0])
        found.append(one)
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


def _box(case: Case, body: Circle) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """A box around a body inside the domain; None where the body touches a side or another body is in it."""
    reach = [
        (max(c - BOX * body.radius, case.bounds[axis][0]), min(c + BOX * body.radius, case.bounds[axis][1]))
        for axis, c in zip(("x", "y"), body.center, strict=True)
    ]
    gaps = [min(c - low, high - c) - body.radius for c, (low, high) in zip(body.center, reach, strict=True)]
    others = [other for other in case.bodies if isinstance(other, Circle) and other is not body]
    (left, right), (bottom, top) = reach
    near = any(
        left - o.radius < o.center[0] < right + o.radius and bottom - o.radius < o.center[1] < top + o.radius
        for o in others
    )
    return None if near or min(gaps) <= 0.0 else ((left, bottom), (right, top))
