"""Each method against its paper, where the answer is known: the sign, the formula, the point where it rests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.losses import GradNorm, Probes, ReLoBRaLo, TangentKernel
from pinnx.losses.balancing import LOOKBACK_STREAM

METHODS = [ReLoBRaLo, GradNorm, TangentKernel]


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def none(*given: object) -> Tensor:
    raise AssertionError("this method needs no such probe")


NO_PROBES = Probes(none, none, none)


def any_probes(*values: float) -> Probes:
    return Probes(lambda: numbers(*values), lambda: numbers(*values), none)


def rested(method: GradNorm, losses: Callable[[int], Tensor], norms: Tensor, steps: int = 250) -> Tensor:
    for step in range(steps):
        method.adapt(step, losses(step), Probes(lambda: norms, none, none))
    return method.factors


def test_gradnorm_makes_gradients_of_one_length() -> None:
    """Columns that fall alike, whose gradients are 1 : 10 : 100: the factors rest at 100 : 10 : 1, their mean at 1."""
    norms = numbers(1.0, 10.0, 100.0)
    factors = rested(GradNorm(numbers(1.0, 1.0, 1.0), every=1, lr=0.04), lambda step: numbers(3.0, 2.0, 1.0), norms)
    lengths = factors * norms
    assert (lengths / lengths.mean() - 1).abs().max() < 0.04, "within a step of Adam"
    assert factors.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("asymmetry", [0.5, 1.0, 2.0])
def test_gradnorm_weighs_a_slow_column_by_its_inverse_rate(asymmetry: float) -> None:
    """Left of the losses are 0.4 and 0.2: lengths rest at 2^alpha : 1, the slower one longer, as published."""
    losses = lambda step: numbers(1.0, 1.0) if step == 0 else numbers(0.4, 0.2)  # noqa: E731
    slow, fast = rested(GradNorm(numbers(1.0, 1.0), asymmetry=asymmetry, every=1, lr=0.04), losses, numbers(1.0, 1.0))
    assert slow / fast == pytest.approx(2.0**asymmetry, rel=0.05)


def test_gradnorm_takes_configured_weights_as_part_of_the_loss() -> None:
    """Rates are relative, lengths are not: a configured weight of 10 counts as a gradient that is 10 times longer."""
    first, second = rested(
        GradNorm(numbers(1.0, 10.0), every=1, lr=0.04), lambda step: numbers(1.0, 1.0), numbers(1.0, 1.0)
    )
    assert first / second == pytest.approx(10.0, rel=0.05)


def test_gradnorm_asks_for_gradients_at_its_steps_alone() -> None:
    asked = []
    method = GradNorm(numbers(1.0, 1.0), every=4)
    for step in range(9):
        before = method.factors.clone()
        method.adapt(
            step, numbers(1.0, 1.0), Probes(lambda step=step: asked.append(step) or numbers(1.0, 3.0), none, none)
        )
        assert torch.equal(before, method.factors) == (step % 4 > 0)
    assert asked == [0, 4, 8]


def published_relobralo(losses: np.ndarray, temperature: float, decay: float, lookback: float, seed: int) -> np.ndarray:
    """The formula of the file's head, written anew in NumPy."""

    def balance(now: np.ndarray, before: np.ndarray) -> np.ndarray:
        powers = np.exp(now / (temperature * before) - (now / (temperature * before)).max())
        return len(now) * powers / powers.sum()

    factors = np.ones(losses.shape[1])
    for step in range(1, len(losses)):
        drawn = uniform_points([0.0], [1.0], 1, seed=seed, step=step, stream=LOOKBACK_STREAM)[0, 0]
        rho = float(drawn < lookback)
        history = rho * factors + (1 - rho) * balance(losses[step], losses[0])
        factors = decay * history + (1 - decay) * balance(losses[step], losses[step - 1])
    return factors


