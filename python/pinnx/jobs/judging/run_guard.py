"""Checks of a network while it trains, at a few fixed points: what the guard judges, and what is logged and shown.

What is trained must not judge itself: a term whose numbers change while it trains (a viscosity by accident) is held
against a copy, as it was at the start. Numbers that are to change, found or set by a curriculum, are those of the
training.

Memory and speed are held against those of evals.baseline where that is of this machine, else of the start of the run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pinnx.config import Config
from pinnx.data.collocation import uniform_points
from pinnx.evals.checks import Check, check, verify
from pinnx.jobs.cases.case import Case
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.jobs.judging.flow_balances import energy_budget
from pinnx.jobs.judging.metrics import checks_at_points
from pinnx.jobs.judging.yellow_lines import usual_performance
from pinnx.jobs.outputs import versions
from pinnx.physics.equations import EVALUATION_STREAM
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.term import Term
from pinnx.runs.machine import memory_now
from pinnx.train.guard import Guard
from pinnx.train.problem import Problem
from pinnx.train.ranks import ALONE, OneProcess

__all__ = ["POINTS", "flow_guard", "run_guard", "watched_physics"]

# As many as a step has, or so: of 500 steps a check takes a hundredth of the time.
POINTS = 1000
# What the training itself moves towards its limit. Others compare with what it does not see, or are no residuals.
JUDGED = (
    "pde_residual_l2",
    "viscosity_misfit",
    "conservation",
    "boundary_error_max",
    "neumann_error_max",
    "periodic_error_max",
    "sensor_misfit",
)


def run_guard(
    config: Config, checks: Callable[[], list[Check]], usual: Mapping[str, float] | None = None, group: Any = None
) -> Guard | None:
    """The guard of a configuration; None where it is switched off.

    Args:
        config: the section train.guard is used.
        checks: the verdicts on the network as it is; that on the memory of the process is added.
        usual: `usual_performance`; without it the start of the run is what is usual.
        group: of ranks, which return together.
    """
    settings = config.train.guard
    if settings is None:
        return None
    usual = usual or {}
    first = [usual["peak_memory_gib"]] if "peak_memory_gib" in usual else []

    def judged() -> list[Check]:
        found = checks()
        first.append(max(memory_now().values()))
        return [*found, check("memory", first[-1] / first[0])]

    speed = usual.get("steps_per_s")
    return Guard(judged, worse=settings.worse, returns=settings.returns, speed=speed, group=group)


def flow_guard(flow: FlowProblem, ranks: OneProcess = ALONE) -> Guard | None:
    """The guard of a flow, which has ranks return together; None where it is switched off."""
    problem, changing = flow.problem, bool(flow.config.train.curriculum)
    judges, trained = [_judge(term, changing) for term in problem.checked], len(problem.terms)
    fixed = Problem(problem.model, judges[:trained], fields=problem.fields, checks=judges[trained:])
    judging = replace(flow, problem=fixed)

    def checks() -> list[Check]:
        fixed.to_dtype(problem.model.frequencies.dtype)  # that of the phase at hand
        return [item for item in checks_at_points(judging, POINTS) if item.name in JUDGED]

    usual = usual_performance(flow.config, versions(problem.model.frequencies.device))
    return run_guard(flow.config, checks, usual, ranks.group)


def _judge(term: Term, changing: bool) -> Term:
    """A copy of a term; the term itself where its numbers are trained or staged."""
    trained = getattr(term, "parameters", list)()
    shared = changing or list(trained) or type(term) is MeasuredValues  # whose noise may be found
    return term if shared else copy.deepcopy(term)


def watched_physics(flow: FlowProblem) -> Callable[[], list[Check]]:
    """Gives the checks of the network as it is then, all that need no second training.

    Beside those of the terms: the budget of the kinetic energy, whose residual is the velocity times that of the
    momentum, and the error against the reference at some of its places and times.
    """
    places, wanted = _reference_sample(flow.case)

    def checks() -> list[Check]:
        found = checks_at_points(flow, POINTS)
        found += verify(energy_budget(flow.case, flow.problem, POINTS, flow.config.train.seed))
        if len(places):
            error = flow.model.predict(places)[:, : flow.case.dim] - wanted
            relative = float(np.linalg.norm(error) / np.linalg.norm(wanted))
            found.append(check("reconstruction", relative, limits=flow.limits, note=f"at {len(places)} places"))
        return found

    return checks


def _reference_sample(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [k, D] and velocities [k, d] of the reference, drawn once, at most POINTS; empty without one."""
    reference = case.reference
    if reference is None:
        return np.empty((0, len(case.bounds))), np.empty((0, case.dim))
    places = np.flatnonzero(case.in_flow)
    total = reference.num_times * len(places)
    drawn = uniform_points([0.0], [1.0], min(POINTS, total), seed=0, step=0, stream=EVALUATION_STREAM)[:, 0]
    frames, chosen = np.divmod((drawn * total).astype(np.int64), len(places))
    x = reference.points[places[chosen]]
    coordinates = x if reference.times is None else np.column_stack([reference.times[frames], x])
    return coordinates, reference.velocity[frames, places[chosen]]
