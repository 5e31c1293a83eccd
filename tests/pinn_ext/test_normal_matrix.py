"""The normal matrix: torch's products in float64, sums of float32 tiles, strides, threads, messages."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

import pinn_ext

# Around a panel of 4 to 32 columns, a square of 256, 192 rows of a product, and a slab of 64 MiB.
SIZES = [(1, 1), (3, 7), (191, 33), (192, 16), (193, 257), (700, 300), (5000, 530), (9000, 2100)]


def drawn(rows: int, p: int) -> Tensor:
    return torch.randn(rows, p, generator=torch.Generator().manual_seed(rows + p), dtype=torch.float64)


def error(found: Tensor, J: Tensor) -> float:
    """The largest in the upper triangle, relative to the largest number of J' J."""
    wanted = J.double().T @ J.double()
    return float((found - wanted).triu().abs().max() / wanted.abs().max())


@pytest.mark.parametrize(("rows", "p"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("products", [torch.float32, torch.float64])
def test_it_is_the_product(rows: int, p: int, dtype: torch.dtype, products: torch.dtype) -> None:
    J = drawn(rows, p).to(dtype)
    found = pinn_ext.normal_matrix(J, products=products)
    assert found.dtype == torch.float64
    bound = KERNEL_FLOAT64 if products == torch.float64 else kernel_float32(min(rows, 192), 1.0)
    assert error(found, J) < bound
    J[-1, -1] += 1.0
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
