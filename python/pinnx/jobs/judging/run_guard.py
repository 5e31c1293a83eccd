"""The guard of a run: the checks of its case at fixed points, with the terms as they were at the start.

What is trained must not judge itself: a term whose numbers change while it trains (a viscosity by accident) is held
against a copy. Numbers that are to change, found or set by a curriculum, are those of the training.

Memory and speed are held against those of evals.baseline where that is of this machine, else of the start of the run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from pinnx.config import Config
from pinnx.evals.checks import Check, check
from pinnx.jobs.cases.case import Case
from pinnx.jobs.judging.metrics import checks_at_points
from pinnx.jobs.judging.yellow_lines import usual_performance
from pinnx.jobs.outputs import versions
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.term import Term
from pinnx.runs.machine import memory_now
from pinnx.train.guard import Guard
from pinnx.train.problem import Problem
from pinnx.train.ranks import ALONE, OneProcess

__all__ = ["run_guard"]

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


def run_guard(config: Config, case: Case, problem: Problem, ranks: OneProcess = ALONE) -> Guard | None:
    """The guard of a configuration, which has ranks return together; None where it is switched off."""
    settings = config.train.guard
    if settings is None:
        return None
    changing = bool(config.train.curriculum)
    judges = [_judge(term, changing) for term in problem.checked]
    trained = len(problem.terms)
    fixed = Problem(problem.model, judges[:trained], fields=problem.fields, checks=judges[trained:])
    usual = usual_performance(config, versions(problem.model.frequencies.device))
    memory = _memory(usual.get("peak_memory_gib"))

    def checks() -> list[Check]:
        fixed.to_dtype(problem.model.frequencies.dtype)  # that of the phase at hand
        found = checks_at_points(config, case, fixed, POINTS)
        return [*(item for item in found if item.name in JUDGED), memory()]

    speed = usual.get("steps_per_s")
    return Guard(checks, worse=settings.worse, returns=settings.returns, speed=speed, group=ranks.group)


def _judge(term: Term, changing: bool) -> Term:
    """A copy of a term; the term itself where its numbers are trained or staged."""
    trained = getattr(term, "parameters", list)()
    shared = changing or list(trained) or type(term) is MeasuredValues  # whose noise may be found
    return term if shared else copy.deepcopy(term)


def _memory(usual: float | None) -> Callable[[], Check]:
    """The memory of the process by what is usual, else by that at the first call."""
    first = [] if usual is None else [usual]

    def check_memory() -> Check:
        now = max(memory_now().values())
        first.append(now)
        return check("memory", now / first[0])

    return check_memory
