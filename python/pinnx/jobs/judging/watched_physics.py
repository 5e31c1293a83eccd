"""The physics of a network while it trains: every check that needs no second training, at a few fixed points.

Beside the checks of the terms: the budget of the kinetic energy, whose residual is the velocity times that of the
momentum, and the error against the reference at some of its places and times.
"""

from __future__ import annotations

import numpy as np

from pinnx.config import Config
from pinnx.data.collocation import uniform_points
from pinnx.evals.checks import Check, check, verify
from pinnx.jobs.cases.case import Case
from pinnx.jobs.judging.flow_balances import energy_budget
from pinnx.jobs.judging.metrics import checks_at_points
from pinnx.physics.equations import EVALUATION_STREAM
from pinnx.train.problem import Problem

__all__ = ["WatchedPhysics"]

# As many as a step has, or so.
POINTS = 1000


class WatchedPhysics:
    """Checks of a network as it is.

    Args:
        config: of the run.
        case: what is known.
        problem: the network and the terms.
    """

    def __init__(self, config: Config, case: Case, problem: Problem) -> None:
        self._config, self._case, self._problem = config, case, problem
        self._places, self._wanted = _reference_sample(case)

    def __call__(self) -> list[Check]:
        """The verdicts now."""
        found = checks_at_points(self._config, self._case, self._problem, POINTS)
        limits = self._config.evals.limits.model_dump()
        found += verify(energy_budget(self._case, self._problem, POINTS, self._config.train.seed))
        if len(self._places):
            error = self._problem.model.predict(self._places)[:, : self._case.dim] - self._wanted
            relative = float(np.linalg.norm(error) / np.linalg.norm(self._wanted))
            found.append(check("reconstruction", relative, limits=limits, note=f"at {len(self._places)} places"))
        return found


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
