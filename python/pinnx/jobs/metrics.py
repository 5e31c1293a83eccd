"""The numbers of metrics.json: errors, norms, checks, and what ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pinnx.config import Config
from pinnx.evals.accuracy import field_errors, relative_l2
from pinnx.evals.checks import Check, verify
from pinnx.evals.flow import FlowFields, boundary_error, periodic_error, predict, residual_norms
from pinnx.jobs.baseline import gappy_pod_baseline
from pinnx.jobs.case import Case
from pinnx.jobs.outputs import peak_memory_gib, versions
from pinnx.train.problem import Problem
from pinnx.train.trainer import Trainer

__all__ = ["boundary_error_max", "run_metrics"]

# Regular points of each boundary condition at which its largest error is looked for.
BOUNDARY_CHECK_POINTS = 1001
# Pairs of points on each pair of periodic sides.
PERIODIC_CHECK_POINTS = 1000


def run_metrics(
    config: Config, case: Case, trainer: Trainer, flow: FlowFields, nu: float, command: str
) -> dict[str, Any]:
    """Everything that metrics.json says of a finished run, but for ``wall_s``, which the caller sets last.

    Args:
        config: what ran.
        case: what was known.
        trainer: at the end of the training.
        flow: fields at the output points, frame by frame.
        nu: the viscosity that belongs to the fields.
        command: what was typed.
    """
    problem = trainer.problem
    momentum, continuity = residual_norms(
        problem.network, problem.equations, case.bounds, config.evals.points, seed=config.train.seed
    )
    numbers: dict[str, float | None] = {"pde_residual_l2": momentum, "conservation": continuity}
    if case.conditions:
        numbers["boundary_error_max"] = boundary_error_max(problem)
    if case.periods:
        numbers["periodic_error_max"] = periodic_error(
            problem.network, case.bounds, tuple(case.periods), PERIODIC_CHECK_POINTS, seed=config.train.seed
        )
    errors = _errors(case, flow)
    if errors is not None:
        numbers["reconstruction"] = errors["speed"]
    predicted = predict(problem.network, case.coordinates)[:, : case.dim]
    # Sensors that all measured zero (on walls, say) have no relative misfit; the check then fails and says why.
    numbers["sensor_misfit"] = relative_l2(predicted, case.velocity, name="sensors") if case.velocity.any() else None
    baseline = gappy_pod_baseline(case)
    limits = config.evals.limits.model_dump()
    checks = [_with_note(item, problem) for item in verify(numbers, limits=limits)]
    return {
        "relative_l2": errors,
        "baseline": baseline.errors or None,
        "baseline_note": baseline.note,
        "wall_s": 0.0,
        "train_s": trainer.train_s,
        "steps": trainer.step,
        "steps_per_s": trainer.step / trainer.train_s,
        "peak_memory_gib": peak_memory_gib(),
        "pde_residual_l2": momentum,
        "continuity_l2": continuity,
        "boundary_error_max": numbers.get("boundary_error_max"),
        "sensor_misfit": numbers["sensor_misfit"],
        "num_sensors": len(case.sensors),
        "seed": config.train.seed,
        "nu": nu,
        "checks": [item.as_dict() for item in checks],
        "source": case.source,
        "command": command,
        "versions": versions(problem.network.frequencies.device),
    }


def boundary_error_max(problem: Problem) -> float:
    """The largest error at the boundary conditions, away from the corners where two sides disagree.

    Raises:
        PinnxError: no conditions, or no points away from the corners; nothing was checked.
    """
    return boundary_error(
        problem.network,
        problem.conditions,
        BOUNDARY_CHECK_POINTS,
        corners=problem.corners,
        corner_radius=problem.corner_radius or 0.0,
    )


def _with_note(item: Check, problem: Problem) -> Check:
    """Says which points the boundary check left out."""
    if item.name != "boundary_error_max" or not problem.corners:
        return item
    left_out = f"without r <= {problem.corner_radius or 0.0:g} of {len(problem.corners)} corners where sides disagree"
    return replace(item, note="; ".join(filter(None, (item.note, left_out))))


def _errors(case: Case, flow: FlowFields) -> Mapping[str, float] | None:
    """Relative L2 errors against the reference; None where there is none."""
    reference = case.reference
    if reference is None:
        return None
    fields = flow.fields.reshape(reference.num_times, reference.num_points, case.dim + 1)
    frames = reference.pressure_frames
    return field_errors(
        fields[..., : case.dim],
        reference.velocity,
        pressure=None if frames is None else np.ascontiguousarray(fields[frames][..., -1]),
        reference_pressure=reference.pressure,
    )
