"""Pivoted QR and sketches on CUDA: the oracle, the CPU, constraints, repeated runs, and no look back at the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pivot_cases import graded_matrix, limit_cases, oracle, random_matrix
from tolerances import KERNEL_FLOAT64, kernel_float32, pivot_length

import pinn_ext
from pinn_ext._impl.constraints import NO_CONSTRAINTS
from pinn_ext._impl.pivots import _launch, rounding_level
from pinn_ext.reference import selection

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def until_it_ends(cuda: str) -> Iterator[None]:
    """What the device has failed at is raised by the test that asked for it."""
    yield
    torch.cuda.synchronize()


def choose(A: np.ndarray, k: int, **options: Any) -> pinn_ext.PivotedQR:
    return pinn_ext.pivoted_qr(torch.from_numpy(A).cuda(), k, **options)


def check(A: np.ndarray, k: int, **limits: Any) -> None:
    wanted, got = oracle(A, k, **limits), choose(A, k, **limits)
    assert got.pivots.is_cuda
    assert got.pivots.tolist() == wanted.pivots.tolist()
    assert got.rank == wanted.rank
    bound = pivot_length(got.r_diagonal.dtype, 10.0) * wanted.r_diagonal.max()
    assert np.abs(got.r_diagonal.double().cpu().numpy() - wanted.r_diagonal).max() <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("r", "n", "c"), [(1, 1, 0), (5, 255, 0), (100, 40000, 0), (130, 257, 0), (40, 3000, 3)])
def test_the_pivots_of_the_oracle(r: int, n: int, c: int, dtype: type) -> None:
    check(random_matrix(r, n, c).astype(dtype), min(12, r, n))


@pytest.mark.parametrize("name", limit_cases(300))
@pytest.mark.parametrize("c", [0, 2])
def test_constraints(name: str, c: int) -> None:
    check(random_matrix(20, 300, c), 9, **limit_cases(300)[name])


def test_graded() -> None:
    """Down-dated squares alone would be noise after the first half."""
    check(graded_matrix(30, 2000, 1e12), 28)


@pytest.mark.parametrize("c", [0, 2])
def test_beyond_the_rank(c: int) -> None:
    A = random_matrix(6, 900, c)
    A[4:] = 0
    check(A, 11)


def test_duplicates() -> None:
    """Of equal columns the first is chosen."""
    A = random_matrix(20, 400)
    got = choose(np.concatenate([A, A, A], axis=1), 10)
    assert got.pivots.tolist() == choose(A, 10).pivots.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_runs_are_bitwise_alike(dtype: type) -> None:
    A = random_matrix(60, 30000).astype(dtype)
    first, second = choose(A, 40), choose(A, 40)
    assert torch.equal(first.pivots, second.pivots)
    assert torch.equal(first.r_diagonal, second.r_diagonal)


def test_messages() -> None:
    A = random_matrix(5, 300)
    A[3, 299] = np.nan
    with pytest.raises(ValueError, match="A: expected finite numbers, got 1 that are NaN or infinite"):
        choose(A, 2)
    with pytest.raises(ValueError, match="A: expected a column that is not zero"):
        choose(np.zeros((4, 30)), 2)


def test_no_synchronisation_between_pivots() -> None:
    """All launches go out before anything is read: the kernels themselves run where synchronising is an error."""
    A = torch.from_numpy(random_matrix(50, 20000)).cuda()
    arguments = (A, 8, NO_CONSTRAINTS, rounding_level(A))
    _launch(*arguments)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        pivots, _, _ = _launch(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert pivots.tolist() == pinn_ext.pivoted_qr(A, 8).pivots.tolist()


@pytest.mark.parametrize("kind", ["gaussian", "sparse_sign"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sketches(kind: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    for num_rows, r, n in [(1, 1, 1), (8, 70, 513), (22, 1100, 300), (70, 40, 2000)]:
        A = torch.randn(r, n, generator=generator, dtype=torch.float64).to("cuda", dtype)
        got = pinn_ext.sketch_rows(A, num_rows, seed=5, kind=kind, row_offset=7)
        wanted = selection.sketch_rows(A.double(), num_rows, seed=5, kind=kind, row_offset=7)
        error = ((got.double() - wanted).abs().max() / wanted.abs().max()).item()
        assert error <= (KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(r, 1.0))
        out = torch.zeros_like(got)
        for start in range(0, r, 37):
            block = A[start : start + 37]
            pinn_ext.sketch_rows(block, num_rows, seed=5, kind=kind, row_offset=7 + start, out=out)
        assert torch.equal(out, got)


def test_randomized_agrees_with_the_cpu() -> None:
    A = random_matrix(200, 4000, decay=0.8)
    got, wanted = (choose(A, 12, method="randomized"), pinn_ext.pivoted_qr(A, 12, method="randomized"))
    assert got.method == "randomized"
    assert got.pivots.tolist() == wanted.pivots.tolist()
