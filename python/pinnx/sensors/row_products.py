"""Products of snapshots over blocks of columns: their Gram matrix, and rows that are sums of them.

    G = (A - m) (A - m)' = J A A' J,   J = I - 1 1' / T         fluctuations, products in `dtype`
    A A' = G + g 1' + 1 g' + (m'm) 1 1',   g = (A - m) m         with the mean, added in float64

X itself is never copied, and the mean, which is often a hundred times the fluctuations, is never
squared in float32: `pinn_ext.row_gram`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from pinn_ext import project_rows, row_gram
from pinnx.data.blocks import SnapshotSource
from pinnx.errors import PinnxError

__all__ = ["Gram", "gram_matrix", "on_one_thread", "project"]


@dataclass(frozen=True, eq=False)
class Gram:
    """Args:
    matrix: [T, T] float64, of the snapshots with or without their mean.
    mean: [n c] over time, in the dtype of the snapshots.
    fluctuation: Frobenius norm of the Gram matrix of the fluctuations alone.
    rms: root mean square of the snapshots.
    """

    matrix: Tensor
    mean: Tensor
    fluctuation: float
    rms: float


def gram_matrix(source: SnapshotSource, *, subtract_mean: bool, dtype: torch.dtype) -> Gram:
    """Return the Gram matrix from one pass over the columns.

    Args:
        source: the snapshots.
        subtract_mean: leave the mean over time out; a single snapshot keeps it.
        dtype: of the products.

    Raises:
        PinnxError: values that are not finite.
    """
    count = source.num_snapshots
    assert count is not None
    device, size = source.device, source.n * source.c
    total = torch.zeros(count, count, dtype=torch.float64, device=device)
    along_mean = torch.zeros(count, dtype=torch.float64, device=device)
    mean = torch.empty(size, dtype=source.dtype, device=device)
    mean_square = torch.zeros((), dtype=torch.float64, device=device)
    for begin, end, columns in source.columns():
        part = row_gram(columns, in_double=dtype == torch.float64)
        total += part.gram
        along_mean += part.along_mean
        mean_square += part.mean_square
        mean[begin:end] = part.mean
    # J G J: the mean that was taken off is itself rounded.
    total -= total.mean(dim=0)
    total -= total.mean(dim=1, keepdim=True)
    if not bool(torch.isfinite(total).all()) or not bool(torch.isfinite(mean_square)):
        raise PinnxError("snapshots: expected finite values, got NaN or infinite ones")
    fluctuation = float(torch.linalg.norm(total))
    rms = float(((total.trace() / count + mean_square) / size).sqrt())
    if not subtract_mean or count == 1:
        total += along_mean[:, None] + along_mean + mean_square
        if subtract_mean:
            mean.zero_()
    return Gram(total.cpu(), mean, fluctuation, rms)


def project(source: SnapshotSource, rotation: Tensor, mean: Tensor | None) -> Tensor:
    """Return rotation (A - mean) [r, n c] from one pass over the columns.

    Args:
        source: the snapshots.
        rotation: [r, T] float64.
        mean: [n c] or None for zero.
    """
    size = source.n * source.c
    left = rotation.to(source.device, source.dtype)
    parts = (
        (begin, end, project_rows(columns, left, mean=None if mean is None else mean[begin:end]))
        for begin, end, columns in source.columns()
    )
    out: Tensor | None = None
    for begin, end, part in parts:
        if end - begin == size:
            return part
        if out is None:
            out = part.new_empty((len(left), size))
        out[:, begin:end] = part
    assert out is not None
    return out


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Decompose a small matrix without waiting for other threads.

    eigh of 200 x 200 takes 2.4 ms on two threads and 2.8 on one; but it waits at hundreds of barriers, and
    where another library's threads (NumPy's BLAS) still spin, each costs a slice of the scheduler: 100 ms to 2 s.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
