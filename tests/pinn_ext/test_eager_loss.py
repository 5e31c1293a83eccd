"""Calls of ``navier_stokes_loss`` whose signature is known: the same bits, and what the checks refuse stays refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pinn_ext
from pinn_ext import _core, _library
from pinn_ext import navier_stokes_loss as function
from pinn_ext._eager_loss import EagerLoss
from pinn_ext._known_calls import KnownCalls

SPEC = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))
N, WIDTH = 9, 8
READER = _core.TensorReader((Tensor, nn.Parameter))


class Call:
    """Arguments of one call; each one can be replaced."""

    def __init__(self, seed: int = 1, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return (torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5).to(dtype)

        self.x, self.B, self.nu = draw(N, 3), draw(3, WIDTH // 2).requires_grad_(), draw().abs().requires_grad_()
        self.weights = [draw(WIDTH, WIDTH).requires_grad_(), draw(3, WIDTH).requires_grad_()]
        self.biases = [draw(WIDTH).requires_grad_(), draw(3).requires_grad_()]
        self.options: dict[str, Any] = {"spec": SPEC, "activation": "tanh", "term_weights": draw(3).abs()}

    @property
    def leaves(self) -> list[Tensor]:
        return [*self.weights, *self.biases, self.B, self.nu]

    def __call__(self, **changes: Any) -> tuple[Tensor, ...]:
        own = {"x": self.x, "B": self.B, "weights": self.weights, "biases": self.biases, "nu": self.nu, **self.options}
        return function(**(own | changes))

    def results(self, **changes: Any) -> list[Tensor]:
        """Everything it returns, and all gradients."""
        total, *others = self(**changes)
        return [total.detach(), *others, *torch.autograd.grad(total, self.leaves)]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[Any, EagerLoss]:
    """The calls that are known, none at first."""
    calls = KnownCalls()
    monkeypatch.setitem(function.__globals__, "_known_calls", calls)
    return calls._calls


def same_bits(got: list[Tensor], wanted: list[Tensor]) -> bool:
    return len(got) == len(wanted) and all(map(torch.equal, got, wanted))


OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "residual": {"return_residual": True},
    "numbers": {"term_weights": (1.0, 2.0, 0.5), "forcing": (0.1, -0.2), "count": 20},
    "steady": {"steady": True},
    "invariant": {"thread_invariant": True},
    "point weights": {"point_weights": torch.linspace(0.0, 1.0, N, dtype=torch.float64)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_known_calls_give_the_bits_of_the_operator(
    known: dict[Any, EagerLoss], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Call()
    first = call.results(**options)
    assert len(known) == 1
    again = call.results(**options)
    assert len(known) == 1
    monkeypatch.setattr(_library, "_nobody_watches", lambda: False)
    by_operator = call.results(**options)
    assert same_bits(again, first)
    assert same_bits(by_operator, first)


def test_other_points_and_parameters_of_a_known_signature(known: dict[Any, EagerLoss]) -> None:
    wanted = Call(seed=2).results()
    known.clear()
    Call(seed=1).results()
    assert same_bits(Call(seed=2).results(), wanted)
    assert len(known) == 1


def test_a_viscosity_given_as_a_number(known: dict[Any, EagerLoss]) -> None:
    """Its value is no part of the signature."""
    call = Call()
    totals = [call(nu=nu)[0] for nu in (0.1, 0.2, 0.1)]
    assert len(known) == 1
    assert torch.equal(totals[0], totals[2])
    assert not torch.equal(totals[0], totals[1])


def test_each_property_of_a_tensor_is_in_the_signature(known: dict[Any, EagerLoss]) -> None:
    call = Call()
    call()
    call(x=call.x[:4])
    call(B=call.B.detach())
    with torch.no_grad():
        total, _ = call()
        assert not total.requires_grad
    call(weights=tuple(w.detach() for w in call.weights))
    Call(dtype=torch.float32)()
    call(count=3)
    call(steady=True)
    assert len(known) == 8


REFUSED: dict[str, tuple[Callable[[Call], dict[str, Any]], str]] = {
    "a number for steady": (lambda call: {"steady": 1}, "steady: expected True, False or None, got int 1"),
    "term weights with a gradient": (
        lambda call: {"term_weights": torch.ones(3, dtype=torch.float64, requires_grad=True)},
        "term_weights: expected a tensor without requires_grad",
    ),
    "points with a gradient": (lambda call: {"x": call.x.clone().requires_grad_()}, "x: expected points without"),
    "a bias more": (lambda call: {"biases": [*call.biases, call.biases[-1]]}, "weights, biases: expected 1 to 32"),
    "exchanged lists": (lambda call: {"weights": call.biases, "biases": call.weights}, r"weights\[0\]: expected"),
    "mixed dtypes": (lambda call: {"B": call.B.detach().float()}, "B: expected float64 on cpu like x"),
    "a spec that is none": (lambda call: {"spec": [0, 1, 2]}, "spec: expected a JetSpec"),
    "an unknown activation": (lambda call: {"activation": "relu"}, "activation: expected one of"),
    "no points": (lambda call: {"x": call.x[:0]}, "x: expected at least one point"),
    "a count of nothing": (lambda call: {"count": 0}, "count: expected a number of points > 0"),
    "a sparse weight": (lambda call: {"weights": [call.weights[0].to_sparse(), call.weights[1]]}, "expected a dense"),
    "a list for a tensor": (lambda call: {"B": [[1.0]]}, "B: expected a tensor"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_checks_refuse_is_refused_after_a_good_call(
    known: dict[Any, EagerLoss], change: Callable[[Call], dict[str, Any]], message: str
) -> None:
    call = Call()
    call(steady=True)
    call()
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match=message):
            call(**change(call))
    assert len(known) == 2


def test_only_so_many_calls_are_kept() -> None:
    calls = KnownCalls(most=3)
    kept: Any = object()
    for number in range(5):
        calls.add(number, kept)
    assert [calls.get(number) for number in range(5)] == [None, None, kept, kept, kept]
    assert calls.get([1, 2]) is None


def test_parameters_changed_before_the_backward_pass_are_reported() -> None:
    call = Call()
    total, _ = call()
    with torch.no_grad():
        call.weights[0].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_graph_is_used_once_unless_it_is_kept() -> None:
    call = Call()
    total, _ = call()
    first = torch.autograd.grad(total, call.leaves, retain_graph=True)
    second = torch.autograd.grad(3.0 * total, call.leaves)
    for a, b in zip(first, second, strict=True):
        assert torch.allclose(3.0 * a, b, rtol=1e-15, atol=0.0)
    with pytest.raises(RuntimeError, match="a second time"):
        total.backward()


def test_gradients_accumulate() -> None:
    call = Call()
    wanted = call.results()[2:]
    for _ in range(2):
        call()[0].backward()
    assert same_bits([leaf.grad for leaf in call.leaves if leaf.grad is not None], [2.0 * g for g in wanted])


def test_a_second_derivative_is_refused_by_name() -> None:
    """Where the gradient's own gradient is asked for of some parameters only, too: it must not come out as nothing."""
    call = Call()
    gradients = torch.autograd.grad(call()[0], call.leaves, create_graph=True)
    penalty = sum((g.square().sum() for g in gradients), torch.zeros(()))
    with pytest.raises(RuntimeError, match="navier_stokes_loss_backward: expected to be differentiated no further"):
        torch.autograd.grad(penalty + call.weights[0].sum(), call.weights[0])


