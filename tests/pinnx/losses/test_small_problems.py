"""Each method on two numbers whose answer is known: what its paper promises, and what happens without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pinnx.losses import GradNorm, Probes, ReLoBRaLo, TangentKernel, WeightStrategy, adaptive_weights

# Columns a (x - 1)^2 of one number each, from x = 0: a descent step leaves 1 - 2 lr weight a of the misfit.
CURVATURES = torch.tensor([1.0, 10.0], dtype=torch.float64)
LR = 0.02
ONES = torch.ones(2, dtype=torch.float64)


def descended(method: WeightStrategy | None, steps: int, curvatures: Tensor = CURVATURES) -> tuple[Tensor, Tensor]:
    """The columns over what they were, and the weights, after some steps of descent."""
    misfit = -ONES

    def none(name: str) -> tuple[dict[str, Tensor], Tensor]:
        raise AssertionError("these methods look at no residual")

    for step in range(steps):
        gradient = 2 * curvatures * misfit
        if method is not None:
            at = Probes(lambda g=gradient: g.abs(), lambda: curvatures, none)
            method.adapt(step, curvatures * misfit.square(), at)
        weights = ONES if method is None else method.factors
        misfit = misfit - LR * weights * gradient
    return misfit.square(), weights.clone()


def test_without_a_method_the_steep_column_is_learned_first() -> None:
    (slow, fast), _ = descended(None, 40)
    assert slow > 1e12 * fast


def test_tangent_kernel_weights_learn_all_columns_at_one_rate() -> None:
    """The trace of a column's kernel is proportional to its curvature here: weights 10 : 1, equal rates."""
    (slow, fast), (first, second) = descended(TangentKernel(ONES, every=1), 40)
    assert first / second == pytest.approx(10.0)
    assert slow == pytest.approx(float(fast))


def test_gradnorm_finds_the_weights_of_equal_rates() -> None:
    """Equal training rates and equal lengths of gradients hold together where the weights are 10 : 1."""
    (slow, fast), (first, second) = descended(GradNorm(ONES, asymmetry=1.5, lr=0.05, every=1), 60)
    (slow_without, fast_without), _ = descended(None, 60)
    assert first / second == pytest.approx(10.0, rel=0.5)
    assert slow / fast < 1e-12 * slow_without / fast_without


@pytest.mark.parametrize("lookback", [0.0, 0.5])
def test_relobralo_draws_the_rates_together(lookback: float) -> None:
    """Held against the start: the slower column counts exp((l_1 - l_2) / T) as much, l what is left of a column."""
    method = ReLoBRaLo(ONES, temperature=0.1, decay=0.9, lookback=lookback)
    (slow, fast), (first, second) = descended(method, 8)
    (slow_without, fast_without), _ = descended(None, 8)
    assert first > 2 * second
    assert slow / fast < 0.2 * slow_without / fast_without


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_adaptive_weights_fit_relative_misfits(statistic: str) -> None:
    """The factor c of c f = g, g = f but for the largest, read 30 % too large: the mean over all, or the largest alone.

    The mean of f^2 is a share of the largest: fewer of the others count.
    """
    field = torch.logspace(0, 6, 101, dtype=torch.float64)
    measured = field.clone()
    measured[-1] *= 1.3

    def fitted(weights: Tensor) -> float:
        return float((weights * field * measured).sum() / (weights * field.square()).sum())

    found = fitted(adaptive_weights(field, 100.0, statistic=statistic))
    plain = fitted(torch.ones_like(field))
    assert plain > 1.05
    if statistic == "median":
        assert found == pytest.approx(1 + 0.3 / 51, abs=2e-3)
    else:
        assert found > 1 + 1.5 * 0.3 / 51


METHODS: list[Callable[[], WeightStrategy]] = [
    lambda: TangentKernel(ONES, every=1),
    lambda: GradNorm(ONES, every=1),
    lambda: ReLoBRaLo(ONES),
]


@pytest.mark.parametrize("make", METHODS)
def test_columns_of_one_curvature_are_learned_as_without_a_method(make: Callable[[], WeightStrategy]) -> None:
    alike = 3.0 * ONES
    (with_it, _), (without, _) = descended(make(), 20, alike), descended(None, 20, alike)
    torch.testing.assert_close(with_it, without)
