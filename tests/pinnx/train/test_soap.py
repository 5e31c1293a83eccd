"""SOAP in stacks: the numbers of the published code, one parameter at a time; a state that resumes to the bit.

Every step is compared from one state, as two trajectories need not stay together: both codes do their QR in float32,
where the last bit of a float64 product decides how a number is rounded, so the linear algebra library decides it.
"""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from pytorch_optimizer import SOAP
from tolerances import EPS32, SOAP_FLOAT32, SOAP_FLOAT64
from torch import Tensor, nn

from pinnx.errors import PinnxError
from pinnx.train.soap import Soap
from pinnx.train.soap_stack import _Sides

OPTIONS = {"lr": 3e-3, "betas": (0.9, 0.95), "eps": 1e-7, "precondition_frequency": 5}
# Matrices of one shape, of another with the same side, and of none; vectors; a number.
SHAPES = ((8, 8), (8, 8), (3, 8), (8,), (8, 5), (8,), (3,), ())


class Model(nn.Module):
    """A network and a number, so that gradients depend on the parameters."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        layers = [nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)]
        self.network = nn.Sequential(*layers)
        self.stretch = nn.Parameter(torch.tensor(1.0))
        self.to(torch.float64)

    def differentiate(self, step: int) -> None:
        """Leaves the gradients of a loss at 64 fresh points."""
        x = torch.randn(64, 5, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        wanted = torch.sin(3.0 * x[:, :3]) * x[:, 1:4]
        self.zero_grad()
        (self.network(x) * self.stretch - wanted).square().mean().backward()

    def values(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.parameters()]


def published(params: Any, **changes: Any) -> SOAP:
    return SOAP(params, weight_decay=0.0, **(OPTIONS | changes))


def difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The largest one, over the largest number of each tensor; of zeros, zero."""
    pairs = [(a.detach(), b.detach()) for a, b in zip(first, second, strict=True)]
    return max(float((a - b).abs().max() / b.abs().max()) if bool((a != b).any()) else 0.0 for a, b in pairs)


def rotated(matrix: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """In the basis whose vectors are the rows of ``rows`` and ``columns``."""
    return rows @ matrix @ columns.mT


def adopt(optimizer: Soap, params: Sequence[Tensor], other: SOAP, theirs: Sequence[Tensor]) -> None:
    """Sets ours to the parameters and the state of the published code."""
    for p, q in zip(params, theirs, strict=True):
        p.detach().copy_(q.detach())
        if q not in other.state:
            continue
        state, published_state = optimizer.state[p], other.state[q]
        for name in ("exp_avg", "exp_avg_sq"):
            state[name].copy_(published_state[name])
        state["exp_avg_rotated"].copy_(published_state["exp_avg"])
        if p.dim() == 2:
            for number, side in enumerate(("row", "column")):
                state[f"{side}_statistics"].copy_(published_state["GG"][number])
                state[f"{side}_basis"].copy_(published_state["Q"][number].mT)
            state["exp_avg_rotated"].copy_(rotated(state["exp_avg"], state["row_basis"], state["column_basis"]))


def step_from_one_state(
    optimizer: Soap, params: Sequence[Tensor], other: SOAP, theirs: Sequence[Tensor], limit: float
) -> None:
    """One step of both, which must lead to the same parameters, moments and statistics; then ours adopts theirs."""
    optimizer.step()
    other.step()
    assert difference(params, theirs) < limit
    for p, q in zip(params, theirs, strict=True):
        if p.grad is None:
            continue
        state, published_state = optimizer.state[p], other.state[q]
        assert difference([state["exp_avg"]], [published_state["exp_avg"]]) < limit
        if p.dim() == 2:
            statistics = [state["row_statistics"], state["column_statistics"]]
            assert difference(statistics, published_state["GG"]) < limit
            # Also where the bases have just turned.
            followed = rotated(state["exp_avg"], state["row_basis"], state["column_basis"])
            assert difference([state["exp_avg_rotated"]], [followed]) < limit
    adopt(optimizer, params, other, theirs)


def drawn(dtype: torch.dtype, shapes: Sequence[tuple[int, ...]] = SHAPES) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)) for shape in shapes]


