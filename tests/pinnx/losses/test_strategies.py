"""Strategies without probes against their formulas: the ramp of the equations, noisy data, the augmented Lagrangian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.losses import (
    AugmentedLagrangian,
    Discrepancy,
    LossWeights,
    Probes,
    ProgressivePhysics,
    progressive_loss_weights,
    usual_square,
)


def none(*given: object) -> Tensor:
    raise AssertionError("no probe is needed")


NO_PROBES = Probes(none, none, none)


@pytest.mark.parametrize("steps", [10, 3000])
def test_the_published_schedule(steps: int) -> None:
    got = [progressive_loss_weights(steps * tenth // 10, steps) for tenth in range(11)]
    assert [data for data, _ in got] == [1.0] * 11
    wanted = [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert [physics for _, physics in got] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("start", "full"), [(0.5, 0.5), (0.7, 0.3), (-0.1, 0.5), (0.5, 1.1)])
def test_shares_that_make_no_ramp_are_refused(start: float, full: float) -> None:
    with pytest.raises(PinnxError, match=r"^physics_ramp: expected 0 <= start < full <= 1 and steps >= 1, got "):
        progressive_loss_weights(0, 10, start, full)


def test_the_physics_alone_is_held_back() -> None:
    """The factors of the next step, in the tensor that a graph has captured; exactly 0 and exactly 1 at the ends."""
    ramp = ProgressivePhysics([True, False, True], 10, (0.2, 0.6), torch.ones(1))
    place, seen = ramp.factors.data_ptr(), [ramp.factors.tolist()]
    for step in range(9):
        ramp.adapt(step, torch.ones(3), NO_PROBES)
        seen.append(ramp.factors.tolist())
    assert ramp.factors.data_ptr() == place
    assert [row[1] for row in seen] == [1.0] * 10
    assert [row[0] for row in seen] == [row[2] for row in seen]
    assert [row[0] for row in seen] == pytest.approx([0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0], abs=1e-6)
    assert seen[2][0] == 0.0
    assert seen[6][0] == 1.0


def test_the_weight_follows_the_misfit_and_never_exceeds_what_is_configured() -> None:
    made = Discrepancy(torch.ones(2, dtype=torch.float64), 1, 0.25)
    course = []
    for step, misfit in enumerate([0.0, 0.125, 0.25, 0.5, 100.0, 100.0]):
        made.adapt(step, torch.tensor([7.0, misfit], dtype=torch.float64), NO_PROBES)
        course.append(float(made.factors[1]))
    wanted = np.exp(0.02 * np.array([-1.0, -1.5, -1.5, -0.5, 0.0, 0.0]))
    np.testing.assert_allclose(course, wanted, rtol=1e-12)
    assert float(made.factors[0]) == 1.0


@pytest.mark.parametrize(("adapted", "low", "high"), [(True, 0.95, 1.05), (False, 0.0, 0.01)])
def test_noisy_numbers_are_missed_by_their_noise(adapted: bool, low: float, high: float) -> None:
    """Least x^2 + weight (x - 1)^2 with a noise of 0.3: x = 0.7. A constant weight of 100 has x = 0.99."""
    x = torch.zeros((), dtype=torch.float64)
    made = Discrepancy(torch.ones(2, dtype=torch.float64), 1, 0.3**2)
    for step in range(3000):
        weight = 100.0 * (made.factors[1] if adapted else 1.0)
        x = x - 0.004 * (2.0 * x + 2.0 * weight * (x - 1.0))
        made.adapt(step, torch.stack([x**2, (x - 1.0) ** 2]), NO_PROBES)
    assert low < float((x - 1.0) ** 2) / 0.3**2 < high


@pytest.mark.parametrize("numbers", [2, 24, 1000])
def test_the_usual_square_is_exceeded_in_19_of_20_draws(numbers: int) -> None:
    squares = np.square(np.random.default_rng(0).normal(size=(4000, numbers))).mean(axis=1)
    assert 0.94 < np.mean(squares > usual_square(numbers)) < 0.96


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


def test_a_strategy_of_other_columns_is_refused() -> None:
    """One factor would multiply all columns."""
    weights = LossWeights({"equations": 1.0, "data": 1.0}, ("equations", "data"), torch.ones(1))
    weights.adapt_by(ProgressivePhysics([True, False], 10, (0.2, 0.6), torch.ones(1)))
    assert weights.values.tolist() == [0.0, 1.0]
    with pytest.raises(PinnxError, match=r": expected a factor for each column of the loss, \[2\], got \[1\]$"):
        weights.adapt_by(ProgressivePhysics([True], 10, (0.2, 0.6), torch.ones(1)))
