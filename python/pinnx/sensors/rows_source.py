"""Snapshots out of anything that has a shape, a dtype and rows to slice: blocks are read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.sensors.prefetch import prefetched
from pinnx.sensors.snapshot_source import DTYPES, SnapshotSource

__all__ = ["RowsSource", "has_rows"]


def has_rows(X: Any) -> bool:
    """Say whether something has a shape, a dtype and rows to slice."""
    return all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))


class RowsSource(SnapshotSource):
    """Rows that are sliced when they are asked for, in blocks.

    Args:
        array: [T, n] or [T, n, c] of real numbers; array[begin:end] is an array in memory. Where there
            is a method read_into(begin, end, out), blocks are read to where they stay.
        block_bytes: of one block; two are alive.
    """

    def __init__(self, array: Any, block_bytes: int) -> None:
        shape = tuple(int(size) for size in array.shape)
        if len(shape) not in (2, 3) or 0 in shape:
            raise PinnxError(f"X: expected shape [T, n] or [T, n, c], got {list(shape)}")
        stored = np.dtype(array.dtype).newbyteorder("=")
        if stored.kind not in "biuf":
            raise PinnxError(f"X: expected real numbers, got {array.dtype}")
        numpy_dtype = stored if stored in DTYPES else np.dtype(np.float64)
        self._numpy_dtype = numpy_dtype
        self.dtype, self.device = DTYPES[numpy_dtype], torch.device("cpu")
        self.vector = len(shape) == 3
        self.n, self.c = shape[1], shape[2] if self.vector else 1
        self.row_bytes = self.n * self.c * numpy_dtype.itemsize
        self._array, self._num_snapshots, self._block_bytes = array, shape[0], block_bytes
        self._buffers: list[np.ndarray] = []

    @property
    def num_snapshots(self) -> int:
        return self._num_snapshots

    def rows(self) -> Iterator[Tensor]:
        self.num_passes += 1
        step = min(max(1, self._block_bytes // self.row_bytes), self._num_snapshots)
        if not self._buffers:
            # For all passes: what each pass's thread allocates, it does not give back to the others.
            self._buffers.extend(np.empty((step, *self._array.shape[1:]), self._numpy_dtype) for _ in range(2))
        into = getattr(self._array, "read_into", None)

        def read() -> Iterator[Tensor]:
            for index, begin in enumerate(range(0, self._num_snapshots, step)):
                end = min(begin + step, self._num_snapshots)
                block = self._buffers[index % 2][: end - begin]
                if into is None:
                    block[...] = self._array[begin:end]
                else:
                    into(begin, end, block)
                yield torch.from_numpy(block.reshape(end - begin, -1))

        return prefetched(read())
