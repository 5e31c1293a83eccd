"""Sketches of rows: the words of Philox, the oracle, what is bitwise alike, and the messages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

import pinn_ext
from pinn_ext.reference import selection

KINDS = ("gaussian", "sparse_sign")
every_kind = pytest.mark.parametrize("kind", KINDS)


def matrix(r: int, n: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(r, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers_of_philox(counter: list[int], key: tuple[int, int], words: list[int]) -> None:
    """The vectors of Random123; the kernels' own generator has them in tests/cpp."""
    assert selection.philox4x32(counter, key).tolist() == words


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_rows", [1, 3, 7, 8, 9, 22, 49, 130])
def test_same_numbers_as_the_oracle(kind: str, num_rows: int, dtype: torch.dtype) -> None:
    for r, n in [(1, 1), (7, 15), (8, 16), (9, 100), (40, 49), (1030, 5), (13, 3000)]:
        A = matrix(r, n, dtype)
        offset = 0 if n % 2 else 2**33 + 5
        got = pinn_ext.sketch_rows(A, num_rows, seed=2**40 + 3, kind=kind, row_offset=offset)
        wanted = selection.sketch_rows(A.double(), num_rows, seed=2**40 + 3, kind=kind, row_offset=offset)
        error = ((got.double() - wanted).abs().max() / wanted.abs().max()).item()
        bound = KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(r, 1.0)
        assert got.dtype == dtype
        assert error <= bound, (r, n)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blocks_of_rows_give_the_bits_of_all(kind: str, dtype: torch.dtype) -> None:
    A = matrix(1100, 333, dtype)
    whole = pinn_ext.sketch_rows(A, 22, seed=1, kind=kind)
    for blocks in ([1100], [1, 7, 8, 9, 500, 575], [550, 550], [1, 1099]):
        out = torch.zeros_like(whole)
        offset = 0
        for block in A.split(blocks):
            assert pinn_ext.sketch_rows(block, 22, seed=1, kind=kind, row_offset=offset, out=out) is out
            offset += len(block)
        assert torch.equal(out, whole), blocks


@every_kind
def test_ranks_add_up_to_rounding(kind: str) -> None:
    A = matrix(900, 50)
    parts = [
        pinn_ext.sketch_rows(A[start : start + 300], 22, seed=1, kind=kind, row_offset=start) for start in (0, 300, 600)
    ]
    whole = pinn_ext.sketch_rows(A, 22, seed=1, kind=kind)
    assert ((sum(parts) - whole).abs().max() / whole.abs().max()).item() <= KERNEL_FLOAT64


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.usefixtures("restored_threads")
def test_threads_and_columns_change_no_bit(kind: str, dtype: torch.dtype) -> None:
    A = matrix(70, 5000, dtype)
    torch.set_num_threads(1)
    whole = pinn_ext.sketch_rows(A, 31, seed=4, kind=kind)
    for threads in (2, 3, 7):
        torch.set_num_threads(threads)
        assert torch.equal(pinn_ext.sketch_rows(A, 31, seed=4, kind=kind), whole)
    for columns in (slice(0, 1), slice(3, 50), slice(1000, 4999)):
        assert torch.equal(pinn_ext.sketch_rows(A[:, columns], 31, seed=4, kind=kind), whole[:, columns])
    assert torch.equal(pinn_ext.sketch_rows(A[:, ::7], 31, seed=4, kind=kind), whole[:, ::7])
    assert torch.equal(pinn_ext.sketch_rows(A.t().contiguous().t(), 31, seed=4, kind=kind), whole)


@every_kind
def test_distribution(kind: str) -> None:
    """Unit variance after scaling, no correlation between rows and columns of S, all places alike."""
    num_rows, r = 24, 20000
    S = pinn_ext.sketch_rows(torch.eye(r, 2000, dtype=torch.float64), num_rows, seed=9, kind=kind)
    S = torch.cat([S, selection.sketch_matrix(num_rows, r - 2000, seed=9, kind=kind, row_offset=2000)], 1)
    six_sigma = 6.0 / S.numel() ** 0.5
    assert abs(S.mean().item()) * num_rows**0.5 < six_sigma
    squares = S.square().sum(0)
    if kind == "gaussian":
        assert abs(squares.mean().item() - 1.0) < six_sigma * 2**0.5
        for z in (0.5, 1.0, 2.0, 3.0):
            expected = float(torch.special.erf(torch.tensor(z / 2**0.5, dtype=torch.float64)))
            assert abs(((S * num_rows**0.5).abs() < z).double().mean().item() - expected) < six_sigma
    else:
        assert torch.allclose(squares, torch.ones_like(squares), rtol=1e-12)
        assert ((S != 0).sum(0) == 8).all()
        # each place has a third of the columns
        assert ((S != 0).double().mean(1) - 1 / 3).abs().max().item() < 6.0 * (2 / 9 / r) ** 0.5
    correlation = S @ S.t() * num_rows / r - torch.eye(num_rows, dtype=torch.float64)
    assert correlation.abs().max().item() < 8.0 / r**0.5


