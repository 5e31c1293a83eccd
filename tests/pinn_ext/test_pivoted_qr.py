"""Pivots against LAPACK and the oracle, invariants, ties, ranks, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from pivot_cases import graded_matrix, oracle, random_matrix, smooth_modes
from tolerances import pivot_length

import pinn_ext
from pinn_ext.reference import selection

DTYPES = (torch.float32, torch.float64)
METHODS = ("exact", "randomized")
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_method = pytest.mark.parametrize("method", METHODS)

MATRICES = {
    "random": lambda: random_matrix(30, 5000),
    "even": lambda: random_matrix(30, 5000, decay=1.0),
    "smooth": lambda: smooth_modes(64, 6),
    "tall": lambda: random_matrix(500, 40, decay=0.99),
    "square": lambda: random_matrix(33, 33),
    "one row": lambda: random_matrix(1, 1000),
    "one column": lambda: random_matrix(7, 1),
    "block + 1": lambda: random_matrix(5, 129),
    "wide block - 1": lambda: random_matrix(8, 65535, decay=0.8),
}


@every_dtype
@pytest.mark.parametrize("name", MATRICES)
def test_pivots_of_lapack(name: str, dtype: torch.dtype) -> None:
    A = torch.from_numpy(MATRICES[name]()).to(dtype)
    R, pivots = scipy.linalg.qr(A.double().numpy(), mode="r", pivoting=True)
    most = min(A.shape)
    for k in {1, most // 2 or 1, most}:
        got = pinn_ext.pivoted_qr(A, k)
        assert got.pivots.tolist() == pivots[:k].tolist()
        assert got.rank == k
        assert got.pivots.dtype == torch.int64
        assert got.r_diagonal.dtype == dtype
        lengths = np.abs(np.diag(R))[:k]
        assert np.abs(got.r_diagonal.double().numpy() - lengths).max() <= pivot_length(dtype) * lengths[0]
        assert got.log_volume == pytest.approx(
            np.log(lengths).sum(), abs=k * pivot_length(dtype, lengths[0] / lengths[-1])
        )


def test_graded_to_condition_1e12() -> None:
    A = graded_matrix(40, 3000, 1e12)
    R, pivots = scipy.linalg.qr(A, mode="r", pivoting=True)
    got = pinn_ext.pivoted_qr(A, 40)
    assert got.rank == 40
    assert got.pivots.tolist() == pivots[:40].tolist()
    assert np.abs(got.r_diagonal - np.abs(np.diag(R))).max() <= pivot_length(torch.float64) * got.r_diagonal[0]


def test_float32_keeps_its_last_digits() -> None:
    """Float alone could not tell residuals below 1e-3 of the longest column: these go down to 3e-6."""
    A = graded_matrix(30, 3000, 1e5).astype(np.float32)
    wanted = oracle(A, 30)
    got = pinn_ext.pivoted_qr(A, 30)
    assert wanted.rank == 30
    assert got.pivots.tolist() == wanted.pivots.tolist()


@every_method
@every_dtype
@pytest.mark.parametrize("c", [0, 2, 3])
def test_invariants(method: str, dtype: torch.dtype, c: int) -> None:
    A = torch.from_numpy(random_matrix(50, 9000, c)).to(dtype)
    got = pinn_ext.pivoted_qr(A, 10, method=method)
    assert got.method == method
    assert len(set(got.pivots.tolist())) == 10
    chosen = A[:, got.pivots].double().reshape(50, -1)
    # |res_j|^2: what is left of the candidate's columns, by an explicit orthonormal basis of those before
    width = max(c, 1)
    for s in range(10):
        Q = np.linalg.qr(chosen[:, : s * width].numpy())[0]
        own = chosen[:, s * width : (s + 1) * width].numpy()
        length = np.linalg.norm(own - Q @ (Q.T @ own))
        assert abs(float(got.r_diagonal[s]) - length) <= pivot_length(dtype) * float(got.r_diagonal.max())
    if method == "exact":
        assert (got.r_diagonal.diff() <= 0).all()
    if not c:
        volume = selection.log_volume(A.numpy(), got.pivots.numpy())
        assert got.log_volume == pytest.approx(volume, abs=10 * pivot_length(dtype, 10.0))


@every_dtype
@pytest.mark.parametrize("c", [2, 3])
def test_components_are_those_of_the_oracle(dtype: torch.dtype, c: int) -> None:
    A = torch.from_numpy(random_matrix(20, 1500, c)).to(dtype)
    wanted = oracle(A.numpy(), 12)
    got = pinn_ext.pivoted_qr(A, 12)
    assert got.rank == wanted.rank < 12  # 20 rows are used up before 12 sensors of c components
    assert got.pivots.tolist() == wanted.pivots.tolist()
    single = pinn_ext.pivoted_qr(A[:, :, :1], 12)
    assert single.pivots.tolist() == pinn_ext.pivoted_qr(A[:, :, 0], 12).pivots.tolist()
    assert single.pivots.tolist() != got.pivots.tolist()


# --- ties ---------------------------------------------------------------------------------------------------------


@every_dtype
def test_ties_go_to_the_lowest(dtype: torch.dtype) -> None:
    assert pinn_ext.pivoted_qr(torch.eye(200, dtype=dtype), 200).pivots.tolist() == list(range(200))
    distinct = torch.from_numpy(random_matrix(12, 700)).to(dtype)
    order = torch.from_numpy(np.random.default_rng(3).permutation(2800))
    # Each column four times, spread over all blocks.
    shuffled = distinct.repeat(1, 4)[:, order]
    got = pinn_ext.pivoted_qr(shuffled, 12).pivots
    first = [int((order % 700 == p).nonzero()[0]) for p in pinn_ext.pivoted_qr(distinct, 12).pivots]
    assert got.tolist() == first
    assert got.tolist() == scipy.linalg.qr(shuffled.numpy(), mode="r", pivoting=True)[1][:12].tolist()


# --- rank ---------------------------------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("n", [100, 20000])
def test_beyond_the_rank_greedily_d_optimal(dtype: torch.dtype, n: int) -> None:
    rng = np.random.default_rng(4)
    for A in (rng.standard_normal((6, n)), rng.standard_normal((30, 5)) @ rng.standard_normal((5, n))):
        matrix = torch.from_numpy(A).to(dtype)
        wanted = oracle(matrix.numpy(), 20)
        got = pinn_ext.pivoted_qr(matrix, 20)
        assert got.rank == wanted.rank == np.linalg.matrix_rank(A)
        assert got.pivots.tolist() == wanted.pivots.tolist()
        assert (got.r_diagonal[got.rank :] == 0).all()
        # Each of them is better than the median candidate: neither grid order nor chance.
        chosen = A[:, got.pivots[: got.rank]]
        gains = (np.linalg.pinv(chosen) @ A) ** 2
        assert gains.sum(0)[got.pivots[got.rank]] > 2 * np.median(gains.sum(0))


@every_method
def test_constant_and_duplicate_columns(method: str) -> None:
    ones = pinn_ext.pivoted_qr(np.ones((5, 9000)), 7, method=method)
    assert ones.rank == 1
    assert len(set(ones.pivots.tolist())) == 7
    assert ones.pivots[0] == 0
    twice = np.repeat(random_matrix(10, 4000, seed=5), 2, axis=1)
    got = pinn_ext.pivoted_qr(twice, 10, method=method)
    assert got.rank == 10
    assert len({p // 2 for p in got.pivots.tolist()}) == 10


@every_method
@every_dtype
def test_numbers_whose_squares_are_out_of_range(method: str, dtype: torch.dtype) -> None:
    A = torch.from_numpy(random_matrix(30, 3000)).to(dtype)
    plain = pinn_ext.pivoted_qr(A, 12, method=method)
    far = 100 if dtype == torch.float32 else 700
    for exponent in (-far, far):
        got = pinn_ext.pivoted_qr(torch.ldexp(A, torch.tensor(exponent)), 12, method=method)
        assert got.pivots.tolist() == plain.pivots.tolist()
        assert got.log_volume == pytest.approx(plain.log_volume + 12 * exponent * np.log(2.0), rel=1e-6)


# --- one choice, however it is computed ---------------------------------------------------------------------------


@every_dtype
def test_any_number_of_threads(dtype: torch.dtype, restored_threads: None) -> None:
    cases = [(random_matrix(40, 20001), 45), (smooth_modes(128, 6), 21), (random_matrix(12, 9000, 2), 9)]
    for matrix, k in cases:
        A = torch.from_numpy(matrix).to(dtype)
        results = []
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            got = pinn_ext.pivoted_qr(A, k)
            results.append((got.pivots.tolist(), got.r_diagonal.tolist(), got.rank))
        assert all(result == results[0] for result in results)


@pytest.mark.parametrize("sketch", ["gaussian", "sparse_sign"])
def test_randomized(sketch: str) -> None:
    A = random_matrix(200, 4000, decay=0.8)
    exact = pinn_ext.pivoted_qr(A, 12)
    got = pinn_ext.pivoted_qr(A, 12, method="randomized", sketch=sketch)
    again = pinn_ext.pivoted_qr(A, 12, method="randomized", sketch=sketch)
    other = pinn_ext.pivoted_qr(A, 12, method="randomized", sketch=sketch, seed=1)
    assert got.pivots.tolist() == again.pivots.tolist() != other.pivots.tolist()
    assert got.log_volume > exact.log_volume - 3
    assert got.rank == 12
    assert got.method == "randomized"
    R = np.linalg.qr(A[:, got.pivots], mode="r")
    assert np.abs(got.r_diagonal - np.abs(np.diag(R))).max() <= pivot_length(torch.float64) * got.r_diagonal[0]


def test_a_sketch_has_rows_for_all_components() -> None:
    """6 candidates of 3 columns span 18 dimensions, more than 6 + 10 rows."""
    A = random_matrix(200, 500, 3, decay=0.9)
    got = pinn_ext.pivoted_qr(A, 6, method="randomized", oversampling=2)
    assert got.rank == 6
    assert got.log_volume > pinn_ext.pivoted_qr(A, 6).log_volume - 2


def test_a_sketch_of_many_rows_has_the_rank_of_the_matrix() -> None:
    """The rounding of 20,000 products in a sketch adds no directions."""
    rng = np.random.default_rng(3)
    A = (rng.standard_normal((20000, 4)) @ rng.standard_normal((4, 300))).astype(np.float32)
    got = pinn_ext.pivoted_qr(A, 8, method="randomized")
    assert got.rank == 4
    assert len(set(got.pivots.tolist())) == 8


def test_where_a_sketch_has_nothing_to_gain() -> None:
    A = random_matrix(20, 300)
    got, exact = pinn_ext.pivoted_qr(A, 10, method="randomized"), pinn_ext.pivoted_qr(A, 10)
    assert got.method == "exact"
    assert got.pivots.tolist() == exact.pivots.tolist()
    assert pinn_ext.pivoted_qr(A, 10, method="randomized", oversampling=9).method == "randomized"


# --- what comes in ------------------------------------------------------------------------------------------------


def test_arrays_of_all_kinds() -> None:
    A = random_matrix(8, 300)
    wanted = pinn_ext.pivoted_qr(torch.from_numpy(A), 8)
    assert isinstance(wanted.pivots, torch.Tensor)
    read_only = A.copy()
    read_only.flags.writeable = False
    for array in (A, np.asfortranarray(A), np.ascontiguousarray(A[:, ::-1])[:, ::-1], A.astype(">f8"), read_only):
        got = pinn_ext.pivoted_qr(array, 8)
        assert isinstance(got.pivots, np.ndarray)
        assert isinstance(got.r_diagonal, np.ndarray)
        assert got.pivots.tolist() == wanted.pivots.tolist()

    class Capsule:  # of another library
        def __dlpack__(self, **options: object) -> object:
            return torch.from_numpy(A).__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return torch.from_numpy(A).__dlpack_device__()

    assert pinn_ext.pivoted_qr(Capsule(), 8).pivots.tolist() == wanted.pivots.tolist()
    transposed = torch.from_numpy(A.T.copy()).T
    assert not transposed.is_contiguous()
    assert pinn_ext.pivoted_qr(transposed, 8).pivots.tolist() == wanted.pivots.tolist()


def test_a_compiled_function_may_choose() -> None:
    A = torch.from_numpy(random_matrix(8, 300))

    def choose(matrix: torch.Tensor) -> torch.Tensor:
        pivots: torch.Tensor = pinn_ext.pivoted_qr(2 * matrix, 5).pivots
        return pivots + 0

    assert torch.compile(choose, backend="eager")(A).tolist() == choose(A).tolist()
