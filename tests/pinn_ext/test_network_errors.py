"""What a user of ``mlp_jet`` and ``navier_stokes_loss`` reads when something is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import SPECS
from torch import Tensor
from torch.autograd import forward_ad

import pinn_ext
from pinn_ext import Jet, JetSpec

SPEC = SPECS["unsteady2d"]
single = {"dtype": torch.float32}


def zeros(*shape: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensor:
    return torch.zeros(shape, dtype=dtype, device=device)


def network_of(*widths: int, **changes: Any) -> dict[str, Any]:
    """Four points of (t, x, y) and a network of zeros behind five frequencies, with changes."""
    sizes = list(itertools.pairwise((10, *widths)))
    arguments = {
        "x": zeros(4, 3),
        "B": zeros(3, 5) + 0.3,
        "weights": [zeros(out, fan_in) for fan_in, out in sizes],
        "biases": [zeros(out) for _, out in sizes],
        "spec": SPEC,
        "activation": "tanh",
    }
    return arguments | changes


def replaced(tensors: list[Tensor], index: int, value: object) -> list[Any]:
    return [*tensors[:index], value, *tensors[index + 1 :]]


NETWORK = network_of(6, 7, 3)
LAYERS, BIASES = NETWORK["weights"], NETWORK["biases"]


def mlp(**changes: Any) -> Jet:
    return pinn_ext.mlp_jet(**(NETWORK | changes))


def loss(**changes: Any) -> tuple[Tensor, ...]:
    return pinn_ext.navier_stokes_loss(**(NETWORK | {"nu": 0.1, "term_weights": [1.0, 1.0, 1.0]} | changes))


def wanting(*shape: int) -> Tensor:
    return zeros(*shape).requires_grad_(True)


# What is wrong with a network, whichever function it is given to.
WRONG_NETWORK: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "x is a list": ({"x": [[0.0]]}, TypeError, r"x: expected a tensor of shape \[n, d\].* got list"),
    "x has one axis": ({"x": zeros(4)}, ValueError, r"x: expected shape \[n, d\].* got \[4\]"),
    "x is half precision": ({"x": zeros(4, 3, dtype=torch.float16)}, ValueError, r"x: expected .* \[4, 3\] float16"),
    "x is sparse": ({"x": zeros(4, 3).to_sparse()}, ValueError, r"x: expected a dense tensor, got .*sparse_coo"),
    "x requires a gradient": ({"x": wanting(4, 3)}, ValueError, r"x: expected points without requires_grad"),
    "B does not fit x": ({"B": zeros(2, 5)}, ValueError, r"B: expected shape \[3, m\].* got \[2, 5\]"),
    "B of another precision": ({"B": zeros(3, 5, **single)}, ValueError, r"B: expected float64 on cpu like x"),
    "B without frequencies": ({"B": zeros(3, 0)}, ValueError, r"B: expected at least one frequency"),
    "B does not fit the first layer": (
        {"B": zeros(3, 4)},
        ValueError,
        r"weights\[0\]: expected shape \[out, 8\] float32 or float64, got \[6, 10\]",
    ),
    "weights do not chain": (
        {"weights": replaced(LAYERS, 1, zeros(7, 5))},
        ValueError,
        r"weights\[1\]: expected shape \[out, 6\] float32 or float64, got \[7, 5\]",
    ),
    "a weight of one axis": (
        {"weights": replaced(LAYERS, 1, zeros(7))},
        ValueError,
        r"weights\[1\]: expected shape \[out, 6\] .* got \[7\]",
    ),
    "a weight without rows": (
        {"weights": replaced(LAYERS, 1, zeros(0, 6))},
        ValueError,
        r"weights\[1\]: expected at least one row, got \[0, 6\]",
    ),
    "a weight is None": (
        {"weights": replaced(LAYERS, 1, None)},
        TypeError,
        r"weights\[1\]: expected a tensor of shape \[out, 6\].* got NoneType",
    ),
    "a weight of another precision": (
        {"weights": replaced(LAYERS, 2, zeros(3, 7, **single))},
        ValueError,
        r"weights\[2\]: expected float64 on cpu like x, got \[3, 7\] float32",
    ),
    "a weight elsewhere": (
        {"weights": replaced(LAYERS, 2, zeros(3, 7, device="meta"))},
        ValueError,
        r"weights\[2\]: expected a tensor on cpu or cuda, got \[3, 7\] float64 on meta",
    ),
    "a layer is a module": (
        {"weights": replaced(LAYERS, 0, torch.nn.Linear(10, 6))},
        TypeError,
        r"weights\[0\]: expected a tensor of shape \[out, 10\].* got Linear",
    ),
    "weights and biases swapped": (
        {"weights": BIASES, "biases": LAYERS},
        ValueError,
        r"weights\[0\]: expected shape \[out, 10\] .* got \[6\]",
    ),
    "a bias of another length": (
        {"biases": replaced(BIASES, 1, zeros(6))},
        ValueError,
        r"biases\[1\]: expected shape \[7\] float32 or float64, got \[6\]",
    ),
    "a bias of two axes": (
        {"biases": replaced(BIASES, 1, zeros(7, 1))},
        ValueError,
        r"biases\[1\]: expected shape \[7\] .* got \[7, 1\]",
    ),
    "a bias is None": ({"biases": replaced(BIASES, 0, None)}, TypeError, r"biases\[0\]: expected a tensor .* NoneType"),
    "a bias of another precision": (
        {"biases": replaced(BIASES, 0, zeros(6, **single))},
        ValueError,
        r"biases\[0\]: expected float64 on cpu like x, got \[6\] float32",
    ),
    "fewer biases": ({"biases": BIASES[:2]}, ValueError, r"weights, biases: expected 1 to 32 .* got 3 and 2"),
    "no layers": ({"weights": [], "biases": []}, ValueError, r"weights, biases: expected 1 to 32 .* got 0 and 0"),
    "33 layers": (
        {key: value for key, value in network_of(*[10] * 32, 3).items() if key in ("weights", "biases")},
        ValueError,
        r"weights, biases: expected 1 to 32 weights with one bias each, got 33 and 33",
    ),
    "no sequence of weights": (
        {"weights": None},
        TypeError,
        r"weights, biases: expected sequences of tensors, one for each layer, got NoneType and list",
    ),
    "weights from a generator": ({"weights": (w for w in LAYERS)}, TypeError, r"weights, biases: .* got generator"),
    "activation unknown": (
        {"activation": "relu"},
        ValueError,
        f"activation: expected one of {', '.join(pinn_ext.ACTIVATIONS)}, got 'relu'",
    ),
    "activation is a function": ({"activation": torch.tanh}, ValueError, r"activation: expected one of tanh, "),
    "no spec": ({"spec": None}, TypeError, r"spec: expected a JetSpec, got NoneType None"),
    "spec is a tuple": ({"spec": (0, 1, 2)}, TypeError, r"spec: expected a JetSpec, got tuple \(0, 1, 2\)"),
    "spec beyond x": (
        {"spec": JetSpec((0, 1, 3), (1, 3))},
        ValueError,
        r"spec: expected coordinates below 3, the columns of x, got \[3\]",
    ),
}

WRONG_LOSS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no points": ({"x": zeros(0, 3)}, ValueError, r"x: expected at least one point, .* got 0"),
    "five outputs": (
        {key: value for key, value in network_of(6, 5).items() if key in ("weights", "biases")},
        ValueError,
        r"weights\[-1\]: expected 3 outputs \(u, v, p\) or 4 \(u, v, w, p\), got 5",
    ),
    "four outputs, spec of the plane": (
        {key: value for key, value in network_of(6, 4).items() if key in ("weights", "biases")},
        ValueError,
        r"^spec: expected first=\(\[time,\] 3 spatial coordinates\)",
    ),
    "no Laplacian": ({"spec": JetSpec((0, 1, 2))}, ValueError, r"^spec: expected .* laplacian=the same"),
    "a foreign weight": (
        {"spec": JetSpec((0, 1, 2), (1, 2), (4.0, 1.0))},
        ValueError,
        r"^spec: expected .* unit weights, got .*4\.0",
    ),
    "a weight of zero": (
        {"spec": JetSpec((0, 1, 2), (1, 2), (0.0, 1.0))},
        ValueError,
        r"^spec: expected .* unit weights",
    ),
    "unsteady without time": (
        {"spec": JetSpec((1, 2), (1, 2)), "steady": False},
        ValueError,
        r"steady: expected True for a jet without a time derivative .* got False",
    ),
    "steady is a word": ({"steady": "yes"}, TypeError, r"steady: expected True, False or None, got str 'yes'"),
    "nu does not fit": (
        {"nu": zeros(3)},
        ValueError,
        r"nu: expected a number or shape \[\], \[1\] or \[4\], got \[3\]",
    ),
    "nu of two axes": ({"nu": zeros(1, 1)}, ValueError, r"nu: expected .* got \[1, 1\]"),
    "nu of another precision": ({"nu": zeros(**single)}, ValueError, r"nu: expected float64 on cpu like x, got \[\]"),
    "nu is None": ({"nu": None}, TypeError, r"nu: expected numbers or a tensor, got NoneType"),
    "nu is a list with a learnable number": (
        {"nu": [wanting()]},
        ValueError,
        r"nu: expected numbers or one tensor, got a list with a tensor that requires a gradient",
    ),
    "forcing does not fit": ({"forcing": [1.0, 2.0, 3.0]}, ValueError, r"forcing: expected shape \[2\] or \[4, 2\]"),
    "base does not fit": (
        {"base": torch.zeros(4, 2, 2)},
        ValueError,
        r"base: expected shape \[4, 3, 2\] float32 or float64, got ",
    ),
    "base requires a gradient": ({"base": wanting(4, 3, 2)}, ValueError, r"base: expected .* without requires_grad"),
    "forcing is a number": ({"forcing": 1.0}, ValueError, r"forcing: expected shape \[2\] or \[4, 2\], got \[\]"),
    "forcing requires a gradient": ({"forcing": wanting(2)}, ValueError, r"forcing: expected .* without requires_grad"),
    "a negative term weight": (
        {"term_weights": [1.0, -1.0, 1.0]},
        ValueError,
        r"term_weights: expected a finite number >= 0, got -1.0",
    ),
    "a term weight that is NaN": (
        {"term_weights": [1.0, 1.0, float("nan")]},
        ValueError,
        r"term_weights: expected a finite number >= 0, got nan",
    ),
    "a negative viscosity": ({"nu": -0.1}, ValueError, r"nu: expected a finite number >= 0, got -0.1"),
    "a negative viscosity of one point": (
        {"nu": [0.1, 0.1, -0.1, 0.1]},
        ValueError,
        r"nu: expected a finite number >= 0, got -0.1",
    ),
    "too few term weights": ({"term_weights": [1.0]}, ValueError, r"term_weights: expected shape \[3\], got \[1\]"),
    "too many term weights": ({"term_weights": zeros(4)}, ValueError, r"term_weights: expected shape \[3\], got \[4\]"),
    "one term weight": ({"term_weights": 1.0}, ValueError, r"term_weights: expected shape \[3\], got \[\]"),
    "no term weights": ({"term_weights": None}, TypeError, r"term_weights: expected numbers or a tensor, got NoneType"),
    "term weights by name": ({"term_weights": {"u": 1.0}}, TypeError, r"term_weights: expected numbers .* got dict"),
    "term weights are words": ({"term_weights": ["a", "b", "c"]}, TypeError, r"term_weights: expected numbers .* list"),
    "term weights of another precision": (
        {"term_weights": zeros(3, **single)},
        ValueError,
        r"term_weights: expected float64 on cpu like x, got \[3\] float32",
    ),
    "term weights require a gradient": ({"term_weights": wanting(3)}, ValueError, r"term_weights: .* requires_grad"),
    "point weights do not fit": (
        {"point_weights": zeros(4, 1)},
        ValueError,
        r"point_weights: expected shape \[4\] float32 or float64, got \[4, 1\]",
    ),
    "point weights are a list": (
        {"point_weights": [1.0] * 4},
        TypeError,
        r"point_weights: expected a tensor of shape \[4\].* got list",
    ),
    "point weights of another precision": (
        {"point_weights": zeros(4, **single)},
        ValueError,
        r"point_weights: expected float64 on cpu like x, got \[4\] float32",
    ),
    "point weights require a gradient": (
        {"point_weights": wanting(4)},
        ValueError,
        r"point_weights: expected .* without requires_grad",
    ),
    **{
        f"count {count!r}": ({"count": count}, ValueError, rf"count: expected a number of points > 0, got {got}")
        for count, got in [
            (0, "int 0"),
            (-4, "int -4"),
            (float("nan"), "float nan"),
            (float("inf"), "float inf"),
            ("4", "str '4'"),
            (torch.tensor(4), r"\[\] int64"),
        ]
    },
}

FUNCTIONS: dict[str, Callable[..., object]] = {"mlp_jet": mlp, "navier_stokes_loss": loss}


def assert_refused(function: str, changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        FUNCTIONS[function](**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", WRONG_NETWORK)
def test_message_about_the_network(function: str, name: str) -> None:
    assert_refused(function, *WRONG_NETWORK[name])


@pytest.mark.parametrize("name", WRONG_LOSS)
def test_message_about_the_loss(name: str) -> None:
    assert_refused("navier_stokes_loss", *WRONG_LOSS[name])


def test_the_right_call_beside_each_wrong_one_passes() -> None:
    """The same helpers with nothing wrong: the errors above come from what was spoilt alone."""
    assert mlp().data.shape == (5, 4, 3)
    assert mlp(x=zeros(0, 3)).data.shape == (5, 0, 3)
    assert mlp(**network_of(*[10] * 31, 2)).data.shape == (5, 4, 2)
    assert len(loss(count=8, return_residual=True)) == 3
    numbers = {"nu": [0.1] * 4, "forcing": [0.0, 1.0], "term_weights": zeros(3), "point_weights": zeros(4)}
    assert loss(steady=True, **numbers)[0].shape == ()
    assert loss(weights=torch.nn.ParameterList(LAYERS), biases=tuple(BIASES))[1].shape == (3,)


BACKWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    "mlp_jet": lambda q: pinn_ext.mlp_jet(**network_of(1, x=zeros(4, 3) + 0.2, weights=[q.repeat(2)[None, :10]])).data,
    "navier_stokes_loss": lambda q: loss(
        **network_of(3, x=zeros(4, 3) + 0.2, weights=[q.repeat(5).reshape(3, 10)], biases=[zeros(3) + 1.0])
    )[0],
}


@pytest.mark.parametrize("name", BACKWARDS)
def test_what_is_not_differentiable_twice_says_so_by_name(name: str) -> None:
    q = torch.linspace(0.1, 0.6, 6, dtype=torch.float64).requires_grad_(True)
    (first,) = torch.autograd.grad(BACKWARDS[name](q).square().sum(), q, create_graph=True)
    assert first.abs().max() > 0
    with pytest.raises(RuntimeError, match=rf"pinn_ext[.:]+{name}_backward: expected to be differentiated no further"):
        torch.autograd.grad(first.square().sum(), q)


@pytest.mark.parametrize("name", BACKWARDS)
def test_parameters_changed_before_the_backward_pass_are_reported(name: str) -> None:
    bias = wanting(3)
    arguments = {"weights": [zeros(3, 10)], "biases": [bias]}
    result = mlp(**arguments).data if name == "mlp_jet" else loss(**arguments)[0]
    with torch.no_grad():
        bias.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.sum().backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_is_refused_by_name(name: str) -> None:
    """Without this the tangents would be zeros, without a word."""
    with forward_ad.dual_level():
        weight = forward_ad.make_dual(LAYERS[0], torch.ones_like(LAYERS[0]))
        with pytest.raises(RuntimeError, match=rf"pinn_ext\.{name}: expected to run outside forward-mode"):
            FUNCTIONS[name](weights=replaced(LAYERS, 0, weight))