@every_kind
def test_lengths_survive(kind: str) -> None:
    """On a span of 5 dimensions 400 rows keep lengths within a fifth; a sketch of one sign for all would not."""
    A = matrix(2000, 5)
    Q, _ = torch.linalg.qr(A)
    values = torch.linalg.svdvals(pinn_ext.sketch_rows(Q.contiguous(), 400, seed=2, kind=kind))
    assert 0.8 < values.min().item() <= values.max().item() < 1.2


def test_seeds_kinds_and_rows_differ() -> None:
    A = matrix(10, 4)
    base = pinn_ext.sketch_rows(A, 5, seed=0)
    assert not torch.equal(base, pinn_ext.sketch_rows(A, 5, seed=1))
    assert not torch.equal(base, pinn_ext.sketch_rows(A, 5, seed=2**32))
    assert not torch.equal(base, pinn_ext.sketch_rows(A, 5, seed=0, kind="sparse_sign"))
    assert not torch.equal(base, pinn_ext.sketch_rows(A, 5, seed=0, row_offset=1))
    assert not torch.equal(base, pinn_ext.sketch_rows(A, 5, seed=0, row_offset=2**32))


@every_kind
def test_empty(kind: str) -> None:
    assert pinn_ext.sketch_rows(torch.zeros(3, 0), 4, seed=0, kind=kind).shape == (4, 0)
    assert torch.equal(pinn_ext.sketch_rows(torch.zeros(0, 3), 4, seed=0, kind=kind), torch.zeros(4, 3))
    out = torch.ones(4, 3)
    assert torch.equal(pinn_ext.sketch_rows(torch.zeros(0, 3), 4, seed=0, kind=kind, out=out), torch.ones(4, 3))


@every_kind
def test_not_finite_stays(kind: str) -> None:
    A = matrix(20, 40, torch.float32)
    A[3, 5] = float("nan")
    assert pinn_ext.sketch_rows(A, 8, seed=0, kind=kind)[:, 5].isnan().any()
    assert pinn_ext.sketch_rows(A, 8, seed=0, kind=kind)[:, :5].isfinite().all()


@every_kind
def test_operator(kind: str) -> None:
    A = matrix(20, 30)
    for start in (None, torch.ones(6, 30, dtype=torch.float64)):
        torch.library.opcheck(torch.ops.pinn_ext.sketch_rows.default, (A, start, 6, 3, kind, 0))

    def step(block: Tensor, out: Tensor) -> Tensor:
        return pinn_ext.sketch_rows(block, 6, seed=3, kind=kind, out=out) * 2

    compiled = torch.compile(step, fullgraph=True, backend="eager")
    assert torch.equal(compiled(A, torch.ones(6, 30, dtype=A.dtype)), step(A, torch.ones(6, 30, dtype=A.dtype)))


def test_no_gradient() -> None:
    A = matrix(4, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="sketch_rows: expected to be differentiated no further"):
        pinn_ext.sketch_rows(A, 2, seed=0).sum().backward()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"A": torch.zeros(4)}, ValueError, r"A: expected shape \[r, n\] float32 or float64, got \[4\]"),
        ({"A": np.zeros((4, 2))}, TypeError, r"A: expected a tensor of shape \[r, n\]"),
        ({"A": torch.zeros(4, 2, dtype=torch.float16)}, ValueError, r"A: expected shape .* got \[4, 2\] float16"),
        ({"num_rows": 0}, ValueError, r"num_rows: expected 1 to 2147483647, got 0"),
        ({"num_rows": 2.0}, TypeError, r"num_rows: expected a whole number, got float 2.0"),
        ({"seed": -1}, ValueError, r"seed: expected 0 to 9223372036854775807, got -1"),
        ({"seed": None}, TypeError, r"seed: expected a whole number"),
        ({"row_offset": -3}, ValueError, r"row_offset: expected 0 to"),
        ({"kind": "srht"}, ValueError, r"kind: expected one of gaussian, sparse_sign, got 'srht'"),
        ({"out": torch.zeros(3, 3)}, ValueError, r"out: expected shape \[2, 3\]"),
        ({"out": torch.zeros(2, 3, dtype=torch.float64)}, ValueError, r"out: expected float32 on cpu like A"),
        ({"out": torch.zeros(3, 2).t()}, ValueError, r"out: expected a contiguous tensor, got strides \[1, 2\]"),
    ],
)
def test_messages(change: dict[str, object], error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {"A": torch.zeros(4, 3), "num_rows": 2, "seed": 0} | change
    with pytest.raises(error, match=message):
        pinn_ext.sketch_rows(**arguments)  # type: ignore[arg-type]


def test_a_sum_that_would_be_lost_or_wrong() -> None:
    A = matrix(4, 3)
    with pytest.raises(ValueError, match="out: expected memory of its own, got a part of A"):
        pinn_ext.sketch_rows(A, 2, seed=0, out=A[1:3])
    leaf = torch.zeros(2, 3, dtype=A.dtype, requires_grad=True)
    with pytest.raises(ValueError, match="out: expected a tensor that may be written to, got a leaf"):
        pinn_ext.sketch_rows(A, 2, seed=0, out=leaf)
    both = torch.zeros(6, 3, dtype=A.dtype)  # neighbours in memory are no part of one another
    both[:4] = A
    got = pinn_ext.sketch_rows(both[:4], 2, seed=0, out=both[4:])
    assert torch.equal(got, pinn_ext.sketch_rows(A, 2, seed=0))
