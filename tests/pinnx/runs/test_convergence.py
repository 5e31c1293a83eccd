"""The rate of convergence, against losses whose rate is known."""

from __future__ import annotations

import pytest

from pinnx.runs.convergence import Convergence


def rows(decades: float, count: int, factor: float = 1.0) -> list[dict[str, float]]:
    """Losses that fall by so many decades in 1,000 steps, logged every 10; one column is always zero."""
    falls = [(step, 10.0 ** (-decades * step / 1000)) for step in range(10, 10 * count + 1, 10)]
    return [
        {
            "step": step,
            "loss/total": 1.0,
            "loss/data": factor * fall,
            "loss/momentum_x": 5.0 * fall,
            "loss/boundary": 0.0,
        }
        for step, fall in falls
    ]


@pytest.mark.parametrize("window", [10, None])
@pytest.mark.parametrize("decades", [-1.0, 0.0, 2.0])
def test_the_rate_of_an_exponential(decades: float, window: int | None) -> None:
    """Whatever the columns are multiplied with."""
    for factor in (1.0, 1e-3):
        assert Convergence(rows(decades, 57, factor), window).rate == pytest.approx(decades, abs=1e-9)


def test_it_is_that_of_the_last_steps_or_of_all() -> None:
    fast = rows(4.0, 50)
    lower = {"step": 1.0, "loss/total": 1.0, "loss/edge": 1.0}
    slow = [{name: value * lower.get(name, 10**-1.5) for name, value in row.items()} for row in rows(1.0, 100)]
    assert Convergence([*fast, *slow[50:]]).rate == pytest.approx(1.0, abs=1e-9)
    assert Convergence([*fast, *slow[50:]], window=None).rate == pytest.approx(2.5, abs=0.05)


def test_few_steps_and_losses_that_are_no_number_have_none() -> None:
    assert Convergence(rows(1.0, 3)).rate is None
    assert Convergence(rows(1.0, 4)).rate is not None
    nothing = [{"step": float(step), "loss/data": float("nan"), "loss/total": 1.0} for step in range(9)]
    assert Convergence(nothing).rate is None
