"""What the kinetic energy k = |u|^2 / 2 of a network does, by its derivatives and by its mean over a periodic box.

energy_budget   root mean square of u . r, where r is the residual of the momentum: that of the equation of k
energy_growth   growth of the mean of k from frame to frame, where nothing drives the flow: a periodic box, no force
"""

from __future__ import annotations

import itertools

import numpy as np

from pinnx.evals.evaluation import evaluate
from pinnx.jobs.cases.case import Case
from pinnx.physics.equations import EquationTerm
from pinnx.physics.geometry import place_and_time
from pinnx.physics.term import Measured
from pinnx.train.problem import Problem

__all__ = ["energy_budget", "energy_growth"]

FRAMES = 33
LINES = {2: 64, 3: 24}  # along each axis: the mean over a period has hardly an error


def energy_budget(case: Case, problem: Problem, num_points: int, seed: int) -> list[Measured]:
    """The residual of the energy, in U^3 / L; nothing without an equation, or without points away from corners.

    Args:
        case: what is known.
        problem: the network and the terms, the equations first.
        num_points: points that no step has drawn.
        seed: names them.
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
    """The largest growth of the mean, in U^2; nothing where the flow is driven, or leaves the box.

    Args:
        case: what is known.
        problem: the network and the terms.
        forced: whether a force acts.
    """
    space = [axis for axis in case.bounds if axis != "t"]
    if case.steady or forced or case.jumps or set(case.periods) != set(space) or case.bodies:
        return []
    lines = [np.linspace(*case.bounds[axis], LINES[case.dim], endpoint=False) for axis in space]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, case.dim)
    times = np.linspace(*case.bounds["t"], FRAMES)
    means = []
    for time in times:
        velocity = problem.model.predict(np.column_stack([np.full(len(grid), time), grid]))[:, : case.dim]
        means.append(float(np.mean(np.sum(velocity**2, axis=1))) / 2 / case.scales.velocity**2)
    rises = [after - before for before, after in itertools.pairwise(means)]
    frame = int(np.argmax(rises))
    growth = float(np.maximum(rises[frame], 0.0))
    return [Measured("energy_growth", growth, worst=growth, worst_at=(float(times[frame + 1]),))]
