"""From the configuration to the phases of a training: which optimiser takes the steps, from when on."""

from __future__ import annotations

from typing import Any

import torch

from pinnx.config.train_section import FIRST_ORDER, Train
from pinnx.train.flat_tensors import flat
from pinnx.train.gauss_newton import GaussNewton
from pinnx.train.objective import Objective
from pinnx.train.optimizers import cosine_schedule, make_optimizer
from pinnx.train.phases import Phase
from pinnx.train.step_method import FirstOrder, Method

__all__ = ["phases_of"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# A number of the equations moves by its learning rate in a step, where it is far from its goal. At the network's rate a
# guess 50 times off does not arrive in 1200 steps: three seeds of the demo found 0.17 in place of 0.02. With ten times
# the rate they found 0.021, from guesses of a quarter of it too.
NUMBERS_FASTER = 10.0


def phases_of(settings: Train) -> list[Phase]:
    """The first phase, and those of ``train.phases``."""
    phases = [_phase(settings, settings.optimizer, lr=settings.lr, warm_up=settings.warm_up)]
    for later in settings.phases:
        first = max(phases[-1].first + 1, round(later.start * settings.steps))
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
        return Phase(lambda objective, steps: GaussNewton(objective), name=name, **given)
    return Phase(
        lambda objective, steps: _quasi_newton(settings, name, objective),
        name=name,
        points_for=settings.quasi_newton.points_for,
        **given,
    )


def _first_order(settings: Train, name: str, lr: float, warm_up: int, objective: Objective, steps: int) -> FirstOrder:
    numbers = objective.problem.unknown_numbers()
    apart = {id(number) for _, number in numbers}
    weights = [parameter for parameter in objective.problem.model.parameters() if id(parameter) not in apart]
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


def _quasi_newton(settings: Train, name: str, objective: Objective) -> Method:
    from pinnx.train.curvature import LimitedMemory, SelfScaledBroyden  # SciPy's optimisers only where they are used
    from pinnx.train.quasi_newton import QuasiNewton

    like = flat(objective.parameters)
    curvature = LimitedMemory(like, settings.quasi_newton.pairs) if name == "lbfgs" else SelfScaledBroyden(like)
    return QuasiNewton(objective, curvature)
