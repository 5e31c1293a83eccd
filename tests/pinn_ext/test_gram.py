"""Gram matrices of rows about their mean, sums of rows, normal matrices: sizes, blocks, threads, messages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from agreement import every_device
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

import pinn_ext

DTYPES = (torch.float32, torch.float64)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
# Around a tile of 3 and of 5 rows, a vector of 2 to 16 numbers, a pair of them, a block of columns, parts of blocks.
SIZES = [
    (1, 1), (2, 7), (3, 16), (4, 17), (5, 31), (6, 32), (7, 33), (15, 300), (16, 767), (9, 768), (10, 769), (11, 1281),
    (31, 9000), (64, 2000), (200, 3100), (530, 600),
]  # fmt: skip


def rows(r: int, n: int, dtype: torch.dtype = torch.float64, device: str = "cpu", mean: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(r + n)
    A = mean * torch.randn(n, generator=generator, dtype=torch.float64) + torch.randn(
        r, n, generator=generator, dtype=torch.float64
    )
    return A.to(device, dtype)


def bound(dtype: torch.dtype, summands: int) -> float:
    return KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(summands, 1.0)


def check_gram(A: Tensor, *, in_double: bool = False) -> None:
    got = pinn_ext.row_gram(A, in_double=in_double)
    exact = A.double()
    mean = exact.mean(dim=0)
    fluctuation = exact - mean
    wanted = fluctuation @ fluctuation.T
    products = torch.float64 if in_double else A.dtype
    assert (got.gram.dtype, got.mean.dtype, got.along_mean.dtype) == (torch.float64, A.dtype, torch.float64)
    assert torch.equal(got.gram, got.gram.T)
    # The mean is rounded to its own scale, and with it each number of a row.
    scale = float(exact.square().sum(dim=1).max())
    np.testing.assert_allclose(got.gram.cpu(), wanted.cpu(), atol=bound(products, A.shape[1]) * scale, rtol=0)
    np.testing.assert_allclose(got.mean.cpu(), mean.cpu(), atol=bound(A.dtype, len(A)) * float(exact.abs().max()))
    np.testing.assert_allclose(
        got.along_mean.cpu(), (fluctuation @ mean).cpu(), atol=bound(products, A.shape[1]) * scale, rtol=0
    )
    assert float(got.mean_square) == pytest.approx(float(mean @ mean), rel=bound(products, len(A)) * 3.0)


@every_device
@every_dtype
@pytest.mark.parametrize(("r", "n"), SIZES)
def test_gram_is_that_of_float64(r: int, n: int, dtype: torch.dtype, device: str) -> None:
    check_gram(rows(r, n, dtype, device))
    check_gram(rows(r, n, dtype, device), in_double=True)


@every_device
@every_dtype
@pytest.mark.parametrize(("r", "n"), SIZES)
def test_projection_is_that_of_float64(r: int, n: int, dtype: torch.dtype, device: str) -> None:
    A = rows(r, n, dtype, device)
    for num, mean in itertools.product((1, 5, 6, 12, 13, 29), (None, A.mean(dim=0))):
        rotation = rows(num, r, dtype, device, mean=0.0)
        got = pinn_ext.project_rows(A, rotation, mean=mean)
        exact = A.double() if mean is None else A.double() - mean.double()
        wanted = rotation.double() @ exact
        scale = float((rotation.double().abs() @ A.double().abs()).max())
        assert got.dtype == dtype
        np.testing.assert_allclose(got.cpu(), wanted.cpu(), atol=bound(dtype, r) * scale, rtol=0)


def test_a_large_mean_costs_no_digits() -> None:
    """Fluctuations of 1e-3 of the mean: squares of the numbers themselves would lose six digits of seven."""
    A = (1000.0 + rows(40, 5000, mean=0.0)).float()
    got = pinn_ext.row_gram(A).gram
    centred = A.double() - A.double().mean(dim=0)
    wanted = centred @ centred.T
    # What the rounding of the mean leaves in every row alike, which J takes off.
    middle = torch.eye(40, dtype=torch.float64) - 1.0 / 40
    error = (middle @ got @ middle - wanted).abs().max() / wanted.abs().max()
    assert error.item() <= kernel_float32(5000, 1.0)


@every_dtype
def test_products_with_the_mean_join_up(dtype: torch.dtype) -> None:
    A = rows(23, 4000, dtype)
    got = pinn_ext.row_gram(A)
    whole = got.gram + got.along_mean[:, None] + got.along_mean + got.mean_square
    wanted = A.double() @ A.double().T
    assert ((whole - wanted).abs().max() / wanted.abs().max()).item() <= bound(dtype, 4000)


@every_dtype
def test_blocks_of_columns_add_up(dtype: torch.dtype) -> None:
    A = rows(23, 4000, dtype)
    whole, parts = pinn_ext.row_gram(A), [pinn_ext.row_gram(part) for part in A.split([1, 999, 3000], dim=1)]
    total = sum(part.gram for part in parts)
    assert ((total - whole.gram).abs().max() / whole.gram.abs().max()).item() <= bound(dtype, 4000)
    assert torch.equal(torch.cat([part.mean for part in parts]), whole.mean)


@every_dtype
@pytest.mark.usefixtures("restored_threads")
def test_threads_and_columns_change_no_bit(dtype: torch.dtype) -> None:
    A, rotation = rows(70, 50_000, dtype), rows(12, 70, dtype)
    mean = A.mean(dim=0)
    torch.set_num_threads(1)
    gram, projected = pinn_ext.row_gram(A), pinn_ext.project_rows(A, rotation, mean=mean)
    for threads in (2, 3, 7):
        torch.set_num_threads(threads)
        assert all(map(torch.equal, pinn_ext.row_gram(A), gram))
        assert torch.equal(pinn_ext.project_rows(A, rotation, mean=mean), projected)
    for columns in (slice(0, 1), slice(3, 50), slice(1000, 49_999)):
        part = pinn_ext.project_rows(A[:, columns], rotation, mean=mean[columns])
        assert torch.equal(part, projected[:, columns])
    for same in (A.t().contiguous().t(), torch.cat([A, A], dim=1)[:, :50_000]):
        assert all(map(torch.equal, pinn_ext.row_gram(same), gram))
        assert torch.equal(pinn_ext.project_rows(same, rotation, mean=mean), projected)


def test_no_column_and_no_row() -> None:
    got = pinn_ext.row_gram(torch.zeros(3, 0))
    assert not got.gram.any()
    assert got.mean.shape == (0,)
    assert not got.mean_square
    assert pinn_ext.project_rows(torch.zeros(3, 0), torch.ones(2, 3)).shape == (2, 0)
    assert pinn_ext.project_rows(torch.zeros(3, 4), torch.ones(0, 3)).shape == (0, 4)
    assert not pinn_ext.project_rows(torch.zeros(0, 40), torch.ones(2, 0)).any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_not_finite_go_through(wrong: float) -> None:
    A = rows(12, 3000, torch.float32)
    A[4, 1700] = wrong
    assert not pinn_ext.row_gram(A).gram.isfinite().all()
    projected = pinn_ext.project_rows(A, torch.ones(2, 12))
    assert projected.isfinite().sum() == 2 * 2999


def test_operators_trace_and_have_no_gradient() -> None:
    A, rotation, mean = rows(6, 40), rows(2, 6), rows(1, 40)[0]
    results = torch.library.opcheck(torch.ops.pinn_ext.row_gram.default, (A, False))
    assert set(results.values()) == {"SUCCESS"}
    for of in (None, mean):
        results = torch.library.opcheck(torch.ops.pinn_ext.project_rows.default, (A, rotation, of))
        assert set(results.values()) == {"SUCCESS"}
    with pytest.raises(RuntimeError, match="row_gram: expected to be differentiated no further"):
        pinn_ext.row_gram(A.clone().requires_grad_()).gram.sum().backward()
    with pytest.raises(RuntimeError, match="project_rows: expected to be differentiated no further"):
        pinn_ext.project_rows(A, rotation.clone().requires_grad_()).sum().backward()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"A": torch.zeros(4)}, ValueError, r"A: expected shape \[r, n\] float32 or float64, got \[4\]"),
        ({"A": np.zeros((4, 2))}, TypeError, r"A: expected a tensor of shape \[r, n\]"),
        ({"A": torch.zeros(0, 2)}, ValueError, r"A: expected at least one row, got \[0, 2\] float32 on cpu"),
        ({"in_double": 1}, TypeError, r"in_double: expected True or False, got int 1"),
    ],
)
def test_messages_of_the_gram_matrix(change: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pinn_ext.row_gram(**({"A": torch.zeros(4, 3)} | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"A": torch.zeros(4, 3, dtype=torch.float16)}, ValueError, r"A: expected shape .* got \[4, 3\] float16"),
        ({"rotation": torch.zeros(2, 3)}, ValueError, r"rotation: expected shape \[l, 4\]"),
        ({"rotation": torch.zeros(2, 4).double()}, ValueError, r"rotation: expected float32 on cpu like A"),
        ({"mean": torch.zeros(4)}, ValueError, r"mean: expected shape \[3\]"),
        ({"mean": torch.zeros(3).double()}, ValueError, r"mean: expected float32 on cpu like A"),
        ({"mean": 0.0}, TypeError, r"mean: expected a tensor of shape \[3\]"),
    ],
)
def test_messages_of_the_projection(change: dict[str, object], error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {"A": torch.zeros(4, 3), "rotation": torch.zeros(2, 4)} | change
    with pytest.raises(error, match=message):
        pinn_ext.project_rows(**arguments)  # type: ignore[arg-type]


# Around a panel of 4 to 32 columns, a square of 256, 192 rows of a product, and a slab of 64 MiB.
TALL = [(1, 1), (3, 7), (191, 33), (192, 16), (193, 257), (700, 300), (5000, 530), (57_000, 300)]


def drawn(rows: int, p: int) -> Tensor:
    return torch.randn(rows, p, generator=torch.Generator().manual_seed(rows + p), dtype=torch.float64)


def error(found: Tensor, J: Tensor) -> float:
    """The largest in the upper triangle, relative to the largest number of J' J."""
    wanted = J.double().T @ J.double()
    return float((found - wanted).triu().abs().max() / wanted.abs().max())


