"""The breakage residual: exact solutions, its order, wrong fields, extreme values, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tolerances import CONVERGENCE_ORDER, EXACT_FLOW, WRONG_FLOW
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pinn_ext import breakage_residual, reference

TIMES = torch.tensor([[0.0], [1.0], [5.0]], dtype=torch.float64)


def volumes(nodes: int, low: float = -3.0, high: float = 1.0) -> Tensor:
    return torch.logspace(low, high, nodes, dtype=torch.float64)


def linear_rate(v: Tensor, t: Tensor = TIMES) -> tuple[Tensor, Tensor]:
    """log f and its rate for S = v, f(v, 0) = exp(-v): f = (1 + t)^2 exp(-v (1 + t))."""
    return 2.0 * torch.log1p(t) - v * (1.0 + t), 2.0 / (1.0 + t) - v


def square_rate(v: Tensor, t: Tensor = TIMES) -> tuple[Tensor, Tensor]:
    """The same for S = v^2: f = (1 + 2 t (1 + v)) exp(-t v^2 - v)."""
    a = 1.0 + 2.0 * t * (1.0 + v)
    return torch.log(a) - t * v**2 - v, 2.0 * (1.0 + v) / a - v**2


@pytest.mark.parametrize("nodes", [2, 41, 600])
def test_the_exponential_solution_is_exact_on_any_nodes(nodes: int) -> None:
    """log f and the weight S / v are linear in v, and so is their continuation."""
    v = volumes(nodes)
    g, g_t = linear_rate(v)
    right = breakage_residual(g, g_t, v, v, tail="exponential")
    assert right.abs().max() <= EXACT_FLOW * (1.0 + v.max())
    t = 1.0 + TIMES[:, 0]  # the tail in closed form: int_R^inf f dv = (1 + t) exp(-R (1 + t))
    given = breakage_residual(g, g_t, v, v, tail=torch.log(t) - v[-1] * t)
    assert given.abs().max() <= EXACT_FLOW * (1.0 + v.max())
    wrong = breakage_residual(g, g_t, v, 1.1 * v, tail="exponential")
    assert wrong.abs().max() > WRONG_FLOW
    cut = breakage_residual(g, g_t, v, v)  # the last node has no birth but from beyond
    assert cut[0, -1] > 1.0


def test_second_order_where_log_f_is_curved() -> None:
    errors = []
    for nodes in (100, 200, 400):
        v = volumes(nodes, high=0.7)
        g, g_t = square_rate(v)
        t, R = TIMES[:, 0], v[-1]
        tail = torch.stack([log_tail(float(time), float(R)) for time in t])
        errors.append(breakage_residual(g, g_t, v, v**2, tail=tail).abs().max())
    orders = torch.log2(torch.stack(errors[:-1]) / torch.stack(errors[1:]))
    assert (orders - 2.0).abs().max() < CONVERGENCE_ORDER
    assert errors[-1] < 1e-4 * v[-1] ** 2


def log_tail(t: float, R: float) -> Tensor:
    """log of int_R^inf v f dv for S = v^2, by a fine trapezoidal rule."""
    v = torch.linspace(R, R + 40.0, 400_001, dtype=torch.float64)
    g, _ = square_rate(v, torch.tensor(t, dtype=torch.float64))
    top = g.max()
    return top + torch.log(torch.trapezoid(v * torch.exp(g - top), v))


def test_daughters_of_any_power_keep_the_mass_of_what_broke() -> None:
    """int v birth dv = int v S f dv, whatever the exponent; another prefactor would not."""
    v = volumes(2000, low=-4.0, high=2.0)
    g = (-((torch.log(v)) ** 2))[None]
    for exponent in (-1.0, 0.0, 1.0, 2.5):
        birth = v - breakage_residual(g, torch.zeros_like(g), v, v, daughter=exponent)[0]
        made, broken = (torch.trapezoid(v * v * rate * g[0].exp(), torch.log(v)) for rate in (birth, v))
        assert (made / broken - 1.0).abs() < 1e-3
    assert (torch.trapezoid(v * birth * g[0].exp(), torch.log(v)) / broken - 1.0).abs() > WRONG_FLOW


def test_rates_and_daughters_are_learned() -> None:
    v = volumes(40)
    g, g_t = linear_rate(v)
    S = (v * (v > 0.1)).requires_grad_(True)  # a threshold: no logarithm of S anywhere
    exponent = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def residual(S: Tensor, exponent: Tensor) -> Tensor:
        return breakage_residual(g, g_t, v, S, daughter=exponent, tail="exponential")

    assert torch.autograd.gradcheck(residual, (S, exponent))
    tail = torch.zeros(3, dtype=torch.float64)
    wanted = reference.breakage_residual(g, g_t, v, S, daughter=exponent, tail=tail)
    torch.testing.assert_close(breakage_residual(g, g_t, v, S, daughter=exponent, tail=tail), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_density_that_falls_by_a_thousand_in_its_logarithm(dtype: torch.dtype) -> None:
    v = volumes(50).to(dtype)
    g = (-1000.0 * torch.linspace(0.0, 1.0, 50) ** 2).to(dtype)[None].requires_grad_(True)
    residual = breakage_residual(g, torch.zeros_like(g), v, v)
    wanted = reference.breakage_residual(g.double(), torch.zeros_like(g).double(), v.double(), v.double())
    torch.testing.assert_close(residual.double(), wanted, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(residual.square().sum(), g)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_out_of_range_is_not_finite(dtype: torch.dtype) -> None:
    v = volumes(40).to(dtype)
    rising = torch.where(torch.arange(40) < 20, -2000.0, 0.0).to(dtype)[None]
    residual = breakage_residual(rising, torch.zeros_like(rising), v, v)[0]
    assert (residual[:20] == -torch.inf).all()
    assert residual[20:].isfinite().all()
    for value in (-torch.inf, torch.nan):
        g = torch.zeros(1, 40, dtype=dtype)
        g[0, 20] = value
        assert not breakage_residual(g, torch.zeros_like(g), v, v)[0, :21].isfinite().any()
    flat = torch.zeros(1, 40, dtype=dtype)
    assert (breakage_residual(flat, flat, v, v, tail="exponential") == -torch.inf).all()


class Allocated(TorchDispatchMode):
    """Counts the numbers in the results of all operators, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.numbers += sum(t.numel() for t in tree_leaves(result) if isinstance(t, Tensor))
        return result


