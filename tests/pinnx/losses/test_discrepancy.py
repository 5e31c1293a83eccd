"""The weight of noisy data: its formula, where it ends, and that the usual mean square is that of draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pinnx.losses import Discrepancy, Probes, usual_square


def none(*given: object) -> Tensor:
    raise AssertionError("no probe is needed")


NO_PROBES = Probes(none, none, none)


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
