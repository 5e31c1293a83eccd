"""What pivoted_qr refuses, and what it says: what was wanted, and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pivot_cases import random_matrix

import pinn_ext

A = random_matrix(5, 40)
WHOLE = np.arange(40) % 4
PLACES = np.arange(40.0)[:, None]


class Exporter:
    """Offers DLPack, and answers with something else."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __dlpack__(self, **_: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


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
        (Exporter(RuntimeError("nothing here")), TypeError, r"A: expected .*DLPack\), got Exporter .*nothing here"),
        (Exporter("no capsule"), TypeError, r"A: expected .*DLPack\), got Exporter"),
        (Exporter, TypeError, r"A: expected .*DLPack\), got .*Exporter"),
        (np.ones((2, 3), complex), ValueError, r"A: expected .*, got \[2, 3\] complex128"),
        (np.float64(3), TypeError, r"A: expected .*, got float64"),
        (torch.ones(2, 3, device="meta"), ValueError, r"A: expected a dense matrix on cpu or cuda, .* on meta"),
        (
            np.ma.masked_greater(np.arange(6.0).reshape(2, 3), 3),
            ValueError,
            "A: expected .*mask, got 2 masked ones of 6",
        ),
        (torch.ones(2, 3, requires_grad=True), ValueError, r"A: expected .* not differentiable.*pass A.detach\(\)"),
    ],
)
def test_matrices(matrix: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pinn_ext.pivoted_qr(matrix, 1)


@pytest.mark.parametrize("method", ["exact", "randomized"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite(method: str, wrong: float) -> None:
    for place, dtype in (
        ((0, 0), np.float32),
        ((4, 39), np.float64),
        ((2, 4321), np.float32),
        ((39, 8999), np.float64),
    ):
        matrix = random_matrix(40, 9000).astype(dtype)
        matrix[place] = wrong
        with pytest.raises(
            ValueError, match=r"A: expected finite numbers, got 1 that are NaN or infinite, \[40, 9000\]"
        ):
            pinn_ext.pivoted_qr(matrix, 5, method=method)


@pytest.mark.parametrize("method", ["exact", "randomized"])
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
        ("3", TypeError, "k: expected a whole number, got str '3'"),
        (None, TypeError, "k: expected a whole number, got NoneType None"),
        (10**30, ValueError, "k: expected 1 to 40, the candidates of A, got 10{30}"),
    ],
)
def test_k(k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pinn_ext.pivoted_qr(A, k)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fast"}, "method: expected one of exact, randomized, got 'fast'"),
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "heavy"}, "weights: expected 40 finite numbers, one for each candidate, got str 'heavy'"),
        ({"weights": ["1"] * 5000}, r"weights: expected 40 finite numbers, .*, got list \['1', .{100,160}\.\.\.$"),
        ({"weights": np.ones(40, complex)}, "weights: expected 40 finite numbers"),
        ({"weights": np.ones(40, bool)}, "weights: expected 40 finite numbers"),
        ({"weights": torch.ones(40, device="meta")}, "weights: expected .* dense and in memory, got .* on meta"),
        ({"costs": torch.ones(40).to_sparse()}, "costs: expected .* dense and in memory, got .*sparse"),
        ({"costs": np.ma.masked_greater(np.arange(40.0), 30)}, "costs: expected numbers without a mask, got 9 masked"),
        ({"costs": (1.0 for _ in range(40))}, "costs: expected 40 finite numbers, .*, got generator"),
        ({"forced": "first"}, "forced: expected indices from 0 to 39, got str 'first'"),
        ({"forced": {1, 2}}, r"forced: expected indices from 0 to 39, got set {1, 2}"),
        ({"forced": [2**70]}, "forced: expected indices from 0 to 39, got list"),
        ({"forced": np.ones(40, bool)}, r"forced: expected indices from 0 to 39, got \[40\] bool"),
        ({"forced": [[1, 2]]}, r"forced: expected indices from 0 to 39, got \[1, 2\] int64"),
        ({"forbidden": [[True] * 40]}, r"forbidden: expected a mask of 40 bools, or indices, got \[1, 40\] bool"),
        ({"positions": PLACES > 3, "min_distance": 1.0}, r"positions: expected coordinates \[40, d\], got .* bool"),
        ({"positions": PLACES * np.nan, "min_distance": 1.0}, "positions: expected finite coordinates, got NaN"),
        ({"positions": np.zeros((40, 0)), "min_distance": 1.0}, r"positions: expected .*, got \[40, 0\]"),
        ({"positions": PLACES, "min_distance": float("nan")}, "min_distance: expected a number above 0, got nan"),
        ({"positions": PLACES, "min_distance": float("inf")}, "min_distance: expected a number above 0, got inf"),
        ({"positions": PLACES, "min_distance": "2"}, "min_distance: expected a number above 0, got str '2'"),
        ({"positions": PLACES, "min_distance": [1, 2]}, r"min_distance: expected a number above 0, got list \[1, 2\]"),
        ({"positions": PLACES, "min_distance": 2 + 0j}, "min_distance: expected a number above 0, got complex"),
        ({"positions": PLACES, "min_distance": True}, "min_distance: expected a number above 0, got bool True"),
        ({"positions": PLACES, "min_distance": 10**400}, "min_distance: expected a number above 0, got int 10+"),
        (
            {"regions": WHOLE + 10**12, "max_per_region": 2},
            "regions: expected labels from 0 to 16777215, got 1000000000003",
        ),
        ({"regions": WHOLE[:, None], "max_per_region": 2}, r"regions: expected 40 whole numbers from 0, got \[40, 1\]"),
        ({"regions": WHOLE, "max_per_region": 1.5}, "max_per_region: expected a whole number"),
        ({"regions": WHOLE, "max_per_region": True}, "max_per_region: expected a whole number"),
        ({"regions": WHOLE, "max_per_region": 2**70}, "max_per_region: expected a whole number"),
        ({"regions": WHOLE, "max_per_region": [2, 2, 2, -1]}, "max_per_region: expected numbers >= 0, got -1"),
        ({"regions": WHOLE, "max_per_region": 0}, "k: expected at most 0, the candidates that the constraints leave"),
        ({"regions": WHOLE, "max_per_region": [9, 0, 9, 9], "forced": [1]}, "forced: .*, got more in region 1"),
        ({"seed": 1.5}, "seed: expected a whole number, got float 1.5"),
        ({"seed": 2**63}, "seed: expected 0 to 9223372036854775807"),
        ({"oversampling": "ten"}, "oversampling: expected a whole number, got str 'ten'"),  # of any method
        ({"method": ["exact"]}, r"method: expected one of exact, randomized, got \['exact'\]"),
        ({"sketch": None}, "sketch: expected one of gaussian, sparse_sign, got None"),
    ],
)
def test_what_an_adversary_passes(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        pinn_ext.pivoted_qr(A, 5, **options)


def test_arrays_that_torch_takes_no_view_of() -> None:
    weights = np.linspace(1, 2, 40)
    wanted = pinn_ext.pivoted_qr(A, 5, weights=weights).pivots.tolist()
    read_only = weights.copy()
    read_only.flags.writeable = False
    for form in (weights.astype(">f8"), weights[::-1].copy()[::-1], np.repeat(weights, 2)[::2], read_only):
        assert pinn_ext.pivoted_qr(A, 5, weights=form).pivots.tolist() == wanted
    assert pinn_ext.pivoted_qr(A, 5, forced=np.arange(6)[::-2]).pivots[:3].tolist() == [5, 3, 1]


@pytest.mark.parametrize("method", ["exact", "randomized"])
@pytest.mark.parametrize(("dtype", "large"), [(np.float32, 3e38), (np.float64, 1e300)])
def test_a_forbidden_number_may_be_large(method: str, dtype: type, large: float) -> None:
    """Its square overflows; what is allowed would vanish beside it."""
    matrix = (1e-8 * random_matrix(40, 900)).astype(dtype)
    wanted = pinn_ext.pivoted_qr(matrix, 5, method=method, forbidden=[7])
    matrix[:, 7] = large
    got = pinn_ext.pivoted_qr(matrix, 5, method=method, forbidden=[7])
    assert got.pivots.tolist() == wanted.pivots.tolist()
    assert np.allclose(got.r_diagonal, wanted.r_diagonal, rtol=1e-5, atol=0)