def allocated(function: Callable[..., Tensor], times: int, nodes: int) -> int:
    v, g = volumes(nodes), zeros(times, nodes).requires_grad_(True)
    with Allocated() as counted:
        function(g, zeros(times, nodes), v, v.clone().requires_grad_(True)).sum().backward()
    return counted.numbers


def test_memory_is_linear_in_times_and_nodes() -> None:
    some, double, four = (allocated(breakage_residual, 8, nodes) for nodes in (100, 200, 400))
    assert four - double == 2 * (double - some)
    some, double, four = (allocated(breakage_residual, times, 100) for times in (8, 16, 32))
    assert four - double == 2 * (double - some)
    assert four < 16 * 32 * 100
    assert allocated(reference.breakage_residual, 2, 400) > 8 * allocated(reference.breakage_residual, 2, 100)


def zeros(*shape: int, **options: Any) -> Tensor:
    return torch.zeros(shape, **({"dtype": torch.float64} | options))


def call(**changes: Any) -> Tensor:
    arguments = {"g": zeros(3, 4), "g_t": zeros(3, 4), "v": zeros(4) + 1.0, "S": zeros(4)}
    return breakage_residual(**(arguments | changes))


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "g of one axis": (lambda: call(g=zeros(4)), ValueError, r"g: expected shape \[times, nodes\] .* got \[4\] float64"),
    "no nodes": (lambda: call(g=zeros(3, 0)), ValueError, r"g: expected at least 1 node, got \[3, 0\]"),
    "half precision": (lambda: call(g=zeros(3, 4, dtype=torch.float16)), ValueError, r"g: expected .* float16"),
    "g_t of other times": (lambda: call(g_t=zeros(2, 4)), ValueError, r"g_t: expected shape \[3, 4\] .* got \[2, 4\]"),
    "v of other nodes": (lambda: call(v=zeros(5)), ValueError, r"v: expected shape \[4\] .* got \[5\]"),
    "S of another dtype": (
        lambda: call(S=zeros(4, dtype=torch.float32)),
        ValueError,
        r"S: expected float64 on cpu like g, got \[4\] float32",
    ),
    "v that is learned": (lambda: call(v=zeros(4, requires_grad=True)), ValueError, "v: expected volumes without"),
    "a word for a tail": (lambda: call(tail="linear"), ValueError, "tail: expected a tensor, 'exponential' or None"),
    "a tail for each node": (lambda: call(tail=zeros(4)), ValueError, r"tail: expected shape \[3\] .* got \[4\]"),
    "one node and a continuation": (
        lambda: breakage_residual(zeros(1, 1), zeros(1, 1), zeros(1), zeros(1), tail="exponential"),
        ValueError,
        "tail: expected at least 2 nodes",
    ),
    "daughters without a mass": (lambda: call(daughter=-2.0), ValueError, "daughter: expected an exponent above -2"),
    "a word for daughters": (lambda: call(daughter="uniform"), TypeError, "daughter: expected a number"),
    "daughters for each node": (lambda: call(daughter=zeros(4)), ValueError, r"daughter: expected a number or shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_message(name: str) -> None:
    wrong, kind, message = WRONG[name]
    with pytest.raises(kind, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)
    assert call().shape == (3, 4)


def test_a_second_derivative_is_refused_by_name() -> None:
    g = zeros(2, 3).requires_grad_(True)
    residual = breakage_residual(g, zeros(2, 3), volumes(3), volumes(3))
    (first,) = torch.autograd.grad(residual.square().sum(), g, create_graph=True)
    with pytest.raises(RuntimeError, match=r"pinn_ext[.:]+breakage_residual_backward"):
        torch.autograd.grad(first.square().sum(), g)