def give_gradients(params: Sequence[nn.Parameter], step: int, without: Sequence[int] = ()) -> None:
    """Gradients that depend on the step and on the parameter's number alone, of uneven size."""
    for number, p in enumerate(params):
        generator = torch.Generator().manual_seed(1000 * step + number)
        uneven = 1.0 + torch.arange(p.numel()).view(p.shape) % 7
        g = uneven * torch.randn(p.shape, generator=generator, dtype=torch.float64)
        # Of a wide matrix, one gradient leaves eigenvectors open, which rounding chooses: eighths are exact.
        p.grad = None if number in without else ((8 * g).round() / 8).to(p.dtype)


@pytest.mark.parametrize("frequency", [1, 5])
@pytest.mark.parametrize("betas", [(0.95, 0.95), (0.9, 0.99)])
def test_a_network_trains_as_with_the_published_code(frequency: int, betas: tuple[float, float]) -> None:
    changes = {"precondition_frequency": frequency, "betas": betas}
    ours, theirs = Model(), Model()
    one, other = Soap(ours.parameters(), **(OPTIONS | changes)), published(theirs.parameters(), **changes)
    for step in range(60):
        for model in (ours, theirs):
            model.differentiate(step)
        step_from_one_state(one, list(ours.parameters()), other, list(theirs.parameters()), SOAP_FLOAT64)
    assert difference(ours.values(), Model().values()) > 0.1, "something was trained"


def test_another_frequency_is_another_trajectory() -> None:
    ours, theirs = Model(), Model()
    one, other = Soap(ours.parameters(), **OPTIONS), published(theirs.parameters(), precondition_frequency=6)
    for step in range(8):
        for model, optimizer in ((ours, one), (theirs, other)):
            model.differentiate(step)
            optimizer.step()
    assert difference(ours.values(), theirs.values()) > 1e-3


@pytest.mark.parametrize(
    ("dtype", "shapes", "limit"),
    [
        (torch.float64, SHAPES, SOAP_FLOAT64),
        (torch.float64, ((1, 4), (1, 1), (1,)), SOAP_FLOAT64),
        (torch.float64, ((3,),), SOAP_FLOAT64),
        (torch.float32, ((8, 8), (8, 8), (6, 6), (8,), ()), SOAP_FLOAT32),
    ],
)
def test_given_gradients_make_the_same_steps(
    dtype: torch.dtype, shapes: Sequence[tuple[int, ...]], limit: float
) -> None:
    ours, theirs = drawn(dtype, shapes), drawn(dtype, shapes)
    one, other = Soap(ours, **OPTIONS), published(theirs)
    for step in range(40):
        for params in (ours, theirs):
            give_gradients(params, step)
        step_from_one_state(one, ours, other, theirs, limit)
    assert all(p.dtype == value.dtype for p in ours for value in one.state[p].values())


def test_parameters_without_a_gradient_are_left_out_and_may_come_and_go() -> None:
    ours, theirs = drawn(torch.float64), drawn(torch.float64)
    one, other = Soap(ours, **OPTIONS), published(theirs)
    start = [p.detach().clone() for p in ours]
    for step in range(60):
        # One of two alike comes in step 7, a vector and a number go for a while, the last one never has any.
        without = [6] + [1] * (step < 7) + [3, 7] * (20 <= step < 33)
        for params in (ours, theirs):
            give_gradients(params, step, without)
            if step == 7:
                # Eigenvectors of its own gradient make it a diagonal matrix; off it the published code has rounding.
                params[1].grad = torch.arange(8.0, 0.0, -1.0, dtype=torch.float64).diag()
        before = [p.detach().clone() for p in ours]
        step_from_one_state(one, ours, other, theirs, SOAP_FLOAT64)
        assert all(torch.equal(ours[i], before[i]) for i in without)
    assert torch.equal(ours[6], start[6])
    assert ours[6] not in one.state


