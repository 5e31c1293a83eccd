"""What a run says of its error without looking at a reference: four estimates, none of them a bound.

    residual            the dual norm of the residual at all points (`pinnx.evals.error_estimate`)
    left-out sensors    the error at sensors that a shorter training did not see (`held_out.py`)
    second training     by how much that training differs from the run over the whole flow (`held_out.py`)
    ensemble spread     the standard deviation of networks trained without a part of the sensors (`ensemble.py`)

docs/verification.md has their rank correlation with true errors.
"""

from __future__ import annotations

import numpy as np

from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError
from pinnx.evals.error_estimate import residual_estimate
from pinnx.evals.evaluation import evaluate
from pinnx.jobs.cases.box_case import NO_FRICTION
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.jobs.judging.ensemble import Ensemble
from pinnx.jobs.judging.held_out import WHOLE, HeldOut
from pinnx.physics.corners import corner_distance, discontinuity_corners
from pinnx.physics.geometry import SIDES, Side, at_time
from pinnx.physics.outlines import exposed

__all__ = ["error_estimates", "estimate_from_residual", "free_sides"]

POINTS = {2: 63, 3: 23}  # along each axis: one below a power of two times three or less, fast for sine transforms
FRAMES = 3  # of an unsteady flow: begin, middle, end
# Of the shortest side, around corners where sides disagree and the residual has no norm; used where the run sets none.
CORNER = 0.05
# Of a side: a round vessel in its box is within rounding of it along less.
TOUCHES = 0.02


def error_estimates(flow: FlowProblem, left_out: HeldOut | None, ensemble: Ensemble | None) -> dict[str, float]:
    """Estimates of the relative L2 error of the velocity, by name; those that the run did not pay for are absent."""
    case, residual = flow.case, estimate_from_residual(flow)
    found = {} if residual is None else {"residual": residual}
    if left_out is not None and left_out.facts is not None and left_out.measured[0].value is not None:
        found["left-out sensors"] = left_out.measured[0].value
        apart = next((item.value for item in left_out.measured if item.part == WHOLE), None)
        found |= {} if apart is None else {"second training": apart}
    if ensemble is not None:
        mean, deviation = ensemble.mean[:, : case.dim], ensemble.deviation[:, : case.dim] / ensemble.factor
        known = np.tile(case.in_flow, case.output.num_frames)
        found["ensemble spread"] = float(np.linalg.norm(deviation[known]) / np.linalg.norm(mean[known]))
    return found


def free_sides(case: Case) -> list[str]:
    """Sides of the flow along which not all of the velocity is prescribed: what is wrong there has no residual.

    Walls without friction are none: what crosses them and their shear are prescribed.
    """
    return [
        side
        for side, (axis, _) in SIDES.items()
        if axis in case.bounds and axis not in case.periods and _free_share(Side(side), case) > TOUCHES
    ]


def _free_share(side: Side, case: Case) -> float:
    """Share of a side that borders the flow and has no velocity; conditions on parts of it count together."""
    try:
        free = list(exposed(side, case.bodies, case.bounds).parts)
    except PinnxError:
        return 0.0
    low, high = case.bounds[side.along]
    known = [condition.where for condition in case.conditions if condition.mask[: case.dim].all()]
    known += [statement.where for statement in case.slopes if statement.condition in NO_FRICTION]
    for where in known:
        if not (isinstance(where, Side) and where.name == side.name and where.at_position is None):
            continue
        begin, end = ((x - low) / (high - low) for x in where.range or (low, high))
        cut = [piece for part in free for piece in ((part[0], min(part[1], begin)), (max(part[0], end), part[1]))]
        free = [piece for piece in cut if piece[0] < piece[1]]
    return sum(end - begin for begin, end in free)


def estimate_from_residual(flow: FlowProblem) -> float | None:
    """The estimate from the residual on a regular grid of the box; the root mean square over a few times.

    A velocity that is zero everywhere has no relative error: such a time does not count, and None says that all are so.
    """
    case = flow.case
    space = {axis: extent for axis, extent in case.bounds.items() if axis != "t"}
    n, sides = POINTS[case.dim], np.array(list(space.values()))
    spacing = (sides[:, 1] - sides[:, 0]) / (n + 1)
    lines = [low + h * np.arange(1, n + 1) for low, h in zip(sides[:, 0], spacing, strict=True)]
    points = grid_points(lines)
    asked = ~in_bodies(points, case.bodies, space)
    corners = discontinuity_corners(case.conditions, case.bounds)
    radius = flow.config.train.corner_radius or CORNER * float((sides[:, 1] - sides[:, 0]).min())
    corners = tuple(corner for corner in corners if "t" not in corner.axes)
    asked &= corner_distance(points, corners, tuple(space)) > radius
    times = [None] if case.steady else np.linspace(*case.bounds["t"], FRAMES).tolist()
    found = []
    for time in times:
        at = evaluate(flow.model, flow.problem.terms, at_time(points, time))
        grid = (n,) * case.dim
        residual = np.where(asked[:, None], at.residual, 0.0).reshape(*grid, -1)
        velocity = np.where(asked[:, None], at.fields[:, : case.dim], 0.0).reshape(*grid, -1)
        if velocity.any():
            parts = residual[..., : case.dim], residual[..., case.dim]
            found.append(residual_estimate(*parts, velocity, spacing.tolist()))
    return float(np.sqrt(np.mean(np.square(found)))) if found else None
