"""The estimate of a number is the step of damped least squares in all unknowns, with White's standard error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.train import Problem, residual_rows
from pinnx.train import number_estimates as module
from pinnx.train.number_estimates import number_estimates
from pinnx.train.residual_rows import ResidualRows

Build = Callable[..., Problem]


@pytest.mark.parametrize("most", [512, 7])
def test_it_is_the_step_of_damped_least_squares(
    make_problem: Build, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(module, "POINTS", most)
    monkeypatch.setattr(module, "DAMPING", 1e-3)
    problem = make_problem(learn_nu=True, dtype=torch.float64, parts_measured=True)
    weights = torch.linspace(0.5, 2.0, len(problem.names), dtype=torch.float64)
    (estimate,) = number_estimates(problem, weights, 5, widest=1e9).values()

    residual, blocks = ResidualRows(problem).at(problem.batch(5), weights, most=most)
    J, C = torch.cat(blocks).split([sum(p.numel() for p in problem.model.parameters()), 1], dim=1)
    root = (1e-3 * J.square().sum() / J.shape[1]).sqrt()
    below = torch.cat([root * torch.eye(J.shape[1], dtype=torch.float64), torch.zeros(J.shape[1], 1)], dim=1)
    whole = torch.cat([torch.cat([J, C], dim=1), below])
    rows = torch.linalg.pinv(whole)[-1, : len(residual)]
    number = float(problem.terms[0].equations.log_nu.detach())
    step, error = -float(rows @ residual), float((rows * residual).norm())
    assert estimate is not None
    assert estimate.value == pytest.approx(number + step, rel=1e-6)
    assert estimate.high - estimate.value == pytest.approx(abs(step) + 2 * error, rel=1e-6)
    assert estimate.value - estimate.low == pytest.approx(abs(step) + 2 * error, rel=1e-6)


def test_the_problem_is_left_as_it_was_and_a_wide_interval_is_none(make_problem: Build) -> None:
    problem = make_problem(learn_nu=True)
    before = [p.detach().clone() for p in problem.parameters()]
    weights = torch.ones(len(problem.names))
    assert number_estimates(problem, weights, 3) == {"log_nu": None}, "a network that has learned nothing"
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(before, problem.parameters(), strict=True))


def test_rows_beyond_the_memory_of_an_estimate_are_refused(
    make_problem: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All points at once are what the method asks for; a part of them is a matter of choice."""
    problem = make_problem(learn_nu=True)
    rows, batch, weights = ResidualRows(problem), problem.batch(3), torch.ones(len(problem.names))
    _, blocks = rows.at(batch, weights, most=512)
    limit = sum(block.numel() * block.element_size() for block in blocks)
    monkeypatch.setattr(residual_rows, "MOST_BYTES", limit // 2)
    with pytest.raises(PinnxError, match=r"rows of at most 0 GiB, got .* GiB, of [\d,]+ weights at [\d,]+ points"):
        rows.at(batch, weights, most=512)
    rows.at(batch, weights)
    monkeypatch.setattr(residual_rows, "MOST_BYTES", 2 * limit)
    rows.at(batch, weights, most=512)
