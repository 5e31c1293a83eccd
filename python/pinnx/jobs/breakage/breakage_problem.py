"""From the configuration of a breakage problem to its case, the network and the terms of its loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.config.breakage_section import Breakage
from pinnx.data.point_pool import Refinement
from pinnx.data.size_densities import SizeDensities, read_size_densities
from pinnx.evals.exact_breakage import BREAKAGE_CASES, ExactBreakage
from pinnx.jobs.trainer_setup import DTYPES, choose_device
from pinnx.losses.robust import adaptive_epsilon, adaptive_huber, clipped, log_space
from pinnx.physics.breakage_kinetics import Daughters, Kinetics
from pinnx.physics.breakage_model import BreakageCase, BreakageModel
from pinnx.physics.breakage_term import BreakageTerm
from pinnx.physics.expression import Expression
from pinnx.physics.size_measurements import SizeMeasurements
from pinnx.train.problem import Problem

__all__ = ["BreakageProblem", "breakage_problem", "stated_case"]

POINT_LOSSES = {"adaptive_huber": adaptive_huber, "adaptive_epsilon": adaptive_epsilon}


@dataclass(frozen=True)
class BreakageProblem:
    """What a breakage run trains."""

    config: Config  # what decides the run
    case: BreakageCase  # what is stated
    times: tuple[float, ...]  # at which the result is reported
    exact: ExactBreakage | None  # the solution, where it is known
    problem: Problem  # the network and the terms
    weights: dict[str, float]  # of the columns of the loss
    measured: SizeDensities | None  # what was measured; None: nothing

    @property
    def model(self) -> BreakageModel:
        """The network."""
        model = self.problem.model
        assert isinstance(model, BreakageModel)
        return model

    @property
    def balance(self) -> BreakageTerm:
        """The term of the equation."""
        term = self.problem.terms[0]
        assert isinstance(term, BreakageTerm)
        return term

    @property
    def limits(self) -> dict[str, float]:
        """The limits of the checks, by name."""
        limits: dict[str, float] = self.config.problem.limits.model_dump()
        return limits

    def numbers(self) -> dict[str, float]:
        """What the history says beside the losses: numbers that are found, the size of a pool."""
        found = {name: float(getattr(self.model.kinetics, name)) for name in self.model.learned}
        pool = self.balance.pool
        return found | ({} if pool is None else {"pool_points": float(len(pool.points))})


def stated_case(problem: Breakage) -> tuple[BreakageCase, tuple[float, ...], ExactBreakage | None]:
    """What a configuration states, the times of its result, and its exact solution where there is one."""
    if problem.case is not None:
        exact = BREAKAGE_CASES[problem.case]
        given = {name: getattr(problem, name) for name in problem.learn if getattr(problem, name) is not None}
        start = None if exact.delta_at is not None else partial(exact.density, t=0.0)
        kinetics = replace(exact.kinetics, **given)
        return BreakageCase(kinetics, exact.sizes, exact.times[-1], start, exact.delta_at), exact.times, exact
    assert problem.sizes is not None and problem.times is not None  # noqa: PT018
    kinetics = Kinetics(
        s0=1.0 if problem.s0 is None else problem.s0,
        a=1.0 if problem.a is None else problem.a,
        daughters=Daughters(problem.daughters.c, problem.daughters.q),
    )
    start = None if problem.start is None else _formula(problem.start)
    return BreakageCase(kinetics, problem.sizes, problem.times[-1], start, problem.delta_at), problem.times, None


def breakage_problem(config: Config, measured: SizeDensities | None = None) -> BreakageProblem:
    """The network and the terms of a configuration; ``measured`` stands in place of the file that it names."""
    given, train = config.problem, config.train
    case, times, exact = stated_case(given)
    network = {name: getattr(config.model, name) for name in ("width", "layers", "activation")}
    model = BreakageModel(case, **network, learn=given.learn, seed=config.model.seed, dtype=DTYPES[train.dtype])
    model.to(choose_device(train.device))
    refine = train.points.refine.model_dump()
    balance = BreakageTerm(
        model,
        num_times=given.times_per_step,
        num_nodes=given.nodes,
        pieces=given.pieces,
        seed=train.seed,
        point_loss=None if given.loss == "log" else partial(POINT_LOSSES[given.loss], statistic=given.statistic),
        limit=None if given.clip is None else partial(clipped, limit=given.clip),
        refinement=None if refine["method"] == "none" else Refinement(**refine),
    )
    if measured is None and given.measurements is not None:
        measured = read_size_densities(given.measurements)
    terms: list[Any] = [balance]
    if measured is not None:
        largest = float(np.max(measured.f)) * case.mean_volume / case.number
        terms.append(SizeMeasurements(model, *measured, misfit=partial(log_space, scale=largest)))
    problem = Problem(model, terms, fields=["log_f"])
    weights = {name: value for name, value in given.weights.model_dump().items() if name in problem.names}
    return BreakageProblem(config, case, times, exact, problem, weights, measured)


def _formula(text: str) -> Any:
    expression = Expression(text)

    def start(v: NDArray[np.float64]) -> NDArray[np.float64]:
        return expression.values({"x": v})

    return start
