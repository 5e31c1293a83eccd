"""A network that starts from the field of a classical solver on coarse grids, in place of random weights.

    weights_0 = argmin  mean |network(x) - solver(x)|^2      over the nodes of a grid and uniform points, u, v and p

Steps of this fit need no derivative of the network, so one takes a third of the time of a step of the training.
"""

from __future__ import annotations

import time

import numpy as np

from pinnx.config import Config
from pinnx.config.method import Train
from pinnx.errors import PinnxError
from pinnx.evals.accuracy import relative_l2
from pinnx.jobs.box_case import solve_case
from pinnx.jobs.case import Case
from pinnx.jobs.flow_problem import FlowProblem
from pinnx.jobs.training import make_trainer
from pinnx.physics.measured_values import MeasuredValues
from pinnx.report.formatting import percent
from pinnx.solvers import NotApplicableError
from pinnx.train.problem import Problem

__all__ = ["warm_start"]

# Cells of the finest grid: its extrapolated field is within 1 % of the cavity up to Re 3200, in half a second.
CELLS = 54
STEPS, POINTS, UNIFORM = 600, 512, 4096


def warm_start(config: Config, case: Case, flow: FlowProblem) -> str:
    """Fits the network to the solver's field, in place, and says how well.

    Args:
        config: the sections problem, solver and train (seed, dtype, device) are used.
        case: what is solved.
        flow: the network.

    Raises:
        PinnxError: a case that the solver does not solve.
    """
    began = time.perf_counter()
    try:
        study, _ = solve_case(config, case, min(CELLS, config.solver.cells or CELLS))
    except NotApplicableError as error:
        raise PinnxError(f"train.warm_start: the solver does not apply: {error}; set it to none") from None
    solved = time.perf_counter() - began
    low, high = np.array([case.bounds[axis] for axis in "xy"]).T
    nodes = np.stack(np.meshgrid(study.grids[-1].x, study.grids[-1].y, indexing="ij"), axis=-1)[1:-1, 1:-1]
    points = np.concatenate(
        [nodes.reshape(-1, 2), np.random.default_rng(config.train.seed).uniform(low, high, (UNIFORM, 2))]
    )
    fields, scales = study.at(points), case.scales.of_fields(flow.equations.fields)
    values = MeasuredValues(points, fields, vector=2, scales=scales, num_points=POINTS, seed=config.train.seed)
    settings = Train(
        steps=STEPS, seed=config.train.seed, dtype=config.train.dtype, device=config.train.device, cuda_graph="off"
    )
    problem = Problem(flow.problem.model, [values], fields=flow.problem.fields)
    make_trainer(config.model_copy(update={"train": settings}), problem, {"data": 1.0}).run()
    error = relative_l2(flow.problem.model.predict(points)[:, :2], fields[:, :2], name="velocity")
    seconds = time.perf_counter() - began
    return (
        f"warm start: solved on coarse grids in {solved:.1f} s; the network has learned that field to {percent(error)} "
        f"after {seconds:.1f} s"
    )
