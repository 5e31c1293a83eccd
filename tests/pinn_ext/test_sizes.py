"""Every size and stride: empty, one point, block edges, odd widths, views; repeatable bits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from cases import (
    CASES,
    Case,
    case_name,
    differentiated,
    features_case,
    forward_and_gradients,
    fourier_jet_case,
    leaves,
    relative_error,
)
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

BLOCKS = (16, 64, 256)
SIZES = sorted({0, 1, *(b + k for b in BLOCKS for k in (-1, 0, 1))})
# One row per operator keeps the product of rows and sizes small.
ROWS = [
    next(case for case in CASES if case.name.startswith(prefix))
    for prefix in (
        "fourier_features-d2",
        "fourier_jet-weighted",
        "fourier_jet-unsteady3d",
        "linear_jet-unsteady3d",
        "activation_jet-tanh-unsteady2d",
        "activation_jet-gelu-weighted",
        "navier_stokes-unsteady2d-nu_scalar-forcing_none",
        "navier_stokes-unsteady3d-nu_points",
        "breakage_residual-nodes19",
        "mlp_jet-unsteady2d-tanh",
    )
]
FUSED = ("mlp_jet", "navier_stokes_loss")  # so much work for each point that 2,500 points are enough for threads
LOSSES = [case for case in CASES if case.operator == "navier_stokes_loss"]
every_row = pytest.mark.parametrize("case", ROWS, ids=case_name)
every_case = pytest.mark.parametrize("case", CASES, ids=case_name)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def assert_matches_oracle(case: Case, inputs: tuple[Tensor, ...], seed: int) -> None:
    got = forward_and_gradients(case.kernel, inputs, seed=seed)
    wanted = forward_and_gradients(case.oracle, inputs, seed=seed)
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    assert max(errors) <= KERNEL_FLOAT64, f"result, then gradients: {errors}"


@pytest.mark.parametrize("case", [*ROWS, LOSSES[0]], ids=case_name)
@pytest.mark.parametrize("n", SIZES)
def test_numbers_of_points(case: Case, n: int) -> None:
    if n < case.min_points:
        pytest.skip("no loss without points: test_empty_input")
    assert_matches_oracle(case, case.inputs(n, seed=n + 1), seed=n + 2)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("m", [1, 7, 16, 32, 50])
def test_numbers_of_frequencies(d: int, m: int) -> None:
    case = features_case(d, m)
    assert_matches_oracle(case, case.inputs(5, seed=d), seed=m)


@pytest.mark.parametrize("m", [1, 3, 8, 17])
def test_jets_of_odd_widths(m: int) -> None:
    case = fourier_jet_case("unsteady2d", d=3, m=m)
    assert_matches_oracle(case, case.inputs(5, seed=m), seed=m + 1)


@every_case
def test_empty_input(case: Case) -> None:
    inputs = case.inputs(0, seed=1)
    if case.min_points:
        with pytest.raises(ValueError, match="x: expected at least one point"):
            case.kernel(*inputs)
        return
    result, *gradients = forward_and_gradients(case.kernel, inputs, seed=2)
    assert result.shape == case.oracle(*inputs).shape
    assert result.numel() == 0
    for tensor, gradient in zip(differentiated(inputs), gradients, strict=True):
        assert gradient.shape == tensor.shape
        assert (gradient == 0).all()


def assert_same(case: Case, got: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    """The same bits from kernels of this package, or the same values where another order of sums is allowed.

    ``linear_jet`` is torch's matrix product, whose BLAS groups its sums by strides, by sizes and by
    the number of threads; the fused networks' gradients depend on the threads unless told otherwise.
    """
    for g, w in zip(got, wanted, strict=True):
        if case.operator != "linear_jet" and case.any_threads:
            assert torch.equal(g, w)
        elif g.dtype == torch.float64:
            assert relative_error(g, w) <= KERNEL_FLOAT64
        else:
            summands = case.summands(max(g.shape[-2:], default=1))
            assert relative_error(g, w) <= kernel_float32(summands, 1.0)


def strided(tensor: Tensor) -> Tensor:
    """The same numbers with every stride doubled and the axes laid out in reverse order."""
    if not tensor.dim():
        return tensor
    room = tensor.new_full([2 * size for size in reversed(tensor.shape)], float("nan"))
    view = room.permute(*reversed(range(tensor.dim())))[(slice(None, None, 2),) * tensor.dim()]
    return view.copy_(tensor)


@every_case
def test_views(case: Case) -> None:
    """Non-contiguous inputs and a non-contiguous cotangent give what contiguous ones give."""
    inputs = case.inputs(19, seed=3)
    result = case.kernel(*inputs)
    cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(4)).double()
    wanted = torch.autograd.grad(result, differentiated(inputs), cotangent)

    views = [strided(t.detach()).requires_grad_(t.requires_grad) if t.dim() else t for t in inputs]
    assert not any(v.is_contiguous() for v in views if v.numel() > 1)
    got = case.kernel(*views)
    assert_same(case, [got], [result])
    assert_same(case, torch.autograd.grad(got, differentiated(views), strided(cotangent)), wanted)


@every_case
def test_expanded_cotangent(case: Case) -> None:
    """``.sum().backward()`` hands down a cotangent of stride zero."""
    inputs = case.inputs(6, seed=5)
    got = torch.autograd.grad(case.kernel(*inputs).sum(), differentiated(inputs))
    again = leaves(inputs, torch.float64)
    result = case.kernel(*again)
    wanted = torch.autograd.grad(result, differentiated(again), torch.ones_like(result))
    assert all(torch.equal(g, w) for g, w in zip(got, wanted, strict=True))


@every_case
@both_dtypes
def test_two_runs_are_bitwise_alike(case: Case, dtype: torch.dtype) -> None:
    runs = [forward_and_gradients(case.kernel, case.inputs(1500, seed=6, dtype=dtype), seed=7) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@every_case
@both_dtypes
@pytest.mark.usefixtures("restored_threads")
def test_one_and_more_threads_are_alike(case: Case, dtype: torch.dtype) -> None:
    # Enough points for several threads: kernels that touch fewer than 32,768 numbers keep to one.
    one = case.kernel(*case.inputs(1, seed=8, dtype=dtype)).numel()
    num_points = 2500 if case.operator in FUSED else max(2500, math.ceil(2 * 32768 / one))
    runs = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        inputs = case.inputs(num_points, seed=8, dtype=dtype)
        runs.append(forward_and_gradients(case.kernel, inputs, seed=9))
    for other in runs[1:]:
        assert_same(case, other, runs[0])


@every_row
def test_points_do_not_depend_on_their_neighbours(case: Case) -> None:
    """Row i of the result is the same whether its batch is long or short."""
    inputs = case.inputs(100, seed=10)
    streams_first = case.operator in ("linear_jet", "activation_jet", "navier_stokes_residual")

    def cut(i: int, tensor: Tensor) -> Tensor:
        per_point_axis = next((a for a, size in enumerate(tensor.shape) if size == 100), None)
        if per_point_axis is None:
            return tensor
        assert per_point_axis == (1 if streams_first and i == 0 else 0)
        return tensor.narrow(per_point_axis, 37, 5)

    whole = case.kernel(*inputs)
    part = case.kernel(*(cut(i, t) for i, t in enumerate(inputs)))
    axis = whole.dim() - 2
    assert_same(case, [part], [whole.narrow(axis, 37, 5)])
