"""Pivoted QR and sketches on CUDA: the oracle, the CPU, constraints, repeated runs, and no look back at the host."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pivot_cases import graded_matrix, limit_cases, oracle, random_matrix, violations
from tolerances import KERNEL_FLOAT64, TOURNAMENT_LOG_VOLUME, kernel_float32, pivot_length

import pinn_ext
from pinn_ext import _pivots, reference_sketch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device (torch.cuda.is_available() is False)"),
]


@pytest.fixture(autouse=True)
def built_for_cuda() -> Iterator[None]:
    """A build without CUDA on a machine with a GPU is skipped by name, or fails where CUDA is required."""
    if pinn_ext.build_info().cuda_version is None:
        if os.environ.get("PINN_EXT_REQUIRE_CUDA"):
            pytest.fail("PINN_EXT_REQUIRE_CUDA is set, but pinn_ext was built without CUDA")
        pytest.skip("pinn_ext was built without CUDA (set PINN_EXT_REQUIRE_CUDA to make this a failure)")
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


MANY = 21000  # several rounds of a tournament


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("r", "n", "c", "k", "parts"),
    [(100, 60000, 0, 12, 1), (40, MANY, 3, 6, 1), (12, MANY, 0, 12, 2), (60, 9000, 0, 40, 4)],
)
def test_a_tournament_loses_little(r: int, n: int, c: int, k: int, parts: int, dtype: type) -> None:
    """parts: how many times as much as twelve of a hundred rows may lose."""
    A = random_matrix(r, n, c, decay=0.97).astype(dtype)
    exact, got, again = choose(A, k), choose(A, k, method="tournament"), choose(A, k, method="tournament")
    assert got.method == "tournament"
    assert got.rank == k == len(set(got.pivots.tolist()))
    assert got.log_volume >= exact.log_volume - parts * TOURNAMENT_LOG_VOLUME
    assert got.pivots[0] == exact.pivots[0]  # the longest column wins every heat
    assert torch.equal(got.pivots, again.pivots)
    assert torch.equal(got.r_diagonal, again.r_diagonal)


@pytest.mark.parametrize("name", limit_cases(MANY))
@pytest.mark.parametrize("c", [0, 2])
def test_a_tournament_with_constraints(name: str, c: int) -> None:
    A, limits = random_matrix(20, MANY, c, decay=1.0), limit_cases(MANY)[name]
    exact, got = choose(A, 9, **limits), choose(A, 9, method="tournament", **limits)
    assert got.method == "tournament"
    assert violations(got.pivots.tolist(), limits) == 0
    assert got.pivots[: len(limits.get("forced", []))].tolist() == limits.get("forced", [])
    if "costs" not in limits:  # which are no part of the volume
        assert got.log_volume >= exact.log_volume - 1


def test_a_tournament_whose_winners_exclude_one_another() -> None:
    """Room for 15 at best: winners of different heats leave fewer than k, and the rest is chosen from all."""
    limits = {"positions": np.arange(MANY, dtype=float)[:, None], "min_distance": 1400.0}
    got = choose(random_matrix(40, MANY, decay=1.0), 9, method="tournament", **limits)
    assert violations(got.pivots.tolist(), limits) == 0


@pytest.mark.parametrize("c", [0, 2])
def test_a_tournament_beyond_the_rank(c: int) -> None:
    A = random_matrix(6, MANY, c)
    A[4:] = 0
    got = choose(A, 11, method="tournament")
    assert got.rank == choose(A, 11).rank
    assert len(set(got.pivots.tolist())) == 11


def test_a_tournament_of_duplicates_and_zeros() -> None:
    """Of equal columns that meet the first is chosen."""
    A = random_matrix(20, 9000)
    A[:, 4000:4600] = 0
    got = choose(np.repeat(A, 2, axis=1), 10, method="tournament")
    assert all(pivot % 2 == 0 for pivot in got.pivots.tolist())


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_a_tournament_of_numbers_whose_squares_float_has_not(scale: float) -> None:
    A = random_matrix(20, MANY).astype(np.float32)
    got = choose(A * np.float32(scale), 8, method="tournament")
    assert got.pivots.tolist() == choose(A, 8, method="tournament").pivots.tolist()


def test_messages_of_a_tournament() -> None:
    A = random_matrix(5, MANY)
    A[3, MANY - 1] = np.nan
    with pytest.raises(ValueError, match="A: expected finite numbers, got 1 that are NaN or infinite"):
        choose(A, 2, method="tournament")
    with pytest.raises(ValueError, match="A: expected a column that is not zero"):
        choose(np.zeros((4, MANY)), 2, method="tournament")


def test_a_tournament_that_no_block_has_room_for() -> None:
    A = random_matrix(700, 9000, decay=1.0)
    _pivots._say_exact.cache_clear()
    with pytest.warns(UserWarning, match="method='tournament' on CUDA is answered by the exact choice"):
        got = choose(A, 5, method="tournament")
    assert got.method == "exact"
    assert got.pivots.tolist() == choose(A, 5).pivots.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has been said
        choose(A, 5, method="tournament")


@pytest.mark.parametrize("tournament", [False, True])
def test_no_synchronisation_between_pivots(tournament: bool) -> None:
    """All launches go out before anything is read: the operator itself runs where synchronising is an error."""
    A = torch.from_numpy(random_matrix(50, 20000)).cuda()
    forced = torch.zeros(0, dtype=torch.int64, device="cuda")
    arguments = (A, 8, None, None, None, forced, None, 0.0, None, None, _pivots.rounding_level(A), tournament)
    torch.ops.pinn_ext.pivoted_qr(*arguments)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        pivots, _, _ = torch.ops.pinn_ext.pivoted_qr(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    method = "tournament" if tournament else "exact"
    assert pivots.tolist() == pinn_ext.pivoted_qr(A, 8, method=method).pivots.tolist()


@pytest.mark.parametrize("kind", ["gaussian", "sparse_sign"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sketches(kind: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    for num_rows, r, n in [(1, 1, 1), (8, 70, 513), (22, 1100, 300), (70, 40, 2000)]:
        A = torch.randn(r, n, generator=generator, dtype=torch.float64).to("cuda", dtype)
        got = pinn_ext.sketch_rows(A, num_rows, seed=5, kind=kind, row_offset=7)
        wanted = reference_sketch.sketch_rows(A.double(), num_rows, seed=5, kind=kind, row_offset=7)
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