@pytest.mark.parametrize(("rows", "p"), TALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("products", [torch.float32, torch.float64])
def test_it_is_the_product(rows: int, p: int, dtype: torch.dtype, products: torch.dtype) -> None:
    J = drawn(rows, p).to(dtype)
    found = pinn_ext.normal_matrix(J, products=products)
    assert found.dtype == torch.float64
    bound = KERNEL_FLOAT64 if products == torch.float64 else kernel_float32(min(rows, 192), 1.0)
    assert error(found, J) < bound
    J[-1, -1] += rows
    assert error(found, J) > bound, "another matrix has another product"


def test_products_of_float32_are_added_in_float64() -> None:
    """A sum of many rows has the error of some hundred of them; all in float32 it is larger."""
    J = torch.rand(400_000, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    exact = J.double().T @ J.double()
    tiles, naive = pinn_ext.normal_matrix(J), (J.T @ J).double()
    errors = [float((found - exact).triu().abs().max() / exact.max()) for found in (tiles, naive)]
    assert errors[0] < 1e-7
    assert errors[0] < 0.5 * errors[1]


def test_strides_and_what_is_added() -> None:
    wide = drawn(90, 400)
    assert error(pinn_ext.normal_matrix(wide.T), wide.T) < KERNEL_FLOAT64
    every_third = drawn(300, 80)[::3, ::2]
    out = pinn_ext.normal_matrix(every_third)
    assert error(out, every_third) < KERNEL_FLOAT64
    assert pinn_ext.normal_matrix(every_third, out=out, add=True) is out
    assert error(0.5 * out, every_third) < KERNEL_FLOAT64
    assert not pinn_ext.normal_matrix(drawn(0, 5)).any()
    same = drawn(1, 40).expand(60, 40)
    assert error(pinn_ext.normal_matrix(same), same) < KERNEL_FLOAT64


def test_bits_do_not_depend_on_the_threads() -> None:
    J, before = drawn(3000, 600), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(pinn_ext.normal_matrix(J, products=torch.float32).triu())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in itertools.pairwise(found))


def test_what_is_not_finite_is_seen() -> None:
    J = drawn(20, 5)
    J[3, 2] = torch.nan
    assert pinn_ext.normal_matrix(J)[:3, 2].isnan().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rows": torch.zeros(4)}, ValueError, r"rows: expected shape \[rows, p\]"),
        ({"rows": [[1.0]]}, TypeError, "rows: expected a tensor"),
        ({"products": torch.float16}, ValueError, "products: expected torch.float32 or torch.float64"),
        ({"add": True}, ValueError, "add: expected an out to add to, got none"),
        ({"out": torch.zeros(3, 3)}, ValueError, "out: expected a contiguous float64 tensor on cpu"),
        ({"out": torch.zeros(2, 3, dtype=torch.float64)}, ValueError, r"out: expected shape \[3, 3\]"),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pinn_ext.normal_matrix(**({"rows": torch.zeros(4, 3)} | change))
