"""Budgets of mass and momentum of 4 x 4 sub-boxes of a plane flow, from a network's fields on a regular grid."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from pinnx.config import Config
from pinnx.evals.budgets import BOXES, verify_budgets
from pinnx.evals.checks import Check, check
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.models.field_model import FieldModel
from pinnx.physics.corners import corner_distance, discontinuity_corners
from pinnx.physics.navier_stokes import NavierStokes

__all__ = ["sub_box_budgets"]

INTERVALS = 32  # of the grid, along each side of a sub-box


def sub_box_budgets(config: Config, case: Case, model: FieldModel, equations: NavierStokes) -> list[Check]:
    """The budgets of mass, and of momentum where the flow is steady; of an unsteady one at the middle of its times.

    Sub-boxes with a body, or with a corner where two sides disagree, are left out. Nothing in three dimensions, where
    a hole in the data has no outline, and where no sub-box is left.

    Args:
        config: the limits and train.corner_radius are used.
        case: what is known.
        model: the fields.
        equations: with the numbers that the training found.
    """
    if case.dim != 2 or (not case.bodies and case.reference is not None and case.reference.holes is not None):
        return []
    plane = {axis: case.bounds[axis] for axis in "xy"}
    axes = [np.linspace(*ends, BOXES * INTERVALS + 1) for ends in plane.values()]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    corners = discontinuity_corners(case.conditions, case.bounds)
    away = corner_distance(points, corners, tuple(plane)) > (config.train.corner_radius or 0.0)
    away &= ~in_bodies(points, case.bodies, plane)
    shape = (axes[0].size, axes[1].size)
    blocks = itertools.product([slice(i * INTERVALS, (i + 1) * INTERVALS + 1) for i in range(BOXES)], repeat=2)
    if not any(away.reshape(shape)[block].all() for block in blocks):
        return []
    time = () if case.steady else (np.full(len(points), np.mean(case.bounds["t"])),)
    fields = model.predict(np.column_stack([*time, points]))
    if not np.isfinite(fields).all():
        return [check("mass_budget", math.nan)]
    u, v, p = fields.T.reshape(3, *shape)
    steady: dict[str, Any] = {"pressure": p, "viscosity": equations.found().get("nu", case.nu)} if case.steady else {}
    force = equations.scaled_forcing
    return verify_budgets(
        (u, v),
        axes,
        **steady,
        forcing=None if force is None else (force.detach().cpu().numpy() * case.scales.force).tolist(),
        where=away.reshape(shape),
        speed=case.scales.velocity,
        limits=config.evals.limits.model_dump(),
    )
