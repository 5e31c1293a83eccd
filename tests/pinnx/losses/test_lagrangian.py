"""The augmented Lagrangian: its formula, that multipliers grow while a constraint is not met, and where it ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.losses import AugmentedLagrangian, Probes


def none(*given: object) -> Tensor:
    raise AssertionError("a Lagrangian needs no probe")


NO_PROBES = Probes(none, none, none)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_it_is_the_published_update() -> None:
    columns = np.random.default_rng(0).uniform(0.1, 1.0, (30, 3))
    configured = np.array([1.0, 10.0, 2.0])
    made = AugmentedLagrangian(torch.from_numpy(configured), [False, True, True], growth=0.05, memory=0.9)
    squares, multipliers = np.zeros(3), np.ones(3)
    for step, row in enumerate(columns):
        made.adapt(step, torch.from_numpy(row), NO_PROBES)
        constraint = configured * row
        squares = 0.9 * squares + 0.1 * constraint**2
        penalty = 0.05 / (np.sqrt(squares) + 1e-8)
        multipliers += penalty * constraint
    wanted = multipliers + penalty * constraint
    np.testing.assert_allclose(made.factors, [1.0, *wanted[1:]], rtol=1e-12)


def test_a_multiplier_grows_until_its_constraint_is_met() -> None:
    """By about growth in a step, whatever the size of the column; not where it is 0."""
    made = AugmentedLagrangian(numbers(1.0, 1.0, 1.0), [True, True, True], growth=0.01, memory=0.5)
    for step in range(500):
        made.adapt(step, numbers(1e-6, 1e3, 0.0), NO_PROBES)
    small, large, met = made.state_dict()["multipliers"].tolist()
    assert small == pytest.approx(6.0, rel=0.02)
    assert large == pytest.approx(6.0, rel=0.02)
    assert met == 1.0


def test_a_constrained_minimum_is_found() -> None:
    """Least (x - 2)^2 where x = 1: with constant weights it stays half way, whatever the steps."""

    def found(adapted: bool) -> float:
        x = torch.zeros((), dtype=torch.float64)
        made = AugmentedLagrangian(numbers(1.0, 1.0), [False, True], growth=0.1)
        for step in range(3000):
            weights = made.factors if adapted else torch.ones(2)
            gradient = 2 * weights[0] * (x - 2.0) + 2 * weights[1] * (x - 1.0)
            made.adapt(step, torch.stack([(x - 2.0) ** 2, (x - 1.0) ** 2]), NO_PROBES)
            x = x - 0.5 / float(weights.sum()) * gradient
        return float(x)

    assert found(adapted=False) == pytest.approx(1.5)
    assert found(adapted=True) == pytest.approx(1.0, abs=0.02)


def test_no_constraint_is_refused() -> None:
    with pytest.raises(PinnxError, match=r"^train\.balance: expected a column of the loss that can be a constraint"):
        AugmentedLagrangian(numbers(1.0), [False])
