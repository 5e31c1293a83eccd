"""What a user reads when something is wrong: the argument, what was wanted, what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cases import SPECS
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, JetSpec

SPEC = SPECS["unsteady2d"]
UNSTEADY, STEADY = SPECS["unsteady2d"], SPECS["steady2d"]


def zeros(*shape: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensor:
    return torch.zeros(shape, dtype=dtype, device=device)


def jet(c: int = 3, n: int = 4, spec: JetSpec = SPEC, **options: Any) -> Jet:
    return Jet(zeros(spec.num_streams, n, c, **options), spec)


features, fourier_jet = pinn_ext.fourier_features, pinn_ext.fourier_jet
linear, activation = pinn_ext.linear_jet, pinn_ext.activation_jet
residual = pinn_ext.navier_stokes_residual
single = {"dtype": torch.float32}


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    # fourier_features, fourier_jet
    "x is a list": (
        lambda: features([[0.0]], zeros(1, 2)),  # type: ignore[arg-type]
        TypeError,
        r"x: expected a tensor of shape \[n, d\] float32 or float64, got list",
    ),
    "x has one axis": (
        lambda: features(zeros(3), zeros(3, 2)),
        ValueError,
        r"x: expected shape \[n, d\] float32 or float64, got \[3\] float64 on cpu",
    ),
    "x is half precision": (
        lambda: features(zeros(4, 3, dtype=torch.float16), zeros(3, 2, dtype=torch.float16)),
        ValueError,
        r"x: expected shape \[n, d\] float32 or float64, got \[4, 3\] float16",
    ),
    "x is integer": (
        lambda: features(zeros(4, 3, dtype=torch.int64), zeros(3, 2)),
        ValueError,
        r"x: expected .* got \[4, 3\] int64",
    ),
    "x is complex": (
        lambda: fourier_jet(zeros(4, 3, dtype=torch.complex64), zeros(3, 2), SPEC),
        ValueError,
        r"x: expected .* got \[4, 3\] complex64",
    ),
    "x on meta": (
        lambda: features(zeros(4, 3, device="meta"), zeros(3, 2, device="meta")),
        ValueError,
        r"x: expected a tensor on cpu or cuda, got \[4, 3\] float64 on meta",
    ),
    "x without coordinates": (
        lambda: features(zeros(4, 0), zeros(0, 2)),
        ValueError,
        r"x: expected 1 to 8 coordinates, got \[4, 0\]",
    ),
    "x with nine coordinates": (
        lambda: features(zeros(4, 9), zeros(9, 2)),
        ValueError,
        r"x: expected 1 to 8 coordinates, got \[4, 9\]",
    ),
    "B does not fit x": (
        lambda: features(zeros(4, 3), zeros(2, 5)),
        ValueError,
        r"B: expected shape \[3, m\] float32 or float64, got \[2, 5\]",
    ),
    "B of another precision": (
        lambda: fourier_jet(zeros(4, 3), zeros(3, 5, **single), SPEC),
        ValueError,
        r"B: expected float64 on cpu like x, got \[3, 5\] float32",
    ),
    "B without frequencies": (
        lambda: features(zeros(4, 3), zeros(3, 0)),
        ValueError,
        r"B: expected at least one frequency, got \[3, 0\]",
    ),
    "spec beyond x": (
        lambda: fourier_jet(zeros(4, 2), zeros(2, 5), SPEC),
        ValueError,
        r"spec: expected coordinates below 2, the columns of x, got \[2\]",
    ),
    # linear_jet
    "weight does not fit": (
        lambda: linear(jet(3), zeros(5, 4)),
        ValueError,
        r"weight: expected shape \[out, 3\] float32 or float64, got \[5, 4\]",
    ),
    "weight of another precision": (
        lambda: linear(jet(3), zeros(5, 3, **single)),
        ValueError,
        r"weight: expected float64 on cpu like jet.data, got \[5, 3\] float32",
    ),
    "bias does not fit": (
        lambda: linear(jet(3), zeros(5, 3), zeros(4)),
        ValueError,
        r"bias: expected shape \[5\] float32 or float64, got \[4\]",
    ),
    "bias of another precision": (
        lambda: linear(jet(3), zeros(5, 3), zeros(5, **single)),
        ValueError,
        r"bias: expected float64 on cpu like jet.data, got \[5\] float32",
    ),
    "bias is a number": (
        lambda: linear(jet(3), zeros(5, 3), 1.0),  # type: ignore[arg-type]
        TypeError,
        r"bias: expected a tensor of shape \[5\].*got float 1.0",
    ),
    # activation_jet
    "activation unknown": (
        lambda: activation(jet(), "relu"),  # type: ignore[arg-type]
        ValueError,
        f"activation: expected one of {', '.join(pinn_ext.ACTIVATIONS)}, got 'relu'",
    ),
    "jet is half precision": (
        lambda: activation(jet(dtype=torch.bfloat16), "tanh"),
        ValueError,
        r"jet.data: expected shape \[s, n, c\] float32 or float64, got \[5, 4, 3\] bfloat16",
    ),
    "jet on meta": (
        lambda: activation(jet(device="meta"), "tanh"),
        ValueError,
        r"jet.data: expected a tensor on cpu or cuda, got \[5, 4, 3\] float64 on meta",
    ),
    # navier_stokes_residual
    "a negative viscosity": (lambda: residual(jet(), -0.1), ValueError, r"nu: expected a finite number >= 0, got -0.1"),
    "a viscosity that is NaN": (
        lambda: residual(jet(), float("nan")),
        ValueError,
        r"nu: expected a finite number >= 0, got nan",
    ),
    "an infinite viscosity": (
        lambda: residual(jet(), float("inf")),
        ValueError,
        r"nu: expected a finite number >= 0, got inf",
    ),
    "five columns": (
        lambda: residual(jet(5), 0.1),
        ValueError,
        r"jet.data: expected 3 columns \(u, v, p\) or 4 \(u, v, w, p\), got \[5, 4, 5\]",
    ),
    "plane spec, columns of space": (
        lambda: residual(jet(4, spec=STEADY), 0.1),
        ValueError,
        r"jet.spec: expected first=\(\[time,\] 3 spatial coordinates\)",
    ),
    "weighted Laplacian": (
        lambda: residual(jet(spec=JetSpec((0, 1), (0, 1), (1.0, 4.0))), 0.1),
        ValueError,
        r"jet.spec: expected .* unit weights, got .*4\.0",
    ),
    "no Laplacian": (
        lambda: residual(jet(spec=JetSpec((0, 1))), 0.1),
        ValueError,
        r"jet.spec: expected",
    ),
    "time in the Laplacian": (
        lambda: residual(jet(spec=JetSpec((0, 1, 2), (0, 1))), 0.1),
        ValueError,
        r"jet.spec: expected",
    ),
    "axes in another order": (
        lambda: residual(jet(spec=JetSpec((0, 1), (1, 0))), 0.1),
        ValueError,
        r"jet.spec: expected",
    ),
    "unsteady without time": (
        lambda: residual(jet(spec=STEADY), 0.1, steady=False),
        ValueError,
        r"steady: expected True for a jet without a time derivative .* got False",
    ),
    "nu does not fit": (
        lambda: residual(jet(), zeros(3)),
        ValueError,
        r"nu: expected a number or shape \[\], \[1\] or \[4\], got \[3\]",
    ),
    "nu of another precision": (
        lambda: residual(jet(), zeros(**single)),
        ValueError,
        r"nu: expected float64 on cpu like jet.data, got \[\] float32",
    ),
    "nu is a word": (
        lambda: residual(jet(), "water"),  # type: ignore[arg-type]
        TypeError,
        r"nu: expected numbers or a tensor, got str 'water'",
    ),
    "forcing does not fit": (
        lambda: residual(jet(), 0.1, forcing=zeros(4, 3)),
        ValueError,
        r"forcing: expected shape \[2\] or \[4, 2\], got \[4, 3\]",
    ),
    "forcing of another precision": (
        lambda: residual(jet(), 0.1, forcing=zeros(2, **single)),
        ValueError,
        r"forcing: expected float64 on cpu like jet.data, got \[2\] float32",
    ),
    "no unit weight but zero": (
        lambda: residual(jet(spec=JetSpec((0, 1), (0, 1), (0.0, 1.0))), 0.1),
        ValueError,
        r"jet.spec: expected .* unit weights, got .*0\.0",
    ),
    "steady is a word": (
        lambda: residual(jet(), 0.1, steady="yes"),  # type: ignore[arg-type]
        TypeError,
        r"steady: expected True, False or None, got str 'yes'",
    ),
    "forcing is a list with a learnable number": (
        lambda: residual(jet(), 0.1, forcing=[0.0, zeros().requires_grad_(True)]),  # type: ignore[list-item]
        ValueError,
        r"forcing: expected numbers or one tensor, got a list with a tensor that requires a gradient",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_message(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_right_call_beside_each_wrong_one_passes() -> None:
    """The same helpers with nothing wrong: the errors above come from what was spoilt alone."""
    assert features(zeros(4, 3), zeros(3, 2)).shape == (4, 4)
    assert fourier_jet(zeros(4, 3), zeros(3, 5), SPEC).data.shape == (5, 4, 10)
    assert linear(jet(3), zeros(5, 3), zeros(5)).data.shape == (5, 4, 5)
    assert activation(jet(), "tanh").data.shape == (5, 4, 3)
    assert residual(jet(), zeros(4), forcing=zeros(4, 2)).shape == (4, 3)
    assert residual(jet(), zeros(1), forcing=[0.0, 1.0]).shape == (4, 3)
    assert residual(jet(spec=STEADY), 0.1, steady=True).shape == (4, 3)


def test_an_array_is_described_in_one_line() -> None:
    with pytest.raises(TypeError, match=r"^x: expected a tensor of shape .*, got ndarray \[50, 2\] float32$"):
        pinn_ext.fourier_jet(np.zeros((50, 2), dtype="f4"), torch.zeros(2, 3), JetSpec())
    with pytest.raises(TypeError, match=r"^x: expected [^\n]*, got list [^\n]*\.\.\.$"):
        pinn_ext.fourier_jet([torch.zeros(2, 3)] * 50, torch.zeros(2, 3), JetSpec())


JET_BACKWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    "fourier_jet": lambda q: fourier_jet(q.reshape(2, 3), zeros(3, 2) + 0.3, SPEC).data,
    "linear_jet": lambda q: linear(Jet(q.reshape(1, 2, 3).expand(5, 2, 3), SPEC), q.reshape(2, 3)).data,
    "activation_jet": lambda q: activation(Jet(q.reshape(1, 2, 3).expand(5, 2, 3), SPEC), "tanh").data,
    "navier_stokes_residual": lambda q: residual(Jet(q.reshape(1, 2, 3).expand(5, 2, 3), SPEC), 0.1),
}


@pytest.mark.parametrize("name", JET_BACKWARDS)
def test_what_is_not_differentiable_twice_says_so_by_name(name: str) -> None:
    q = torch.linspace(0.1, 0.6, 6, dtype=torch.float64).requires_grad_(True)
    (first,) = torch.autograd.grad(JET_BACKWARDS[name](q).square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match=rf"pinn_ext[.:]+{name}_backward"):
        torch.autograd.grad(first.square().sum(), q)
