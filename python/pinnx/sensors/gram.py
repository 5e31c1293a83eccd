"""Products of snapshots in blocks of columns: their Gram matrix, and rows that are sums of them.

    G = (A - m) (A - m)' = J A A' J,   J = I - 1 1' / T         fluctuations, products in `dtype`
    A A' = G + g 1' + 1 g' + (m'm) 1 1',   g = (A - m) m         with the mean, added in float64

A block is copied, less its mean, to where it stays in the cache; X itself is never copied. The
products of a block are added to the rest in float64, so that rounding does not grow with n. The
mean, which is often a hundred times the fluctuations, is never squared in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.sensors.snapshot_source import SnapshotSource

__all__ = ["Gram", "gram_matrix", "on_one_thread", "project"]

# Numbers of one column block: 3 MB of float32, which the second-level caches hold; 4,096 columns of
# 200 snapshots measured fastest of 1,024 to 16,384.
BLOCK_NUMBERS = 2**20
# A GPU has no such cache, and each product costs a launch.
CUDA_BLOCK_NUMBERS = 2**26
# The lower triangle in so many strips: five eighths of the products. More make them too thin.
STRIPS = 4
LEAST_STRIP = 16


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
        dtype: of the products of a block.

    Raises:
        PinnxError: values that are not finite.
    """
    count = source.num_snapshots
    assert count is not None
    device, size = source.device, source.n * source.c
    total = torch.zeros(count, count, dtype=torch.float64, device=device)
    along_mean = torch.zeros(count, dtype=torch.float64, device=device)
    mean = torch.empty(size, dtype=source.dtype, device=device)
    product = torch.zeros(count, count, dtype=dtype, device=device)
    step = _columns_of_a_block(count, size, device)
    buffer = torch.empty(count, step, dtype=dtype, device=device)
    edges = _strips(count)
    mean_square = torch.zeros((), dtype=torch.float64, device=device)
    for begin, end, columns in source.columns():
        for low in range(0, end - begin, step):
            high = min(low + step, end - begin)
            block = buffer if high - low == step else buffer.new_empty(count, high - low)
            block.copy_(columns[:, low:high])
            centre = block.mean(dim=0)
            block -= centre
            mean[begin + low : begin + high] = centre
            for first, last in pairwise(edges):
                torch.mm(block[first:], block[first:last].T, out=product[first:, first:last])
            total += product
            if not subtract_mean or count == 1:
                along_mean += block @ centre
            mean_square += centre.double().square().sum()
    lower = total.tril()
    total = lower + lower.tril(-1).T
    # J G J: the mean of a block is itself rounded.
    total -= total.mean(dim=0)
    total -= total.mean(dim=1, keepdim=True)
    if not bool(torch.isfinite(total).all()) or not bool(torch.isfinite(mean_square)):
        raise PinnxError("X: expected finite snapshots, got NaN or infinite values")
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
    count = source.num_snapshots
    assert count is not None
    size = source.n * source.c
    left = rotation.to(source.device, source.dtype)
    out = torch.empty(len(left), size, dtype=source.dtype, device=source.device)
    step = _columns_of_a_block(count, size, source.device)
    buffer = torch.empty(count, step, dtype=source.dtype, device=source.device)
    for begin, end, columns in source.columns():
        for low in range(begin, end, step):
            high = min(low + step, end)
            block = buffer if high - low == step else buffer.new_empty(count, high - low)
            # Copied also where there is no mean: rows that lie a power of two apart share cache lines, and
            # torch's product of such columns takes twice as long as copy and product.
            if mean is None:
                block.copy_(columns[:, low - begin : high - begin])
            else:
                torch.sub(columns[:, low - begin : high - begin], mean[low:high], out=block)
            torch.mm(left, block, out=out[:, low:high])
    return out


def _columns_of_a_block(count: int, size: int, device: torch.device) -> int:
    numbers = CUDA_BLOCK_NUMBERS if device.type == "cuda" else BLOCK_NUMBERS
    return min(size, max(64, numbers // count))


def _strips(count: int) -> list[int]:
    strips = max(1, min(STRIPS, count // LEAST_STRIP))
    return [count * index // strips for index in range(strips + 1)]


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Decompose a small matrix without waiting for other threads.

    eigh of 200 x 200 takes 2.4 ms on two threads and 2.8 on one; but it meets at hundreds of barriers, and
    where another library's threads (NumPy's BLAS) still spin, each costs a slice of the scheduler: 100 ms to 2 s.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
