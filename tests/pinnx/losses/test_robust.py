"""Robust losses: what a wrong reading pulls, that units change nothing, what the mean makes of a wide field."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.losses import adaptive_epsilon, adaptive_huber, adaptive_weights, clipped, huber, log_space

# A field over twelve orders of magnitude, as a number density has, with misfits of a hundredth of it.
FIELD = torch.logspace(-6, 6, 1001, dtype=torch.float64)
RESIDUAL = 0.01 * FIELD


def test_the_weights_are_the_published_formula() -> None:
    """In units of the median of f^2, where 1 / (f^2 + 0.01) is what was published."""
    field = torch.tensor([0.0, 0.1, 1.0, 3.0, 10.0], dtype=torch.float64)
    wanted = [100.0, 1 / 0.02, 1 / 1.01, 1 / 9.01, 1 / 100.01]
    assert adaptive_weights(field, 1000.0).tolist() == pytest.approx(wanted)
    assert adaptive_weights(field, 30.0).tolist() == pytest.approx([30.0, 30.0, *wanted[2:]])
    mean = float(field.square().mean())
    wanted = (mean / (field.square() + 0.01 * mean)).clamp_max(100.0)
    assert adaptive_weights(field, 100.0, statistic="mean").tolist() == pytest.approx(wanted.tolist())


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_the_unit_of_the_field_changes_no_weight(unit: float, statistic: str) -> None:
    found = adaptive_weights(unit * FIELD, 100.0, statistic=statistic)
    torch.testing.assert_close(found, adaptive_weights(FIELD, 100.0, statistic=statistic), rtol=1e-12, atol=0.0)


def test_the_median_and_the_mean_part_over_many_orders() -> None:
    """What the mean does to the weight of a typical point: it is held against the largest one."""
    median, mean = (adaptive_weights(FIELD, 1e9, statistic=s) * FIELD.square() for s in ("median", "mean"))
    assert FIELD.square().mean() > 1e9 * FIELD.square().median()
    assert median[-1] == pytest.approx(1.0, rel=1e-3), "w f^2 of the largest point, in units of the scale 1"
    assert mean[-1] > 1e9 * median[-1]


def test_small_fields_count_until_the_cap() -> None:
    """Plain squares see the largest point alone; with weights, relative misfits of all above the scale count alike."""
    squares, weighed = RESIDUAL.square(), adaptive_epsilon(RESIDUAL, FIELD)
    assert squares[-50:].sum() > 0.5 * squares.sum()
    above = FIELD > 3.0
    assert weighed[above].max() < 1.2 * weighed[above].min()
    assert adaptive_weights(FIELD, 100.0).max() <= 100.0


def test_huber_is_the_square_inside_and_its_tangent_outside() -> None:
    residual = torch.tensor([0.05, 0.1, 0.3, -2.0], dtype=torch.float64, requires_grad=True)
    found = huber(residual, 0.1)
    assert found.tolist() == pytest.approx([0.0025, 0.01, 0.05, 0.39])
    found.sum().backward()
    assert residual.grad.tolist() == pytest.approx([0.1, 0.2, 0.2, -0.2])


def test_a_wrong_reading_pulls_less() -> None:
    """The best constant for nine readings of 1 and one of 11: their mean, or by Huber's loss 1 + delta / 9."""
    readings = torch.tensor([1.0] * 9 + [11.0], dtype=torch.float64)
    found = {}
    for name, rho in (("squares", torch.square), ("huber", lambda r: huber(r, 0.1))):
        constant = torch.zeros((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([constant], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

        def loss(rho: object = rho, constant: torch.Tensor = constant) -> torch.Tensor:
            constant.grad = None
            total = rho(constant - readings).sum()
            total.backward()
            return total

        optimizer.step(loss)
        found[name] = constant.item()
    assert found["squares"] == pytest.approx(2.0)
    assert found["huber"] == pytest.approx(1.0 + 0.1 / 9, abs=1e-6)


def test_adaptive_huber_has_both() -> None:
    found = adaptive_huber(RESIDUAL, FIELD, scale=2.0, delta=0.2)
    wanted = adaptive_weights(FIELD, 50.0) * huber(RESIDUAL / 2.0, 0.2)
    assert torch.equal(found, wanted)
    assert not torch.equal(found, adaptive_huber(RESIDUAL, FIELD, scale=2.0))
    assert not torch.equal(found, adaptive_huber(RESIDUAL, FIELD, delta=0.2))


def test_weights_have_no_graph() -> None:
    """Else the training makes the residual small by making the field large."""
    field, residual = torch.tensor([0.5, 2.0], requires_grad=True), torch.ones(2, requires_grad=True)
    adaptive_epsilon(residual, field).sum().backward()
    assert field.grad is None
    assert (residual.grad > 0).all()


def test_a_field_of_zeros_has_finite_weights() -> None:
    assert torch.isfinite(adaptive_weights(torch.zeros(5), 100.0)).all()
    mostly = torch.tensor([0.0] * 6 + [1.0])  # the median is 0
    weights = adaptive_weights(mostly, 100.0)
    assert torch.isfinite(weights).all()
    assert weights[-1] > 0.0


@pytest.mark.parametrize("loss", [adaptive_epsilon, adaptive_huber, partial(log_space, scale=1.0)])
def test_a_field_of_another_shape_is_refused(loss: Callable[..., torch.Tensor]) -> None:
    """[n, 1] with [n] makes [n, n]: the mean of it is a number, and a wrong one."""
    column = RESIDUAL[:, None]
    assert loss(column, FIELD[:, None]).shape == column.shape
    with pytest.raises(PinnxError, match=r": expected one value for each residual, \[1001, 1\], got \[1001\]$"):
        loss(column, FIELD)


def test_another_statistic_is_refused() -> None:
    with pytest.raises(PinnxError, match=r"^statistic: expected median or mean, got 'mode'$"):
        adaptive_weights(FIELD, 100.0, statistic="mode")


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_misfits_in_log_space_are_factors_in_any_unit(unit: float) -> None:
    measured = unit * torch.tensor([1e-4, 1.0, 1e3], dtype=torch.float64)
    found = log_space((2.0 * measured).log(), measured, scale=1e3 * unit)
    assert found.tolist() == pytest.approx([math.log(2.0) ** 2] * 3, rel=1e-2)


def test_log_space_is_finite_where_nothing_was_measured() -> None:
    predicted = torch.tensor([-1e4, 1e4], dtype=torch.float64, requires_grad=True)
    found = log_space(predicted, torch.tensor([0.0, -1.0], dtype=torch.float64), scale=1.0)
    assert torch.isfinite(found).all()
    assert found.max() <= 40.0**2
    found.sum().backward()
    assert predicted.grad.tolist() == [0.0, 0.0], "clipped"


def test_clipped_residuals_stay_within_their_scale() -> None:
    residual = torch.tensor([-5.0, 0.5, 5.0], requires_grad=True)
    found = clipped(residual, 2.0, scale=0.5)
    assert found.tolist() == [-1.0, 0.5, 1.0]
    found.sum().backward()
    assert residual.grad.tolist() == [0.0, 1.0, 0.0]
