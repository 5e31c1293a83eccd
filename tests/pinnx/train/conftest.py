"""A small problem with everything in it: two coordinates and time, two sides that disagree, a few measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import BoundaryCondition, Side
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.train import PointCounts, Problem, Trainer, cosine_schedule, make_optimizer

BOUNDS = {"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}


def _conditions(which: tuple[str, ...]) -> list[BoundaryCondition]:
    values = {"left": {"u": 0.0, "v": 0.0}, "top": {"u": 1.0, "v": 0.0}, "right": {"p": "y - 0.5"}}
    return [BoundaryCondition(Side(side), values[side], BOUNDS, stream=1 + i) for i, side in enumerate(which)]


@pytest.fixture
def make_problem() -> Callable[..., Problem]:
    """Builds a problem; keyword arguments replace those of the small one."""

    def build(
        *,
        sides: tuple[str, ...] = ("left", "top"),
        learn_nu: bool = False,
        dtype: torch.dtype = torch.float32,
        counts: PointCounts | None = None,
        **changes: Any,
    ) -> Problem:
        frequencies = random_frequencies((1.0, 1.0, 1.0), 0.5, 4, seed=0)
        rng = np.random.default_rng(0)
        given: dict[str, Any] = {
            "bounds": BOUNDS,
            "conditions": _conditions(sides),
            "coordinates": rng.uniform(size=(6, 3)),
            "velocity": rng.normal(size=(6, 2)),
            "counts": counts or PointCounts(collocation=16, boundary=8),
            "seed": 0,
        }
        return Problem(
            FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, dtype=dtype),
            NavierStokes(2, steady=False, nu=0.1, learn_nu=learn_nu, dtype=dtype),
            **(given | changes),
        )

    return build


@pytest.fixture
def make_trainer(make_problem: Callable[..., Problem]) -> Callable[..., Trainer]:
    """Builds a trainer of the small problem; keyword arguments go to ``Trainer``, but for these."""

    def build(
        *, optimizer: str = "soap", steps: int = 12, lr: float = 3e-3, problem: Problem | None = None, **changes: Any
    ) -> Trainer:
        problem = problem or make_problem()
        parameters = [*problem.network.parameters(), *problem.equations.parameters()]
        # Every 3 steps: 12 steps meet the preconditioner in every phase.
        chosen = make_optimizer(optimizer, parameters, lr=lr, betas=(0.95, 0.95), precondition_frequency=3)
        given = {"weights": dict.fromkeys(problem.term_names, 1.0), "steps": steps} | changes
        return Trainer(problem, chosen, cosine_schedule(chosen, steps, 1e-5), **given)

    return build
