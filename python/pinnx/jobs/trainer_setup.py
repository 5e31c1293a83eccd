"""From the configuration to the trainer: which optimiser takes the steps from when on, the weights of the loss and what
adapts them, precision, the device.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

import pinn_ext
from pinnx.config import Config
from pinnx.config.train_section import Train
from pinnx.config.weighting_section import Balance
from pinnx.errors import PinnxError
from pinnx.losses import (
    AugmentedLagrangian,
    CausalWeights,
    Curriculum,
    Discrepancy,
    GradNorm,
    LossWeights,
    ProgressivePhysics,
    ReLoBRaLo,
    TangentKernel,
    WeightStrategy,
    usual_square,
)
from pinnx.physics.breakage_term import BreakageTerm
from pinnx.physics.equations import EquationTerm
from pinnx.physics.measured_values import MeasuredValues
from pinnx.train.found_noise import FoundNoise
from pinnx.train.gauss_newton import GaussNewton, rows_for
from pinnx.train.guard import Guard
from pinnx.train.objective import Objective
from pinnx.train.optimizers import FIRST_ORDER, cosine_schedule, make_optimizer, make_quasi_newton
from pinnx.train.phases import Phase
from pinnx.train.problem import Problem
from pinnx.train.ranks import ALONE, OneProcess
from pinnx.train.step_method import FirstOrder
from pinnx.train.trainer import Trainer

__all__ = ["DTYPES", "choose_device", "make_trainer"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# A number of the equations moves by its learning rate in a step, where it is far from its goal. At the network's rate a
# guess 50 times off does not arrive in 1200 steps: three seeds of the demo found 0.17 in place of 0.02. With ten times
# the rate they found 0.021, from guesses of a quarter of it too.
NUMBERS_FASTER = 10.0
# Of the steps. What the network has not learned yet of the equations counts as noise: decaying vortices without noise,
# in 500 steps, have 0.042, 0.030 and 0.025 after a quarter, a half and three quarters.
NOISE_AT = 0.5


def choose_device(name: str) -> torch.device:
    """The device of a configuration.

    Warns where ``auto`` leaves a CUDA device unused because this build has no kernels for it.

    Raises:
        PinnxError: the device is cuda, and torch sees no device or this build has no kernels for it.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise PinnxError("train.device: expected a CUDA device that torch can use, found none; use cpu or auto")
    if name == "cpu" or not found:
        return torch.device("cpu")
    if pinn_ext.build_info().cuda_version is None:
        if name == "cuda":
            raise PinnxError(
                "train.device: expected kernels with CUDA for cuda, got a build for the CPU alone; "
                "rebuild (pinnx doctor says how), or set train.device=cpu"
            )
        warnings.warn(
            "train.device: a CUDA device was found, but pinn_ext was built without CUDA; the CPU is used "
            "(pinnx doctor says how to rebuild)",
            stacklevel=2,
        )
        return torch.device("cpu")
    return torch.device("cuda")


def make_trainer(
    config: Config,
    problem: Problem,
    weights: Mapping[str, float],
    guard: Guard | None = None,
    ranks: OneProcess = ALONE,
) -> Trainer:
    """The trainer of a configuration; ``weights``: column of the loss -> its weight; without a guard nothing judges.

    Raises:
        PinnxError: settings that do not fit the problem, such as a curriculum of numbers that its equations lack.
    """
    settings = config.train
    if "gauss_newton" in {settings.optimizer, *(phase.optimizer for phase in settings.phases)}:
        rows_for(problem, ranks)  # what a later phase cannot train is refused before the first step
    numbers = any(list(term.equations.parameters()) for term in problem.terms if isinstance(term, EquationTerm))
    estimated = numbers and settings.data_loss == "squares"
    problem.use_streams(settings.streams)
    adapted = _loss_weights(config, problem, weights)
    waiting = [s for s in adapted.strategies if isinstance(s, Discrepancy) and s.idle]
    at = max(1, round(NOISE_AT * settings.steps))
    return Trainer(
        problem,
        _phases(settings),
        weights=adapted,
        steps=settings.steps,
        log_every=settings.log_every,
        checkpoint_every=settings.checkpoint_every,
        cuda_graph=settings.cuda_graph,
        precision=_precision(settings),
        retries=settings.retries,
        guard=guard,
        estimate_at=settings.estimate_at if estimated else (),
        ranks=ranks,
        noise=FoundNoise(problem, adapted, waiting[0], at=at) if waiting else None,
    )


def _precision(settings: Train) -> Mapping[int, str] | Literal["auto"]:
    """Of the products of a step, as the trainer takes it."""
    if settings.precision is None:
        return {0: "float32"}
    if settings.dtype != "float32":
        raise PinnxError(f"train.precision: expected train.dtype float32 beside it, got {settings.dtype}")
    return "auto" if settings.precision == "auto" else dict(settings.precision)


