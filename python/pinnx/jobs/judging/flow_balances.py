"""Balances of a network: its kinetic energy k = |u|^2 / 2, and mass and momentum of 4 x 4 sub-boxes of a plane flow.

energy_budget   root mean square of u . r, where r is the residual of the momentum: that of the equation of k
energy_growth   growth of the mean of k from frame to frame, where nothing drives the flow: a periodic box, no force
mass_budget, momentum_budget   of the sub-boxes, from the fields on a regular grid
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch

from pinnx.data.layout import grid_points
from pinnx.evals.budgets import BOXES, verify_budgets
from pinnx.evals.checks import Check, check
from pinnx.evals.evaluation import evaluate
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.physics.corners import corner_distance, discontinuity_corners
from pinnx.physics.equations import EquationTerm
from pinnx.physics.geometry import at_time, place_and_time
from pinnx.physics.term import Measured
from pinnx.train.problem import Problem

__all__ = ["energy_budget", "energy_growth", "sub_box_budgets"]

FRAMES = 33
LINES = {2: 64, 3: 24}  # along each axis: the mean over a period has hardly an error
INTERVALS = 32  # of the grid, along each side of a sub-box


def energy_budget(case: Case, problem: Problem, num_points: int, seed: int) -> list[Measured]:
    """The residual of the energy, in U^3 / L, at points that no step has drawn.

    Nothing without an equation, or without points away from corners.
    """
    term = problem.terms[0]
    if not isinstance(term, EquationTerm):
        return []
    points, away = term.check_points(num_points, seed)
    points = points[away]
    if not len(points):
        return []
    found = evaluate(problem.model, [term], points)
    power = np.abs(np.sum(found.fields[:, : case.dim] * found.residual[:, : case.dim], axis=1))
    power /= case.scales.velocity * case.scales.force
    row = int(power.argmax())
    value, place = float(np.sqrt(np.mean(power**2))), place_and_time(points[row], case.bounds)
    return [Measured("energy_budget", value, worst=float(power[row]), worst_at=place)]


def energy_growth(case: Case, problem: Problem, *, forced: bool) -> list[Measured]:
    """The largest growth of the mean, in U^2; nothing where a force or a jump drives the flow, or it leaves the box."""
    space = [axis for axis in case.bounds if axis != "t"]
    if case.steady or forced or case.jumps or set(case.periods) != set(space) or case.bodies:
        return []
    lines = [np.linspace(*case.bounds[axis], LINES[case.dim], endpoint=False) for axis in space]
    grid = grid_points(lines)
    times = np.linspace(*case.bounds["t"], FRAMES)
    means = []
    for time in times:
        velocity = problem.model.predict(at_time(grid, time))[:, : case.dim]
        means.append(float(np.mean(np.sum(velocity**2, axis=1))) / 2 / case.scales.velocity**2)
    rises = [after - before for before, after in itertools.pairwise(means)]
    frame = int(np.argmax(rises))
    growth = float(np.maximum(rises[frame], 0.0))
    return [Measured("energy_growth", growth, worst=growth, worst_at=(float(times[frame + 1]),))]


def sub_box_budgets(flow: FlowProblem) -> list[Check]:
    """The budgets of mass, and of momentum where the flow is steady; of an unsteady one at the middle of its times.

    Sub-boxes with a body, or with a corner where two sides disagree, are left out. Nothing in three dimensions, where
    a hole in the data has no outline, and where no sub-box is left.
    """
    case = flow.case
    if case.dim != 2 or (not case.bodies and case.reference is not None and case.reference.holes is not None):
        return []
    plane = {axis: case.bounds[axis] for axis in "xy"}
    axes = [np.linspace(*ends, BOXES * INTERVALS + 1) for ends in plane.values()]
    points = grid_points(axes)
    corners = discontinuity_corners(case.conditions, case.bounds)
    away = corner_distance(points, corners, tuple(plane)) > (flow.config.train.corner_radius or 0.0)
    away &= ~in_bodies(points, case.bodies, plane)
    shape = (axes[0].size, axes[1].size)
    blocks = itertools.product([slice(i * INTERVALS, (i + 1) * INTERVALS + 1) for i in range(BOXES)], repeat=2)
    if not any(away.reshape(shape)[block].all() for block in blocks):
        return []
    at = at_time(points, None if case.steady else float(np.mean(case.bounds["t"])))
    fields = flow.model.predict(at)
    if not np.isfinite(fields).all():
        return [check("mass_budget", math.nan)]
    u, v, p = fields.T.reshape(3, *shape)
    steady: dict[str, Any] = {"pressure": p, "viscosity": flow.nu} if case.steady else {}
    varying = flow.equations.known_like(at, flow.model.frequencies, finite=False)
    force = flow.equations.force(varying.get("forcing"))
    if varying and force is not None:
        force = torch.where(torch.from_numpy(away)[:, None], force.detach().cpu(), 0.0).reshape(*shape, case.dim)
    return verify_budgets(
        (u, v),
        axes,
        **steady,
        forcing=None if force is None else (force.detach().cpu().numpy() * case.scales.force).tolist(),
        where=away.reshape(shape),
        speed=case.scales.velocity,
        limits=flow.limits,
    )
