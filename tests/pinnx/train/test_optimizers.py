"""The optimisers and the cosine: by their formulas, on problems whose answer is known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tolerances import EPS64
from torch import nn

from pinnx.config.train_section import Train
from pinnx.errors import PinnxError
from pinnx.train import FirstOrder, cosine_schedule, make_optimizer
from pinnx.train.optimizers import FIRST_ORDER


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


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_each_finds_the_bottom(name: str) -> None:
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


@pytest.mark.parametrize("name", FIRST_ORDER)
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


@pytest.mark.parametrize("warm_up", [1, 3])
def test_a_warm_up_rises_to_the_cosine(warm_up: int) -> None:
    """lr / n, 2 lr / n, ... lr, for each group from a rate of its own; then the cosine over what is left."""
    p, q = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [p]}, {"params": [q], "lr": 1.0}]
    optimizer = make_optimizer("adam", groups, lr=1e-2, betas=(0.9, 0.99), precondition_frequency=1)
    schedule = cosine_schedule(optimizer, 8, 1e-4, warm_up=warm_up)
    for step in range(9):
        for lr, found in zip((1e-2, 1.0), schedule.get_last_lr(), strict=True):
            share = math.pi * max(step - warm_up, 0) / (8 - warm_up)
            wanted = lr * (step + 1) / warm_up if step < warm_up else 1e-4 + (lr - 1e-4) * (1 + math.cos(share)) / 2
            assert found == pytest.approx(wanted, rel=1e3 * EPS64)
        p.grad, q.grad = torch.ones(1), torch.ones(1)
        optimizer.step()
        schedule.step()


def test_a_warm_up_leaves_steps_to_the_cosine() -> None:
    optimizer = make_optimizer(
        "adam", [nn.Parameter(torch.zeros(1))], lr=1.0, betas=(0.9, 0.9), precondition_frequency=1
    )
    with pytest.raises(PinnxError, match=r"^train\.warm_up: expected less than the 4 steps, got 4$"):
        cosine_schedule(optimizer, 4, 1e-4, warm_up=4)


@pytest.mark.parametrize(("clip", "length"), [(None, 5.0), (10.0, 5.0), (0.5, 0.5)])
def test_a_gradient_longer_than_the_clip_is_scaled(clip: float | None, length: float) -> None:
    """The step of gradient descent with rate 1 is the gradient: (3, 4) over two parameters, or scaled to the clip."""
    p, q = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))

    class Line:
        parameters, replay = (p, q), None

        def gradients(self, batch: Any, products: str) -> torch.Tensor:
            p.grad, q.grad = torch.tensor([3.0], dtype=p.dtype), torch.tensor([4.0], dtype=p.dtype)
            return torch.zeros(2)

        products = "ieee"

    optimizer = torch.optim.SGD([p, q], lr=1.0)
    method = FirstOrder(Line(), optimizer, cosine_schedule(optimizer, 5, 0.1), clip=clip)
    method.evaluate(None)
    method.update(None)
    assert (-p.item() / 3, -q.item() / 4) == pytest.approx((length / 5, length / 5), rel=1e-5)


def test_a_state_from_cuda_is_continued_as_this_machine_computes() -> None:
    def made(replay: Any) -> FirstOrder:
        p = nn.Parameter(torch.ones(2))
        optimizer = make_optimizer("adam", [p], lr=1e-2, betas=(0.9, 0.9), precondition_frequency=1, replay=replay)
        objective = SimpleNamespace(parameters=[p], replay=replay)
        method = FirstOrder(objective, optimizer, cosine_schedule(optimizer, 9, 1e-4))
        for _ in range(3):
            p.grad = p.detach().clone()
            method.update(None)
        return method

    there, here = made(lambda change: change), made(None)
    assert there.optimizer.param_groups[0]["capturable"]
    here.load_state_dict(there.state_dict())
    assert not here.optimizer.param_groups[0]["capturable"]
    (p,), (q,) = (method.optimizer.param_groups[0]["params"] for method in (there, here))
    q.data.copy_(p.data)
    for parameter, method in ((p, there), (q, here)):
        parameter.grad = torch.ones(2)
        method.update(None)
    assert torch.allclose(p, q, rtol=10 * torch.finfo(p.dtype).eps)


def test_settings_that_are_left_out_are_those_of_a_run() -> None:
    """Adam has none of SOAP's."""
    train = Train()
    for name in FIRST_ORDER:
        optimizer = make_optimizer(name, [nn.Parameter(torch.zeros(1))], lr=0.1)
        assert optimizer.defaults["betas"] == train.betas
        frequency = train.precondition_frequency if name == "soap" else None
        assert optimizer.defaults.get("precondition_frequency") == frequency


def test_another_name_is_refused() -> None:
    with pytest.raises(PinnxError) as caught:
        make_optimizer("sgd", [], lr=0.1)
    assert str(caught.value) == f"train.optimizer: expected {' or '.join(FIRST_ORDER)}, got 'sgd'"