def test_groups_have_options_of_their_own_and_dtypes_may_differ() -> None:
    def groups() -> list[dict[str, Any]]:
        first = drawn(torch.float64)
        return [{"params": first[:3]}, {"params": first[3:], "lr": 1e-2, "betas": (0.8, 0.9)}]

    ours, theirs = groups(), groups()
    one, other = Soap(ours, **OPTIONS), published(theirs)
    single = nn.Parameter(torch.ones(4, 4))
    one.add_param_group({"params": [single, nn.Parameter(torch.ones(2, dtype=torch.float64))]})
    for step in range(30):
        members = [[p for group in made for p in group["params"]] for made in (ours, theirs)]
        for params in members:
            give_gradients(params, step)
        step_from_one_state(one, members[0], other, members[1], SOAP_FLOAT64)
        single.grad = single.detach().clone()
    assert bool((single < 1.0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [1, 5, 8])
def test_turned_bases_are_those_of_one_power_iteration_and_qr(rank: int, dtype: torch.dtype) -> None:
    """By what defines them, as signs and the vectors of equal eigenvalues are the library's choice.

    Q is orthonormal, and Q^T applied to the iterated vectors, the largest Rayleigh quotient first, is triangular.
    """
    m, num = 8, 4
    generator = torch.Generator().manual_seed(rank)
    half = torch.randn(num, m, rank, generator=generator, dtype=torch.float64)
    statistics = (half @ half.mT).to(dtype)
    before = torch.linalg.qr(torch.randn(num, m, m, generator=generator, dtype=torch.float64)).Q.mT.contiguous()
    sides = _Sides(statistics, before.to(dtype))
    before = sides.basis.double().clone()
    sides.turn()
    after, exact = sides.basis.double(), statistics.double()
    rounding = m * EPS32  # of Householder's QR in float32
    assert float((after @ after.mT - torch.eye(m, dtype=torch.float64)).abs().max()) < rounding
    for k in range(num):
        iterated = before[k] @ exact[k]
        order = (before[k] * iterated).sum(1).argsort(descending=True)
        triangle = after[k][order] @ iterated[order].mT
        assert float(triangle.tril(-1).abs().max() / iterated.abs().max()) < rounding
    assert not torch.allclose(after, before, atol=0.1), "the bases turned"


def first_basis(gradient: Tensor, side: str) -> Tensor:
    p = nn.Parameter(torch.zeros_like(gradient))
    p.grad = gradient
    optimizer = Soap([p])
    optimizer.step()
    return optimizer.state[p][f"{side}_basis"]


@pytest.mark.parametrize("rank", [0, 1, 3, 8])
def test_the_first_bases_are_eigenvectors_that_rounding_does_not_choose(rank: int) -> None:
    """Also those of eigenvalue zero, which are most; an eigensolver leaves these to the last bit of the gradient."""
    generator = torch.Generator().manual_seed(rank)
    left, right = (torch.randn(m, rank, generator=generator, dtype=torch.float64) for m in (8, 12))
    gradient = left @ right.mT
    noisy = gradient * (1.0 + 1e-15 * torch.randn(8, 12, generator=generator, dtype=torch.float64))
    for side, statistics, other in (
        ("row", gradient @ gradient.mT, noisy @ noisy.mT),
        ("column", gradient.mT @ gradient, noisy.mT @ noisy),
    ):
        basis, close = first_basis(gradient, side), first_basis(noisy, side)
        one, scale = torch.eye(len(basis), dtype=torch.float64), max(float(statistics.abs().max()), 1.0)
        torch.testing.assert_close(basis @ basis.mT, one, rtol=0, atol=1e-14)
        turned = basis @ statistics @ basis.mT
        assert float((turned * (1.0 - one)).abs().max()) < 1e-13 * scale
        assert bool((turned.diagonal().diff() <= 1e-13 * scale).all()), "the largest comes first"
        torch.testing.assert_close((basis * close).sum(1).abs(), one.sum(1), rtol=0, atol=1e-12)
        if 0 < rank < 8:
            solved = [torch.linalg.eigh(matrix).eigenvectors[:, 0] for matrix in (statistics, other)]
            assert float(solved[0] @ solved[1]) ** 2 < 0.999


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stop", [0, 1, 2, 5, 8])
def test_resume_is_bitwise(stop: int, dtype: torch.dtype) -> None:
    whole, part, resumed = drawn(dtype), drawn(dtype), drawn(dtype)
    first, second, third = (Soap(params, **OPTIONS) for params in (whole, part, resumed))
    for step in range(12):
        give_gradients(whole, step)
        first.step()
    for step in range(stop):
        give_gradients(part, step)
        second.step()
    file = io.BytesIO()
    torch.save(second.state_dict(), file)
    file.seek(0)
    third.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for p, there in zip(resumed, part, strict=True):
            p.copy_(there)
    for step in range(stop, 12):
        give_gradients(resumed, step)
        third.step()
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    for a, b in zip(whole, resumed, strict=True):
        assert first.state[a].keys() == third.state[b].keys()
        assert all(torch.equal(value, third.state[b][name]) for name, value in first.state[a].items())


def test_a_loaded_state_and_a_copy_are_their_own() -> None:
    one, other = drawn(torch.float64), drawn(torch.float64)
    optimizer, loaded = Soap(one, **OPTIONS), Soap(other, **OPTIONS)
    for step in range(4):
        give_gradients(one, step)
        optimizer.step()
    loaded.load_state_dict(optimizer.state_dict())
    copied = copy.deepcopy(optimizer)
    before = copy.deepcopy(optimizer.state_dict()["state"])
    for its in (other, [p for group in copied.param_groups for p in group["params"]]):
        give_gradients(its, 4)
    loaded.step()
    copied.step()
    after = optimizer.state_dict()["state"]
    assert all(torch.equal(after[i][name], value) for i in before for name, value in before[i].items())


def test_the_closure_is_called_with_gradients() -> None:
    p = nn.Parameter(torch.tensor([2.0]))
    optimizer = Soap([p], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss.detach()

    assert [float(optimizer.step(closure)) for _ in range(2)] == [4.0, 4.0], "the first step moves nothing"
    assert p.item() < 2.0


def test_the_compiler_of_torch_stays_unloaded() -> None:
    """Its import is a second of each start."""
    code = (
        "import sys, torch\n"
        "from pinnx.train.soap import Soap\n"
        "optimizer = Soap([torch.nn.Parameter(torch.zeros(2, 2))])\n"
        "optimizer.load_state_dict(optimizer.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("other", ["adam", "published", "transposed"])
def test_a_state_of_something_else_is_refused(other: str) -> None:
    theirs = drawn(torch.float64, ((3, 5) if other == "transposed" else (5, 3),))
    optimizer = {"adam": torch.optim.Adam, "published": published, "transposed": Soap}[other](theirs)
    give_gradients(theirs, 0)
    optimizer.step()
    with pytest.raises(ValueError, match=r"soap: expected the state .* of a parameter \[5, 3\], got "):
        Soap(drawn(torch.float64, ((5, 3),))).load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": -1.0}, "soap: expected lr >= 0, got -1.0"),
        ({"lr": float("nan")}, "soap: expected lr >= 0, got nan"),
        ({"betas": (0.9, 1.0)}, "soap: expected two betas in [0, 1), got (0.9, 1.0)"),
        ({"betas": (0.9,)}, "soap: expected two betas in [0, 1), got (0.9,)"),
        ({"eps": -1e-8}, "soap: expected eps >= 0, got -1e-08"),
        ({"precondition_frequency": 0}, "soap: expected precondition_frequency >= 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        Soap(drawn(torch.float64), **(OPTIONS | changes))
    assert str(caught.value) == message


@pytest.mark.parametrize(("shape", "dtype"), [((2, 3, 4), torch.float64), ((2, 3), torch.float16)])
def test_parameters_that_it_cannot_take_are_refused(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with pytest.raises(PinnxError, match="soap: expected matrices, vectors and numbers, float32 or float64, got"):
        Soap([nn.Parameter(torch.zeros(shape, dtype=dtype))])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device (torch.cuda.is_available() is False)")
def test_a_gpu_goes_the_same_way_and_nothing_is_read_back() -> None:
    # Square ones alone: of others, the first gradient leaves eigenvectors to the solver.
    here = drawn(torch.float64, ((8, 8), (6, 6), (8, 8), (8,), ()))
    there = [nn.Parameter(p.detach().cuda()) for p in here]
    one, other = Soap(here, **OPTIONS), Soap(there, **OPTIONS)
    for step in range(40):
        give_gradients(here, step)
        for p, q in zip(here, there, strict=True):
            q.grad = p.grad.cuda()
        one.step()
        torch.cuda.set_sync_debug_mode("error" if step else "default")  # the first eigenvectors are checked
        try:
            other.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert difference([p.cpu() for p in there], here) < SOAP_FLOAT32