def _phases(settings: Train) -> list[Phase]:
    """The first phase, and those of ``train.phases``; each takes a step at least."""
    phases = [_phase(settings, settings.optimizer, lr=settings.lr, warm_up=settings.warm_up)]
    for number, later in enumerate(settings.phases):
        latest = settings.steps - len(settings.phases) + number
        first = max(phases[-1].first + 1, min(round(later.start * settings.steps), latest))
        dtype = later.dtype or ("float64" if later.optimizer not in FIRST_ORDER else None)
        phases.append(
            _phase(
                settings,
                later.optimizer,
                lr=later.lr or settings.lr,
                first=first,
                dtype=DTYPES[dtype] if dtype else None,
                patience=later.patience,
            )
        )
    return phases


def _phase(settings: Train, name: str, *, lr: float, warm_up: int = 0, **given: Any) -> Phase:
    if name in FIRST_ORDER:
        return Phase(
            lambda objective, steps: _first_order(settings, name, lr, warm_up, objective, steps), name=name, **given
        )
    if name == "gauss_newton":
        points_for = settings.quasi_newton.points_for or 1
        return Phase(lambda objective, steps: GaussNewton(objective), name=name, points_for=points_for, **given)
    return Phase(
        lambda objective, steps: make_quasi_newton(name, objective, pairs=settings.quasi_newton.pairs),
        name=name,
        points_for=settings.quasi_newton.points_for or 200,
        **given,
    )


def _first_order(settings: Train, name: str, lr: float, warm_up: int, objective: Objective, steps: int) -> FirstOrder:
    numbers = objective.problem.unknown_numbers()
    apart = {id(number) for _, number in numbers}
    weights = [parameter for parameter in objective.parameters if id(parameter) not in apart]
    groups: list[dict[str, Any]] = [{"params": weights}]
    for unknown, number in numbers:
        rate = settings.lr_forcing if unknown.startswith("force_") else settings.lr_nu
        groups.append({"params": [number], "lr": rate or NUMBERS_FASTER * lr})
    optimizer = make_optimizer(
        name,
        groups,
        lr=lr,
        betas=settings.betas,
        precondition_frequency=settings.precondition_frequency,
        replay=objective.replay,
    )
    schedule = cosine_schedule(optimizer, steps, settings.final_lr, warm_up=warm_up)
    return FirstOrder(objective, optimizer, schedule, clip=settings.clip)


def _loss_weights(config: Config, problem: Problem, weights: Mapping[str, float]) -> LossWeights:
    """The weights of a problem's columns, with what adapts them."""
    train, like = config.train, problem.model.frequencies
    found = LossWeights(weights, problem.names, like)
    equations = [term for term in problem.terms if isinstance(term, EquationTerm)]
    strategies = _balancing(train.balance, found.configured, problem.names, train.seed)
    if train.causal.tolerance is not None:
        given = {"tolerance": train.causal.tolerance, "every": train.causal.every}
        strategies += [CausalWeights(term, found.configured, problem.names, **given) for term in equations]
    strategies += [
        Discrepancy(
            found.configured,
            problem.names.index(term.names[0]),
            0.0 if term.variance is None else term.variance * usual_square(int(term.mask.sum())),
        )
        for term in problem.terms
        if type(term) is MeasuredValues and (term.variance is not None or config.data.noise.share == "estimated")
    ]
    if train.physics_ramp is not None:
        physics = {
            name for term in problem.terms if isinstance(term, EquationTerm | BreakageTerm) for name in term.names
        }
        ramped = [name in physics for name in problem.names]
        strategies.append(ProgressivePhysics(ramped, train.steps, train.physics_ramp, like))
    if train.curriculum:
        stages = [(stage.until, stage.numbers) for stage in train.curriculum]
        strategies += [Curriculum(term.equations, stages, train.steps, found.configured) for term in equations]
    return found.adapt_by(*strategies)


def _balancing(balance: Balance, configured: Tensor, names: tuple[str, ...], seed: int) -> list[WeightStrategy]:
    """The chosen method, with its settings and no other; none for constant weights."""
    if balance.method == "relobralo":
        given = {"temperature": balance.temperature, "decay": balance.decay, "lookback": balance.lookback}
        return [ReLoBRaLo(configured, **given, seed=seed)]
    if balance.method == "gradnorm":
        return [GradNorm(configured, asymmetry=balance.asymmetry, lr=balance.lr, every=balance.every)]
    if balance.method == "ntk":
        return [TangentKernel(configured, every=balance.every)]
    if balance.method == "lagrangian":
        constraints = [not name.startswith("momentum") for name in names]
        return [AugmentedLagrangian(configured, constraints, growth=balance.growth, memory=balance.memory)]
    return []
