"""A small problem with everything in it: two coordinates and time, two sides that disagree, a few measurements."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import (
    BoundaryCondition,
    BoundaryValues,
    EquationTerm,
    MeasuredValues,
    NavierStokes,
    Side,
    corner_weights,
    discontinuity_corners,
)
from pinnx.train import FirstOrder, Objective, Phase, Problem, Trainer, cosine_schedule, make_optimizer

# So that `import recorded_graph` works under any import mode of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parent))

BOUNDS = {"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}


VALUES = {"left": {"u": 0.0, "v": 0.0}, "top": {"u": 1.0, "v": 0.0}, "right": {"p": "y - 0.5"}}


@pytest.fixture
def make_problem() -> Callable[..., Problem]:
    """Builds a problem; keyword arguments replace those of the small one."""

    def build(
        *,
        sides: tuple[str, ...] = ("left", "top"),
        learn_nu: bool = False,
        dtype: torch.dtype = torch.float32,
        bounds: dict[str, tuple[float, float]] = BOUNDS,
        collocation: int = 16,
        measured: int | None = None,
        parts_measured: bool = False,
        corner_radius: float | None = None,
        seed: int = 0,
        width: int = 8,
    ) -> Problem:
        rng = np.random.default_rng(0)
        conditions = [BoundaryCondition(Side(side), VALUES[side], bounds, stream=1 + i) for i, side in enumerate(sides)]
        corners = discontinuity_corners(conditions, bounds)
        near = None
        if corners and corner_radius is not None:
            near = lambda x: corner_weights(x, corners, tuple(bounds), corner_radius)  # noqa: E731
        equations = NavierStokes(2, steady=False, nu=0.1, learn_nu=learn_nu, dtype=dtype)
        network = FourierNetwork(
            random_frequencies((1.0, 1.0, 1.0), 0.5, 4, seed=0), 3, width=width, layers=2, seed=1, dtype=dtype
        )
        values, lengths = rng.normal(size=(6, 3 if parts_measured else 2)), None
        if parts_measured:  # a component, a pressure or a speed at each place
            lengths = np.where(np.arange(6) % 3 == 0, 1.0, np.nan)
            values[::3], values[1::3, 1:], values[2::3, :2] = np.nan, np.nan, np.nan
        places = np.random.default_rng(1).uniform(size=(6, 3))
        terms = [
            EquationTerm(equations, bounds=bounds, num_points=collocation, seed=seed, point_weights=near),
            MeasuredValues(places, values, lengths=lengths, vector=2, num_points=measured, seed=seed),
        ]
        if conditions:
            terms.append(BoundaryValues(conditions, 8, bounds=bounds, seed=seed))
        return Problem(network, terms, fields=equations.fields)

    return build


@pytest.fixture
def make_trainer(make_problem: Callable[..., Problem]) -> Callable[..., Trainer]:
    """Builds a trainer of the small problem; keyword arguments go to ``Trainer``, but for these."""

    def build(
        *,
        optimizer: str = "soap",
        steps: int = 12,
        lr: float = 3e-3,
        clip: float | None = None,
        problem: Problem | None = None,
        **changes: Any,
    ) -> Trainer:
        problem = problem or make_problem()

        def method(objective: Objective, steps: int) -> FirstOrder:
            # Every 3 steps: 12 steps meet the preconditioner in every phase.
            given = {"lr": lr, "betas": (0.95, 0.95), "precondition_frequency": 3}
            chosen = make_optimizer(optimizer, objective.parameters, replay=objective.replay, **given)
            return FirstOrder(objective, chosen, cosine_schedule(chosen, steps, 1e-5), clip=clip)

        given = {"weights": dict.fromkeys(problem.names, 1.0), "steps": steps} | changes
        return Trainer(problem, [Phase(method)], **given)

    return build
