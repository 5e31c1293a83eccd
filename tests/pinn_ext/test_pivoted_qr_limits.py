"""Weights, costs and constraints of a choice: against the oracle, and each with a control that breaks it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pivot_cases import limit_cases, oracle, random_matrix, violations

import pinn_ext

N = 6000  # many blocks
CASES = limit_cases(N)
every_limit = pytest.mark.parametrize("name", CASES)


@every_limit
@pytest.mark.parametrize(("dtype", "c"), [(torch.float32, 2), (torch.float64, 0)])
def test_same_as_the_oracle(name: str, dtype: torch.dtype, c: int) -> None:
    A = torch.from_numpy(random_matrix(40, N, c, decay=1.0)).to(dtype)
    wanted = oracle(A.numpy(), 15, **CASES[name])
    got = pinn_ext.pivoted_qr(A, 15, **CASES[name])
    assert got.pivots.tolist() == wanted.pivots.tolist()
    assert got.rank == wanted.rank
    free = pinn_ext.pivoted_qr(A, 15)
    assert free.pivots.tolist() != got.pivots.tolist()  # the limit was one


@every_limit
def test_same_as_the_oracle_beyond_the_rank(name: str) -> None:
    A = random_matrix(6, N, decay=1.0)
    wanted = oracle(A, 15, **CASES[name])
    got = pinn_ext.pivoted_qr(A, 15, **CASES[name])
    assert got.rank == wanted.rank == 6
    assert got.pivots.tolist() == wanted.pivots.tolist()


@pytest.mark.parametrize("name", ["forbidden", "forced", "distance", "regions", "together"])
def test_constraints_hold_for_a_sketch(name: str) -> None:
    A = random_matrix(40, N, decay=1.0)
    got = pinn_ext.pivoted_qr(A, 15, method="randomized", **CASES[name])
    assert violations(got.pivots.tolist(), CASES[name]) == 0
    # the control: without them the same choice breaks them
    free = pinn_ext.pivoted_qr(A, 15, method="randomized")
    assert violations(free.pivots.tolist(), CASES[name]) > 0


def test_weights_scale_columns() -> None:
    A, weights = random_matrix(20, 3000), CASES["weights"]["weights"][:3000]
    for k in (20, 30):  # and beyond the rank
        scaled = pinn_ext.pivoted_qr(A * weights, k)
        got = pinn_ext.pivoted_qr(A, k, weights=weights)
        assert got.pivots.tolist() == scaled.pivots.tolist()
        lengths = scaled.r_diagonal[:20] / weights[scaled.pivots[:20]]
        assert np.allclose(got.r_diagonal[:20], lengths, rtol=1e-10, atol=0)


def test_a_weight_of_zero_forbids() -> None:
    A = random_matrix(10, 500)
    weights = np.ones(500)
    weights[pinn_ext.pivoted_qr(A, 5).pivots] = 0
    got = pinn_ext.pivoted_qr(A, 10, weights=weights)
    assert (weights[got.pivots] == 1).all()
    assert got.pivots.tolist() == pinn_ext.pivoted_qr(A, 10, forbidden=weights == 0).pivots.tolist()


def test_large_costs_move_the_choice() -> None:
    A = random_matrix(10, 500, decay=1.0)
    costs = np.zeros(500)
    costs[:250] = 1e3
    assert (pinn_ext.pivoted_qr(A, 10, costs=costs).pivots >= 250).all()
    assert (pinn_ext.pivoted_qr(A, 10).pivots < 250).any()


def test_a_forced_candidate_that_adds_nothing() -> None:
    A = random_matrix(10, 500)
    A[:, 7] = 2 * A[:, 3]
    got = pinn_ext.pivoted_qr(A, 6, forced=[3, 7])
    assert got.pivots[:2].tolist() == [3, 7]
    assert got.r_diagonal[1] == 0
    assert got.rank == 5
    assert np.isfinite(got.log_volume)


def test_masks_and_indices_forbid_alike() -> None:
    A = random_matrix(10, 500)
    mask = np.zeros(500, bool)
    mask[100:300] = True
    by_mask = pinn_ext.pivoted_qr(A, 10, forbidden=mask)
    by_index = pinn_ext.pivoted_qr(A, 10, forbidden=torch.arange(100, 300))
    assert by_mask.pivots.tolist() == by_index.pivots.tolist()
