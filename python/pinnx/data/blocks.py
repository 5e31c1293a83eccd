"""Snapshots from anywhere, as one matrix [T, n c] that is read in blocks of rows or of columns.

    in memory            views, nothing is copied
    an HDF5 dataset      blocks of whole rows (times), or of columns where the layout allows it: a
                         contiguous dataset, or chunks narrower than a block
    rows to slice        anything with a shape, a dtype and rows to slice: blocks of rows
    an iterable          blocks of rows as they come; again only where it can be iterated again

Blocks from files and iterables are read one ahead by another thread, so that two are alive at most.
`progress("pass 2", 300, 8000)` says that 300 of 8,000 snapshots (places, where columns are read) of
a pass have been read; None in place of a total that is not known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import h5py
import numpy as np
import torch
from torch import Tensor

from pinnx.data.given_arrays import DTYPES, as_tensor
from pinnx.data.raw_numbers import raw_offset, read_raw
from pinnx.errors import PinnxError

__all__ = [
    "BLOCK_BYTES",
    "ArraySource",
    "BlocksSource",
    "DatasetSource",
    "Progress",
    "RowsSource",
    "SnapshotSource",
    "prefetched",
]

Progress = Callable[[str, int, int | None], None]
T = TypeVar("T")

# A sketch is read and written once for each block: 2 GB in blocks of 16, 32, 64, 128 MB took 1.3, 0.9, 0.7,
# 0.7 s out of the system's cache.
BLOCK_BYTES = 64 * 2**20


class SnapshotSource(ABC):
    """T snapshots of n places with c components each.

    Attributes:
        n, c: places, and components at each.
        vector: whether the components had an axis of their own.
        num_snapshots: T; None where only the end of the stream tells.
        in_memory: whether the whole matrix is there as a tensor.
        repeatable: whether a second pass is possible.
        reads_columns: whether `columns` reads everything only once.
        dtype, device: of the blocks.
        own_blocks: whether the memory of blocks belongs to the source, and may be written to.
        num_passes: how often the data have been read from the first to the last.
        progress: called before the first block of a pass and after each, in the thread that works.
        scales: [n c] numbers that blocks are multiplied by; None: as they are.
    """

    n: int
    c: int
    vector: bool
    dtype: torch.dtype
    device: torch.device
    num_snapshots: int | None = None
    in_memory: bool = False
    repeatable: bool = True
    reads_columns: bool = False
    own_blocks: bool = False
    num_passes: int = 0
    progress: Progress | None = None
    scales: Tensor | None = None

    def _take_shape(self, shape: Sequence[int]) -> int:
        """Keep what a shape says of the places; return T."""
        if len(shape) not in (2, 3):
            raise PinnxError(f"X: expected shape [T, n] or [T, n, c], got {list(shape)}")
        if 0 in shape:
            raise PinnxError(f"X: expected at least one snapshot of one place, got {list(shape)}")
        self.vector = len(shape) == 3
        self.n, self.c = int(shape[1]), int(shape[2]) if self.vector else 1
        return int(shape[0])

    def rows(self) -> Iterator[Tensor]:
        """Yield blocks [b, n c] of consecutive snapshots; a block is valid until the next."""
        self.num_passes += 1
        done, total = 0, self.num_snapshots
        self._report(done, total)
        for block in self._rows():
            for part in self._parts(block, 0):
                size = len(part)
                yield part if self.scales is None else self._scaled(part, self.scales)
                done += size
            self._report(done, total)

    def columns(self) -> Iterator[tuple[int, int, Tensor]]:
        """Yield (begin, end, block [T, end - begin]), where `reads_columns`."""
        self.num_passes += 1
        self._report(0, self.n)
        for begin, _, block in self._columns():
            for part in self._parts(block, 1):
                end = begin + part.shape[1]
                yield begin, end, part if self.scales is None else self._scaled(part, self.scales[begin:end])
                begin = end
            self._report(end // self.c, self.n)

    def _parts(self, block: Tensor, axis: int) -> Sequence[Tensor]:
        """A block, or parts of it where a scaled copy of the whole would be large."""
        if self.scales is None or self.own_blocks:
            return (block,)
        return block.split(max(1, BLOCK_BYTES // (block.shape[1 - axis] * block.element_size())), dim=axis)

    def _scaled(self, part: Tensor, scales: Tensor) -> Tensor:
        # Memory of the caller is copied, never changed.
        return part.mul_(scales) if self.own_blocks else part * scales

    def _report(self, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(f"pass {self.num_passes}", done, total)

    @abstractmethod
    def _rows(self) -> Iterator[Tensor]: ...

    def _columns(self) -> Iterator[tuple[int, int, Tensor]]:
        raise TypeError(f"{type(self).__name__}: expected to be read by rows, got a pass over columns")


class ArraySource(SnapshotSource):
    """A matrix in memory, on any device."""

    in_memory = reads_columns = True

    def __init__(self, array: Tensor) -> None:
        self.num_snapshots: int = self._take_shape(array.shape)
        self.matrix = array.reshape(self.num_snapshots, -1)
        self.dtype, self.device = array.dtype, array.device

    def _rows(self) -> Iterator[Tensor]:
        yield self.matrix

    def _columns(self) -> Iterator[tuple[int, int, Tensor]]:
        yield 0, int(self.matrix.shape[1]), self.matrix


class RowsSource(SnapshotSource):
    """Rows that are sliced when they are needed, in blocks.

    Args:
        array: [T, n] or [T, n, c] of real numbers; array[begin:end] is an array in memory. Where there
            is a method read_into(begin, end, out), blocks are read to where they stay.
        block_bytes: of one block; two are alive.
    """

    own_blocks = True

    def __init__(self, array: Any, block_bytes: int) -> None:
        self.num_snapshots: int = self._take_shape(array.shape)
        stored = np.dtype(array.dtype).newbyteorder("=")
        if stored.kind not in "biuf":
            raise PinnxError(f"X: expected real numbers, got {array.dtype}")
        self.rows_dtype = stored if stored in DTYPES else np.dtype(np.float64)
        self.dtype, self.device = DTYPES[self.rows_dtype], torch.device("cpu")
        self.row_bytes = self.n * self.c * self.rows_dtype.itemsize
        self._array, self._block_bytes = array, block_bytes
        self._buffers: list[np.ndarray] = []

    def _rows(self) -> Iterator[Tensor]:
        step = min(self._rows_per_block(), self.num_snapshots)
        buffers = self._two_buffers(step * self.n * self.c)

        def read() -> Iterator[Tensor]:
            for index, begin in enumerate(range(0, self.num_snapshots, step)):
                count = min(step, self.num_snapshots - begin)
                block = buffers[index % 2][: count * self.n * self.c].reshape(count, -1)
                self._read_rows(begin, block)
                yield torch.from_numpy(block)

        return prefetched(read())

    def _two_buffers(self, numbers: int) -> list[np.ndarray]:
        """Return them from pass to pass, so that the last block of one pass is not kept beside the next."""
        if not self._buffers or self._buffers[0].size < numbers:
            self._buffers.clear()
            self._buffers.extend(np.empty(numbers, self.rows_dtype) for _ in range(2))
        return self._buffers

    def _rows_per_block(self) -> int:
        return max(1, self._block_bytes // self.row_bytes)

    def _read_rows(self, begin: int, block: np.ndarray) -> None:
        shaped = block.reshape(len(block), *self._array.shape[1:])
        into = getattr(self._array, "read_into", None)
        if into is None:
            shaped[...] = self._array[begin : begin + len(block)]
        else:
            into(begin, begin + len(block), shaped)


class DatasetSource(RowsSource):
    """An HDF5 dataset [T, n] or [T, n, c] that is read in blocks; arguments as of `RowsSource`."""

    def __init__(self, dataset: h5py.Dataset, block_bytes: int) -> None:
        super().__init__(dataset, block_bytes)
        self._offset = raw_offset(dataset)
        self.reads_columns = self._places_per_block() > 0

    def _columns(self) -> Iterator[tuple[int, int, Tensor]]:
        step = min(self._places_per_block(), self.n)
        assert step > 0
        buffers = self._two_buffers(self.num_snapshots * step * self.c)

        def read() -> Iterator[tuple[int, int, Tensor]]:
            for index, begin in enumerate(range(0, self.n, step)):
                end = min(begin + step, self.n)
                shape = (self.num_snapshots, end - begin, *self._array.shape[2:])
                block = buffers[index % 2][: int(np.prod(shape))].reshape(shape)
                self._array.read_direct(block, np.s_[:, begin:end])
                yield begin * self.c, end * self.c, torch.from_numpy(block.reshape(self.num_snapshots, -1))

        return prefetched(read())

    def _rows_per_block(self) -> int:
        step = super()._rows_per_block()
        chunk = self._array.chunks[0] if self._array.chunks else 1
        return step - step % chunk if step > chunk else step  # no chunk is read twice

    def _places_per_block(self) -> int:
        """How many places fit a block of columns; 0 where a chunk would be read more than once."""
        fits = self._block_bytes // (self.num_snapshots * self.c * self.rows_dtype.itemsize)
        if self._array.chunks is None:
            return fits
        width = self._array.chunks[1]
        return fits - fits % width

    def _read_rows(self, begin: int, block: np.ndarray) -> None:
        if self._offset is None:
            shaped = block.reshape(len(block), *self._array.shape[1:])
            self._array.read_direct(shaped, np.s_[begin : begin + len(block)])
            return
        read_raw(self._array.file.filename, self._offset + begin * self.row_bytes, block)


class BlocksSource(SnapshotSource):
    """Blocks of snapshots [b, n] or [b, n, c] out of an iterable, as many as come."""

    def __init__(self, blocks: Iterable[Any]) -> None:
        self._blocks = blocks
        iterator = iter(blocks)
        self.repeatable = iterator is not blocks
        try:
            self._first: Any = next(iterator)
        except StopIteration:
            raise PinnxError("X: expected at least one block of snapshots, got an empty iterable") from None
        first = ArraySource(as_tensor(self._first))
        self.n, self.c, self.vector = first.n, first.c, first.vector
        self.dtype, self.device = first.dtype, first.device
        self.first_bytes = first.matrix.nbytes
        self._rest: Iterator[Any] | None = iterator

    def _rows(self) -> Iterator[Tensor]:
        return prefetched(self._read())

    def _read(self) -> Iterator[Tensor]:
        count = 0
        for block in self._raw():
            matrix = self._checked(block)
            count += len(matrix)
            yield matrix
        if self.num_snapshots not in (None, count):
            raise PinnxError(f"X: expected the same {self.num_snapshots} snapshots in every pass, got {count}")
        self.num_snapshots = count

    def _raw(self) -> Iterator[Any]:
        if self._rest is not None:
            first, rest, self._first, self._rest = self._first, self._rest, None, None
            yield first
            del first
            yield from rest
        elif self.repeatable:
            yield from self._blocks
        else:
            raise PinnxError("X: expected blocks that can be read again, got an iterator, which ends after one pass")

    def _checked(self, block: Any) -> Tensor:
        tensor = as_tensor(block)
        wanted = [self.n, self.c] if self.vector else [self.n]
        if list(tensor.shape[1:]) != wanted or tensor.dim() != 1 + len(wanted):
            raise PinnxError(f"X: expected blocks of shape {['b', *wanted]}, as the first, got {list(tensor.shape)}")
        return tensor.to(self.device, self.dtype).reshape(len(tensor), -1)


def prefetched(blocks: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields, one block ahead, from a thread of its own.

    Block i + 1 is fetched once block i has been handed over, and i + 2 only when
    i + 1 has been. So an iterator that fills two buffers in turn never writes into one in use. What it
    raises is raised here, after the blocks before it.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="pinnx-prefetch") as reader:
        ahead = reader.submit(next, blocks, end)
        while (block := ahead.result()) is not end:
            ahead = reader.submit(next, blocks, end)
            yield cast(T, block)
            del block
