"""Calls of ``mlp_jet`` whose signature is known: the same bits, and what the checks refuse stays refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from agreement import same_bits
from torch import Tensor

import pinn_ext
from pinn_ext import _library
from pinn_ext import mlp_jet as function
from pinn_ext._eager_jet import EagerJet
from pinn_ext._known_calls import KnownCalls

SPEC = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))


class Call:
    """Arguments of one call; each one can be replaced."""

    def __init__(self, seed: int = 1, n: int = 9, width: int = 8) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5

        self.x, self.B = draw(n, 3), draw(3, width // 2).requires_grad_()
        self.weights = [draw(width, width).requires_grad_(), draw(3, width).requires_grad_()]
        self.biases = [draw(width).requires_grad_(), draw(3).requires_grad_()]

    @property
    def leaves(self) -> list[Tensor]:
        return [*self.weights, *self.biases, self.B]

    def __call__(self, **changes: Any) -> Tensor:
        own = {"x": self.x, "B": self.B, "weights": self.weights, "biases": self.biases}
        jet = function(**(own | {"spec": SPEC, "activation": "tanh"} | changes))
        return jet.data

    def results(self, **changes: Any) -> list[Tensor]:
        """The jet and all gradients."""
        data = self(**changes)
        cotangent = torch.linspace(-1.0, 1.0, data.numel(), dtype=data.dtype).view_as(data)
        return [data.detach(), *torch.autograd.grad(data, self.leaves, cotangent)]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[Any, EagerJet]:
    """The calls that are known, none at first."""
    calls: KnownCalls[EagerJet] = KnownCalls()
    monkeypatch.setitem(function.__globals__, "_known_calls", calls)
    return calls._calls


@pytest.mark.parametrize("options", [{}, {"thread_invariant": True}, {"activation": "gelu"}], ids=str)
def test_known_calls_give_the_bits_of_the_operator(
    known: dict[Any, EagerJet], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Call()
    first = call.results(**options)
    assert len(known) == 1
    assert same_bits(call.results(**options), first)
    assert len(known) == 1
    monkeypatch.setattr(_library, "_nobody_watches", lambda: False)
    assert same_bits(call.results(**options), first)


def test_other_points_and_parameters_of_a_known_signature(known: dict[Any, EagerJet]) -> None:
    wanted = Call(seed=2).results()
    known.clear()
    Call(seed=1).results()
    assert same_bits(Call(seed=2).results(), wanted)
    assert len(known) == 1


def test_gradients_of_some_parameters_only(known: dict[Any, EagerJet]) -> None:
    """Frozen ones get none, whether the frequencies are among them or not."""
    call = Call()
    wanted = call.results()
    (got,) = torch.autograd.grad(
        call(B=call.B.detach(), weights=[w.detach() for w in call.weights]),
        [call.biases[0]],
        torch.linspace(-1.0, 1.0, wanted[0].numel(), dtype=torch.float64).view_as(wanted[0]),
    )
    assert torch.equal(got, wanted[3])


def test_without_a_gradient_there_is_no_graph(known: dict[Any, EagerJet]) -> None:
    call = Call()
    wanted = call()
    with torch.no_grad():
        assert same_bits([call()], [wanted.detach()])
        assert not call().requires_grad
    assert len(known) == 2


def test_no_points_make_an_empty_jet(known: dict[Any, EagerJet]) -> None:
    call = Call()
    for _ in range(2):
        empty, *gradients = call.results(x=call.x[:0])
        assert empty.shape == (5, 0, 3)
        assert all(not bool(g.any()) for g in gradients)
    assert len(known) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "activation: expected one of"),
        ({"spec": [0, 1]}, "spec: expected a JetSpec"),
        ({"spec": pinn_ext.JetSpec(first=(3,))}, "spec: expected coordinates below 3"),
        ({"x": torch.zeros(9, 3, dtype=torch.float64, requires_grad=True)}, "x: expected points without"),
        ({"x": torch.zeros(9, 3)}, "expected float32 on cpu like x"),
        ({"B": None}, "B: expected a tensor"),
        ({"biases": []}, "weights, biases: expected 1 to 32"),
    ],
    ids=str,
)
def test_what_the_checks_refuse_is_refused_after_a_good_call(
    known: dict[Any, EagerJet], change: dict[str, Any], message: str
) -> None:
    call = Call()
    call()
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match=message):
            call(**change)
    assert len(known) == 1


def test_parameters_changed_before_the_backward_pass_are_reported() -> None:
    call = Call()
    data = call()
    with torch.no_grad():
        call.weights[0].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        data.sum().backward()


def test_a_second_derivative_is_refused_by_name() -> None:
    """Where it is asked for of some parameters only, too: it must not come out as nothing."""
    call = Call()
    gradients = torch.autograd.grad(call().square().sum(), call.leaves, create_graph=True)
    penalty = sum((g.square().sum() for g in gradients), torch.zeros(()))
    with pytest.raises(RuntimeError, match="mlp_jet_backward: expected to be differentiated no further"):
        torch.autograd.grad(penalty + call.weights[0].sum(), call.weights[0])
