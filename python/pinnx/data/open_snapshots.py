"""What `fit` is given, as a source of snapshots that keeps to a limit of memory.

An array is used as it is. A dataset of an HDF5 file, or its name "file.h5::group/u", is read
whole where that fits the limit (or where there is none), else in blocks. Blocks out of an iterable
are joined without a limit, and streamed under one. Anything else that has a shape, a dtype and rows
to slice is treated like a dataset, by rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import torch

from pinnx.data.blocks import (
    BLOCK_BYTES,
    ArraySource,
    BlocksSource,
    DatasetSource,
    RowsSource,
    SnapshotSource,
)
from pinnx.data.given_arrays import as_tensor, has_rows
from pinnx.data.stored_numbers import PLAIN, Packing, packing_of
from pinnx.errors import PinnxError

__all__ = ["FEW_SNAPSHOTS", "open_snapshots", "work_bytes"]

# Snapshots up to which T^2 is cheap beside the six passes of a range finder: at 512 x 262,144 the
# method of snapshots takes about as long, and it is exact.
FEW_SNAPSHOTS = 512
# Scratch of the products, whatever the size of the data.
SCRATCH_BYTES = 16 * 2**20


@contextmanager
def open_snapshots(X: Any, *, num_rows: Callable[[int], int], memory_limit: int | None) -> Iterator[SnapshotSource]:
    """Open what `fit` is given, for the length of a with block.

    Args:
        X: [T, n] or [T, n, c] as an array or tensor; an h5py dataset or "file.h5::name"; anything
            with a shape, a dtype and rows to slice; an iterable of arrays, blocks of snapshots.
        num_rows: of c, the components: rows of n c numbers that the work itself holds at a time; they count.
        memory_limit: bytes, beyond what the caller has in memory already; None: no limit.

    Raises:
        PinnxError: nothing of this kind, a wrong shape, no such file or dataset, or a limit that not
            even one snapshot fits into.
    """
    if memory_limit is not None and not memory_limit > 0:
        raise PinnxError(f"memory_limit: expected a number of bytes > 0 or None, got {memory_limit}")
    if isinstance(X, str | os.PathLike):
        path, found, name = os.fspath(X).rpartition("::")
        if not found:
            raise PinnxError(f"X: expected an array or 'file.h5::dataset', got {os.fspath(X)!r}")
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise PinnxError(f"{path}: cannot be opened as HDF5: {error}") from None
        with file:
            if not isinstance(file.get(name), h5py.Dataset):
                known: list[str] = []
                file.visititems(lambda key, item: known.append(key) if isinstance(item, h5py.Dataset) else None)
                raise PinnxError(f"X: no dataset {name!r} in {path}; it holds {', '.join(known) or 'none'}")
            yield _dataset(file[name], num_rows, memory_limit)
    elif isinstance(X, h5py.Dataset):
        yield _dataset(X, num_rows, memory_limit)
    elif hasattr(X, "__array__") or hasattr(X, "__dlpack__") or _nested_numbers(X):
        yield ArraySource(as_tensor(X))
    elif has_rows(X):
        yield _sliced(X, num_rows, memory_limit)
    elif isinstance(X, Iterable):
        yield _blocks(X, num_rows, memory_limit)
    else:
        raise PinnxError(f"X: expected an array, an HDF5 dataset or an iterable of blocks, got {type(X).__name__}")


class _Unpacked:
    """Rows of a dataset whose attributes say that its numbers are packed, or what marks a missing one."""

    dtype = np.dtype(np.float64)

    def __init__(self, dataset: h5py.Dataset, packing: Packing) -> None:
        self._dataset, self._packing, self.shape = dataset, packing, dataset.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._packing.unpack(self._dataset[rows])


def _dataset(dataset: h5py.Dataset, num_rows: Callable[[int], int], memory_limit: int | None) -> SnapshotSource:
    packing = packing_of(dataset.name, dataset.dtype, dataset.attrs, dataset.fillvalue)
    if packing != PLAIN:
        return _sliced(_Unpacked(dataset, packing), num_rows, memory_limit)
    source = DatasetSource(dataset, BLOCK_BYTES)
    block = _block_bytes(source, num_rows(source.c), memory_limit, 3)
    if block is not None:
        return DatasetSource(dataset, block)
    joined = np.empty(dataset.shape, source.rows_dtype)
    dataset.read_direct(joined)
    return ArraySource(torch.from_numpy(joined))


def _sliced(array: Any, num_rows: Callable[[int], int], memory_limit: int | None) -> SnapshotSource:
    source = RowsSource(array, BLOCK_BYTES)
    # What is sliced may put a block together out of pieces: one more.
    block = _block_bytes(source, num_rows(source.c), memory_limit, 4)
    return ArraySource(as_tensor(array[:])) if block is None else RowsSource(array, block)


def _block_bytes(
    source: DatasetSource | RowsSource, num_rows: int, memory_limit: int | None, num_blocks: int
) -> int | None:
    """Return the size of a block, of which so many are alive (two, and what is made of one); None: all fits."""
    own = _own_bytes(source, num_rows)
    if memory_limit is None or source.num_snapshots * source.row_bytes + own <= memory_limit:
        return None
    block = (memory_limit - own) // num_blocks
    if block < source.row_bytes:
        raise PinnxError(
            f"memory_limit: expected at least {own + num_blocks * source.row_bytes} bytes for {num_rows} rows of "
            f"{source.n * source.c} numbers and blocks of one snapshot, got {memory_limit}"
        )
    return min(BLOCK_BYTES, block)


def _blocks(blocks: Iterable[Any], num_rows: Callable[[int], int], memory_limit: int | None) -> SnapshotSource:
    source = BlocksSource(blocks)
    if memory_limit is None:
        joined = torch.cat(list(source.rows()))
        return ArraySource(joined.reshape(len(joined), source.n, source.c) if source.vector else joined)
    rows = num_rows(source.c)
    needed = _own_bytes(source, rows) + 3 * source.first_bytes
    if needed > memory_limit:
        raise PinnxError(
            f"memory_limit: expected at least {needed} bytes for {rows} rows of {source.n * source.c} numbers and "
            f"blocks as large as the first, got {memory_limit}"
        )
    return source


def work_bytes(num_numbers: int, itemsize: int, num_rows: int, num_snapshots: int | None) -> int:
    """Return what choosing sensors holds, beside the snapshots.

    Args:
        num_numbers: n c, of one snapshot.
        itemsize: bytes of a number.
        num_rows: rows of n c numbers that the work holds.
        num_snapshots: T, where it is known.
    """
    # Beside the rows: the mean, and the sum that it is made of, in float64; a Gram matrix and its eigenvectors.
    gram = 6 * 8 * min(num_snapshots or 0, FEW_SNAPSHOTS) ** 2
    return num_rows * num_numbers * itemsize + 4 * num_numbers * 8 + gram + SCRATCH_BYTES


def _own_bytes(source: SnapshotSource, num_rows: int) -> int:
    return work_bytes(source.n * source.c, source.dtype.itemsize, num_rows, source.num_snapshots)


def _nested_numbers(X: Any) -> bool:
    """Say whether a list is a matrix written out: its rows are lists of numbers."""
    return (
        isinstance(X, list | tuple)
        and len(X) > 0
        and isinstance(X[0], list | tuple)
        and not (len(X[0]) and hasattr(X[0][0], "shape") and len(X[0][0].shape) > 0)
    )
