"""The optimisers and the cosine: by their formulas, on problems whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from tolerances import EPS64
from torch import nn

from pinnx.errors import PinnxError
from pinnx.train import cosine_schedule, make_optimizer


def bowl(name: str, steps: int, *, lr: float = 0.05) -> float:
    """How far from the bottom of an ill-conditioned bowl an optimiser ends."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
    bias = nn.Parameter(torch.randn(3, dtype=torch.float64))
    scalar = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    stretch = torch.logspace(0, 2, 4, dtype=torch.float64)[:, None]
    optimizer = make_optimizer(name, [weight, bias, scalar], lr=lr, betas=(0.95, 0.95), precondition_frequency=5)
    schedule = cosine_schedule(optimizer, steps, 1e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        (stretch * (weight - 1.0).square()).sum().add(bias.square().sum()).add(scalar.square()).backward()
        optimizer.step()
        schedule.step()
    return float((weight - 1.0).detach().abs().max() + bias.detach().abs().max() + scalar.detach().abs())


@pytest.mark.parametrize("name", ["soap", "adam"])
def test_both_find_the_bottom(name: str) -> None:
    assert bowl(name, 400) < 1e-2 < bowl(name, 5)


def test_adam_is_its_formula() -> None:
    p = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = make_optimizer("adam", [p], lr=0.1, betas=(0.9, 0.8), precondition_frequency=1)
    value, m, v = 1.0, 0.0, 0.0
    for step in range(1, 6):
        gradient = 3.0 * value**2
        m, v = 0.9 * m + 0.1 * gradient, 0.8 * v + 0.2 * gradient**2
        value -= 0.1 * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.8**step)) + 1e-8)
        optimizer.zero_grad()
        (p**3).sum().backward()
        optimizer.step()
        assert p.item() == pytest.approx(value, rel=100 * EPS64)


@pytest.mark.parametrize("name", ["soap", "adam"])
def test_nothing_decays(name: str) -> None:
    """With a gradient of zero a weight stays where it is."""
    p = nn.Parameter(torch.full((3, 3), 5.0))
    optimizer = make_optimizer(name, [p], lr=0.1, betas=(0.95, 0.95), precondition_frequency=2)
    for _ in range(4):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert torch.equal(p.detach(), torch.full((3, 3), 5.0))


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_cosine_is_its_formula(steps: int) -> None:
    p = nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer("adam", [p], lr=1e-2, betas=(0.9, 0.99), precondition_frequency=1)
    schedule = cosine_schedule(optimizer, steps, 1e-4)
    for step in range(steps + 1):
        wanted = 1e-4 + (1e-2 - 1e-4) * (1 + math.cos(math.pi * step / steps)) / 2
        assert schedule.get_last_lr()[0] == pytest.approx(wanted, rel=1e3 * EPS64)
        p.grad = torch.ones(1)
        optimizer.step()
        schedule.step()


def test_another_name_is_refused() -> None:
    with pytest.raises(PinnxError) as caught:
        make_optimizer("sgd", [], lr=0.1, betas=(0.9, 0.9), precondition_frequency=1)
    assert str(caught.value) == "train.optimizer: expected soap or adam, got 'sgd'"
