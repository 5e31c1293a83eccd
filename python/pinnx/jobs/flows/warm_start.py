"""A network that starts from the field of a classical solver on coarse grids, in place of random weights.

First it is fitted to that field alone: such a step needs no derivative of the network and takes a third of the time of
a step of the training. Then the field stays in the loss, as a column `warm_start`, with the weight of the data, which
falls to nothing: without it the equations lead a network away from the flow before they lead it back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from pinnx.config.train_section import Train
from pinnx.data.layout import grid_points
from pinnx.evals.accuracy import relative_l2
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.physics.boundary import component_names
from pinnx.physics.measured_values import FadingValues
from pinnx.report.formatting import percent
from pinnx.train.problem import Problem

if TYPE_CHECKING:
    from pinnx.jobs.flows.flow_problem import FlowProblem
    from pinnx.solvers import Study

__all__ = ["fit_to_start", "start_values"]

# Steps and points of the fit; uniform points beside the nodes of the grid.
STEPS, POINTS, UNIFORM = 400, 512, 4096


def start_values(train: Train, case: Case, study: Study, scales: ArrayLike) -> FadingValues:
    """The solver's field of a case on coarse grids, as a term that fades; ``scales`` [3] are those of u, v, p."""
    low, high = np.array([case.bounds[axis] for axis in "xy"]).T
    nodes = grid_points([study.grids[-1].x, study.grids[-1].y])
    nodes = nodes[((nodes > low) & (nodes < high)).all(axis=1)]
    uniform = np.random.default_rng(train.seed).uniform(low, high, (UNIFORM, 2))
    points = np.concatenate([nodes, uniform])
    points = points[~in_bodies(points, case.bodies, case.bounds)]
    fields = study.at(points)
    pressure = component_names(case.bounds).index("p")
    if case.pressure is not None or any(condition.mask[pressure] for condition in case.conditions):
        fields[:, pressure] = np.nan  # it has a value of its own, and the solver's is known up to a constant
    return FadingValues(points, fields, vector=2, scales=scales, num_points=POINTS, seed=train.seed, until=train.steps)


def fit_to_start(flow: FlowProblem) -> str:
    """Fits the network of a flow to the solver's field, which is among its terms, in place, and says how well."""
    began = time.perf_counter()
    (values,) = (term for term in flow.problem.terms if isinstance(term, FadingValues))
    given = flow.config.train
    settings = Train(steps=STEPS, seed=given.seed, dtype=given.dtype, device=given.device, cuda_graph="off")
    problem = Problem(flow.model, [values], fields=flow.problem.fields)
    until, values.until = values.until, np.inf
    make_trainer(flow.config.model_copy(update={"train": settings}), problem, {values.name: 1.0}).run()
    values.until = until
    velocity = flow.model.predict(values.coordinates)[:, :2] / flow.model.field_scales[:2]
    error = relative_l2(velocity, values.values[:, :2], name="velocity")
    seconds = time.perf_counter() - began
    return f"warm start: the network has learned the solver's field to {percent(error)} in {seconds:.1f} s"
