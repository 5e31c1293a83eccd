"""What pivoted_qr refuses, and what it says: what was wanted, and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pivot_cases import random_matrix

import pinn_ext

A = random_matrix(5, 40)


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        ([[1.0, 2.0]], TypeError, r"A: expected \[r, n\] or \[r, n, c\] .*DLPack.*, got list"),
        (np.ones((2, 3), dtype=np.int64), ValueError, r"A: expected .*float32 or float64, got \[2, 3\] int64"),
        (torch.ones(2, 3, dtype=torch.float16), ValueError, r"A: expected .*, got \[2, 3\] float16 on cpu"),
        (np.ones(3), ValueError, r"A: expected .*, got \[3\] float64"),
        (np.ones((2, 3, 1, 1)), ValueError, r"A: expected .*, got \[2, 3, 1, 1\] float64"),
        (np.ones((0, 3)), ValueError, r"A: expected at least one row and one candidate, got \[0, 3\]"),
        (np.ones((3, 0)), ValueError, r"A: expected at least one row and one candidate, got \[3, 0\]"),
        (np.zeros((3, 9)), ValueError, r"A: expected a column that is not zero, got zeros, \[3, 9\]"),
        (torch.ones(2, 3).to_sparse(), ValueError, r"A: expected a dense matrix"),
        (torch.ones(2, 3, requires_grad=True), ValueError, r"A: expected .* not differentiable.*pass A.detach\(\)"),
    ],
)
def test_matrices(matrix: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pinn_ext.pivoted_qr(matrix, 1)


@pytest.mark.parametrize("method", ["exact", "tournament", "randomized"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [(0, 0), (4, 39), (2, 4321), (39, 8999)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_number_that_is_not_finite(method: str, wrong: float, place: tuple[int, int], dtype: type) -> None:
    matrix = random_matrix(40, 9000).astype(dtype)
    matrix[place] = wrong
    with pytest.raises(ValueError, match=r"A: expected finite numbers, got 1 that are NaN or infinite, \[40, 9000\]"):
        pinn_ext.pivoted_qr(matrix, 5, method=method)


@pytest.mark.parametrize("method", ["exact", "tournament", "randomized"])
def test_zeros_alone(method: str) -> None:
    with pytest.raises(ValueError, match="A: expected a column that is not zero, got zeros"):
        pinn_ext.pivoted_qr(np.zeros((40, 9000)), 5, method=method)
    lonely = np.zeros((40, 9000))
    lonely[:, 7] = 1
    with pytest.raises(ValueError, match="A: expected an allowed column that is not zero"):
        pinn_ext.pivoted_qr(lonely, 5, method=method, forbidden=[7])


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, "k: expected 1 to 40, the candidates of A, got 0"),
        (41, ValueError, "k: expected 1 to 40, the candidates of A, got 41"),
        (2.0, TypeError, "k: expected a whole number, got float 2.0"),
        (True, TypeError, "k: expected a whole number, got bool True"),
    ],
)
def test_k(k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pinn_ext.pivoted_qr(A, k)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fast"}, "method: expected one of exact, tournament, randomized, got 'fast'"),
        ({"weights": np.ones(39)}, r"weights: expected 40 finite numbers, one for each candidate, got \[39\]"),
        ({"weights": -np.ones(40)}, "weights: expected numbers >= 0, got -1"),
        ({"weights": np.full(40, np.nan)}, "weights: expected 40 finite numbers, .*, got 40 that are NaN"),
        ({"costs": np.full(40, np.inf)}, "costs: expected 40 finite numbers"),
        ({"forbidden": [40]}, "forbidden: expected indices from 0 to 39, got 40"),
        ({"forbidden": np.ones(39, bool)}, "forbidden: expected a mask of 40 bools, or indices"),
        ({"forbidden": range(36)}, "k: expected at most 4, the candidates that the constraints leave of 40, got 5"),
        ({"forced": [-1]}, "forced: expected indices from 0 to 39, got -1"),
        ({"forced": [0.5]}, "forced: expected indices from 0 to 39"),
        ({"forced": [3, 3]}, r"forced: expected distinct indices, got \[3, 3\]"),
        ({"forced": range(6)}, "forced: expected at most k = 5 indices, got 6"),
        ({"forced": [3], "forbidden": [3]}, r"forced, forbidden: expected no candidate in both, got \[3\]"),
        ({"forced": [0], "weights": np.arange(40.0)}, "weights, forced: expected a weight above 0"),
        ({"positions": np.ones((40, 2))}, "min_distance: expected with positions, got None"),
        ({"min_distance": 1.0}, "positions: expected with min_distance, got None"),
        ({"positions": np.ones(40), "min_distance": 1.0}, r"positions: expected coordinates \[40, d\], got \[40\]"),
        ({"positions": np.ones((40, 1)), "min_distance": 0.0}, "min_distance: expected a number above 0, got 0.0"),
        (
            {"positions": np.arange(40.0)[:, None], "min_distance": 2.5, "forced": [0, 2]},
            "forced: expected candidates at least min_distance = 2.5 from one another, got 2 at index 2",
        ),
        (
            {"positions": np.arange(40.0)[:, None], "min_distance": 25.0},
            "k: expected at most [12], which the constraints leave, got 5",
        ),
        ({"regions": np.zeros(40, int)}, "max_per_region: expected with regions, got None"),
        ({"max_per_region": 1}, "regions: expected with max_per_region, got None"),
        ({"regions": np.zeros(40), "max_per_region": 1}, "regions: expected 40 whole numbers from 0"),
        ({"regions": np.full(40, -1), "max_per_region": 1}, "regions: expected labels from 0, got -1"),
        (
            {"regions": np.arange(40) % 4, "max_per_region": [1, 2, 1]},
            "max_per_region: expected 4 numbers, one for each region, got 3",
        ),
        ({"regions": np.arange(40) % 4, "max_per_region": 1}, "k: expected at most 4, the candidates"),
        (
            {"regions": np.arange(40) % 4, "max_per_region": 2, "forced": [0, 4, 8]},
            "forced: expected at most max_per_region in each region, got more in region 0",
        ),
        ({"method": "randomized", "sketch": "srft"}, "sketch: expected one of gaussian, sparse_sign, got 'srft'"),
        ({"method": "randomized", "oversampling": -1}, "oversampling: expected a number >= 0, got -1"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pinn_ext.pivoted_qr(A, 5, **options)