@pytest.mark.parametrize("lookback", [0.0, 0.7, 1.0])
def test_relobralo_is_the_published_formula(lookback: float) -> None:
    losses = np.random.default_rng(0).uniform(0.5, 1.0, (40, 3)) * np.array([1.0, 1e-3, 1e3])
    method = ReLoBRaLo(numbers(1.0, 1.0, 1.0), temperature=0.5, decay=0.8, lookback=lookback, seed=7)
    for step, row in enumerate(losses):
        method.adapt(step, numbers(*row), NO_PROBES)
    np.testing.assert_allclose(method.factors, published_relobralo(losses, 0.5, 0.8, lookback, 7), rtol=1e-12)


def test_relobralo_weighs_what_falls_less() -> None:
    """Of columns that keep 0.99, 0.9 and 0.8 of themselves in a step, whatever their sizes."""
    method = ReLoBRaLo(numbers(1.0, 1.0, 1.0), decay=0.9, lookback=0.9)
    for step in range(200):
        method.adapt(step, numbers(1e-6 * 0.99**step, 1.0 * 0.9**step, 1e6 * 0.8**step), NO_PROBES)
    slow, middle, fast = method.factors.tolist()
    assert slow > 1.0 > middle > fast
    assert method.factors.sum() == pytest.approx(3.0)


def traces_of(*traces: float) -> Probes:
    return Probes(none, lambda: numbers(*traces), none)


def test_weights_by_the_tangent_kernel_make_all_traces_alike() -> None:
    """sum tr / tr_i, in units of their mean; a configured weight of 10 makes a trace 10 times larger."""
    method = TangentKernel(numbers(1.0, 10.0, 1.0), every=5)
    method.adapt(0, numbers(1.0, 1.0, 1.0), traces_of(2.0, 4.0, 400.0))
    weighed = method.factors * numbers(2.0, 40.0, 400.0)
    assert (weighed / weighed[0]).tolist() == pytest.approx([1.0] * 3)
    assert method.factors.mean() == pytest.approx(1.0)
    before = method.factors.clone()
    method.adapt(1, numbers(1.0, 1.0, 1.0), NO_PROBES)
    assert torch.equal(before, method.factors)


def test_traces_are_averaged_over_updates() -> None:
    method = TangentKernel(numbers(1.0, 1.0), every=1)
    method.adapt(0, numbers(1.0, 1.0), traces_of(1.0, 1.0))
    method.adapt(1, numbers(1.0, 1.0), traces_of(1.0, 11.0))
    assert method.factors[0] / method.factors[1] == pytest.approx(0.9 * 1.0 + 0.1 * 11.0)


@pytest.mark.parametrize("method", METHODS)
def test_columns_that_are_alike_keep_their_weights(method: Callable[..., object]) -> None:
    """The negative control of the tests above."""
    made = method(numbers(2.0, 2.0))
    for step in range(100):
        made.adapt(step, numbers(0.9**step, 0.9**step), any_probes(1.0, 1.0))
    assert made.factors.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("method", METHODS)
def test_a_column_without_weight_has_no_say(method: Callable[..., object]) -> None:
    with_it, without = method(numbers(1.0, 0.0, 2.0)), method(numbers(1.0, 2.0))
    for step in range(30):
        with_it.adapt(step, numbers(1.0, 5.0**step, 0.9**step), any_probes(1.0, 1e9, 2.0))
        without.adapt(step, numbers(1.0, 0.9**step), any_probes(1.0, 2.0))
    assert torch.equal(with_it.factors[[0, 2]], without.factors)
    assert with_it.factors[1] == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_column_that_is_zero_leaves_the_factors_finite(method: Callable[..., object]) -> None:
    """Sensors on walls, say, whose misfit is 0 at first."""
    made, probe = method(torch.ones(2)), lambda: torch.tensor([1.0, 0.0])
    for step in range(5):
        made.adapt(step, torch.tensor([1.0, 0.0 if step < 2 else 0.5]), Probes(probe, probe, none))
    assert torch.isfinite(made.factors).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_column_is_nothing_to_balance(method: Callable[..., object]) -> None:
    with pytest.raises(
        PinnxError, match=r"^train\.balance: expected two columns of the loss with a weight > 0, got 1$"
    ):
        method(numbers(1.0, 0.0))