def test_the_default_device_is_not_taken_for_that_of_the_points() -> None:
    call = Call()
    wanted = call.results(return_residual=True)
    with torch.device("meta"):
        assert same_bits(call.results(return_residual=True), wanted)


# --- the reader ---------------------------------------------------------------------------------------------------


def test_the_reader_gives_addresses_in_order() -> None:
    a, b = torch.ones(2, 3), nn.Parameter(torch.ones(4, dtype=torch.float64))
    read = READER.read(a, None, [b, a], (a[1],))
    assert read is not None
    assert read[1] == [a.data_ptr(), 0, b.data_ptr(), a.data_ptr(), a[1].data_ptr()]


def test_the_signature_tells_calls_apart() -> None:
    a = torch.ones(2, 3)
    calls: list[tuple[Any, ...]] = [
        (a,),
        (a, None),
        (None, a),
        ([a],),
        ([a], []),
        ([], [a]),
        (a.T.contiguous(),),
        (a.reshape(6),),
        (a.double(),),
        (a.clone().requires_grad_(),),
        (a.half(),),
    ]
    read = [READER.read(*call) for call in calls]
    assert None not in read
    assert len({signature for signature, _ in filter(None, read)}) == len(calls)
    assert READER.read(torch.zeros(2, 3)) != READER.read(torch.zeros(3, 2))


NOT_PLAIN: dict[str, Callable[[], Any]] = {
    "a number": lambda: 1.0,
    "a number in a list": lambda: [1.0],
    "a generator": lambda: (t for t in [torch.ones(1)]),
    "a transposed one": lambda: torch.ones(2, 3).T,
    "a strided one": lambda: torch.ones(6)[::2],
    "integers": lambda: torch.ones(2, dtype=torch.int64),
    "complex numbers": lambda: torch.ones(2, dtype=torch.complex64),
    "a lazy negative": lambda: torch.ones(1, dtype=torch.complex64).conj().imag,
    "a sparse one": lambda: torch.eye(2).to_sparse(),
    "one without memory": lambda: torch.ones(2, device="meta"),
    "a subclass": lambda: torch.ones(2).as_subclass(type("Own", (Tensor,), {})),
}


@pytest.mark.parametrize("make", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_the_reader_leaves_alone_what_is_not_plain(make: Callable[[], Any]) -> None:
    assert READER.read(make()) is None
    assert READER.read(torch.ones(1), make()) is None


def test_without_exchange_functions_nothing_is_read(
    known: dict[Any, EagerLoss], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch older than DLPack's exchange functions takes the way through the operator's checks."""
    call = Call()
    wanted = call.results()
    known.clear()
    monkeypatch.setattr(_library, "_reader", _core.TensorReader((int,)))
    assert same_bits(call.results(), wanted)
    assert not known
