"""An array that stays in its file, in blocks: read when they are needed, kept up to a limit of memory.

    dataset[begin:end]                  rows in memory
    dataset.get_batch_streaming(rows)   batches of given rows, the next blocks read ahead
    dataset.shuffled(batch_size)        every row once, in a random order of blocks and of the rows of some blocks
    dataset.statistics(), normalise()   mean, deviation and extremes in one pass

Anything with a shape, a dtype and slices is such an array: a memory map, a dataset of HDF5, an array of Zarr. Blocks
consist of whole chunks of the file; where it has none, they are contiguous. Contiguous blocks of native float32 or
float64 are parts of a memory map, without a copy: they have what the file has, as long as no program changes it. The
file's length is looked at with each block; one that is cut off between that and its use ends the process. Files are
opened by each process for itself, at its first block.
"""

from __future__ import annotations

import math
import operator
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pinnx.data.file_formats import open_array
from pinnx.data.raw_numbers import mapped, release, require_whole
from pinnx.data.stored_numbers import PLAIN, REAL, Packing
from pinnx.errors import PinnxError, damage_named

__all__ = ["MemoryMappedDataset", "Statistics", "block_lengths"]

# A block is read in about a millisecond, and the window of a training (32 of them) in a second from a slow disk.
BLOCK_BYTES = 2**20
MEMORY_LIMIT = 2**30
# Of reading ahead: while one waits for the disk another unpacks.
THREADS = 2
# Blocks whose rows are mixed.
TOGETHER = 8
# Bytes from one number to the next that are looked at to have pages mapped: from 500 numbers on without Python's lock.
TOUCHED = 1024


@dataclass(frozen=True)
class Statistics:
    """Of the numbers of an array, NaN left out: how many, and how many are missing; mean, deviation, extremes."""

    count: int
    missing: int
    mean: float
    std: float
    low: float
    high: float


class MemoryMappedDataset:
    """The rows of an array that may be larger than memory.

    Args:
        path: "file.h5::name", "store.zarr::name", "folder::name" and so on, whatever `pinnx inspect` lists; or an .npy
            file; or a function that opens the array in a process, and has it closed by the stack that it is given.
        chunk_size: rows of a block, or its lengths along all axes; None: whole chunks of the file of about 1 MiB.
        memory_limit: bytes of blocks, those that are being read included, and of the rows that `shuffled` mixes.

    Attributes:
        shape, dtype: of the array; numbers are native, float32 or float64 where they are packed or no floats.
        lengths: of a block along each axis.
        num_blocks: numbered in C order.
        blocks_read: how many were read so far, by this process.

    Raises:
        PinnxError: no such file or array, no real numbers, or a limit below two blocks.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Callable[[ExitStack], tuple[Any, Packing]],
        chunk_size: int | Sequence[int] | None = None,
        *,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.path, self.memory_limit, self._normal = path, memory_limit, (0.0, 1.0)
        self._forget()
        array, packing = self._array()
        self.shape = tuple(int(size) for size in array.shape)
        stored = np.dtype(array.dtype).newbyteorder("=")
        if stored.kind not in REAL or not self.shape or 0 in self.shape:
            raise PinnxError(f"{self}: expected an array of real numbers, got {array.dtype} {list(self.shape)}")
        plain = packing == PLAIN or (packing.scale == 1.0 and packing.offset == 0.0 and stored == np.float32)
        self.dtype = stored if plain and stored in (np.float32, np.float64) else np.dtype(np.float64)
        given = (chunk_size, *self.shape[1:]) if isinstance(chunk_size, int) else chunk_size
        chunks = getattr(array, "chunks", None)
        lengths = block_lengths(self.shape, chunks, self.dtype.itemsize) if given is None else given
        self.lengths = tuple(min(length, size) for length, size in zip(lengths, self.shape, strict=True))
        if min(self.lengths) < 1:
            raise PinnxError(f"chunk_size: expected lengths >= 1 of a block, got {chunk_size}")
        self._counts = tuple(-(-size // length) for size, length in zip(self.shape, self.lengths, strict=True))
        self.num_blocks = math.prod(self._counts)
        self.block_bytes = math.prod(self.lengths) * self.dtype.itemsize
        if memory_limit < 2 * self.block_bytes:
            raise PinnxError(
                f"memory_limit: expected at least two blocks of {self.block_bytes:,} bytes, got {memory_limit:,}; "
                "or a smaller chunk_size"
            )

    def __str__(self) -> str:
        return getattr(self.path, "__name__", "array") if callable(self.path) else os.fspath(self.path)

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        """Without what belongs to this process."""
        return {name: value for name, value in vars(self).items() if name not in OF_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        """Begins in a process: nothing is open and nothing kept."""
        self._process, self._opened, self._map = os.getpid(), None, None
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._kept_bytes, self._mixed_bytes = 0, 0
        self._pending: dict[int, Future[np.ndarray]] = {}
        self._lock = threading.Lock()
        self._readers: ThreadPoolExecutor | None = None
        self._stack = ExitStack()
        self.blocks_read = 0

    def _array(self) -> tuple[Any, Packing]:
        if self._opened is None or self._process != os.getpid():
            self._forget()
            found = self.path(self._stack) if callable(self.path) else open_array(os.fspath(self.path), self._stack)
            array = mapped(found[0])
            if isinstance(array, np.memmap):
                self._map, array = array, np.asarray(array)
            self._opened = array, found[1]
        return self._opened

    def close(self) -> None:
        """Closes the file and forgets the blocks; the next use opens it again."""
        if self._readers is not None and self._process == os.getpid():
            self._readers.shutdown(cancel_futures=True)
        self._stack.close()
        self._forget()

    @property
    def kept_bytes(self) -> int:
        """Of blocks in memory, of those that are being read, and of rows that are mixed."""
        return self._kept_bytes + len(self._pending) * self.block_bytes + self._mixed_bytes

    def place(self, number: int) -> tuple[slice, ...]:
        """Where a block is in the array."""
        place: list[slice] = []
        for count, length, size in zip(self._counts[::-1], self.lengths[::-1], self.shape[::-1], strict=True):
            number, index = divmod(number, count)
            place.append(slice(index * length, min((index + 1) * length, size)))
        return tuple(place[::-1])

    def block(self, number: int) -> np.ndarray:
        """The numbers of a block, read-only, which stays as it is: one that is kept, or read now."""
        self._array()
        with self._lock:
            if number in self._kept:
                require_whole(self._map)
                self._kept.move_to_end(number)
                return self._kept[number]
            pending = self._pending.get(number)
        if pending is not None:
            return pending.result()
        self._make_room()
        return self._keep(number, self._read(number))

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Has threads read blocks ahead, as many as the limit leaves room for beside those that were used last."""
        self._array()
        for number in numbers:
            with self._lock:
                if number in self._kept or number in self._pending:
                    continue
                if self.block_bytes * (len(self._pending) + 2) + self._mixed_bytes > self.memory_limit:
                    return
                if self._readers is None:
                    self._readers = ThreadPoolExecutor(THREADS, thread_name_prefix="pinnx-blocks")
                self._pending[number] = self._readers.submit(self._read_ahead, number)
            self._make_room()

    def _read_ahead(self, number: int) -> np.ndarray:
        try:
            block = self._read(number)
            if not block.flags.owndata:  # has the system read its part of the file
                block.reshape(-1)[:: TOUCHED // block.itemsize].max()
            return self._keep(number, block)
        finally:
            with self._lock:
                self._pending.pop(number, None)

    def _keep(self, number: int, block: np.ndarray) -> np.ndarray:
        block.flags.writeable = False
        with self._lock:
            self._pending.pop(number, None)
            if number not in self._kept:
                self._kept_bytes += block.nbytes
            self._kept[number] = block
        self._make_room(0)
        return block

    def _make_room(self, blocks: int = 1) -> None:
        """Drops blocks that were not used for longest, until so many more fit."""
        with self._lock:
            while self._kept and self.kept_bytes + blocks * self.block_bytes > self.memory_limit:
                _, block = self._kept.popitem(last=False)
                self._kept_bytes -= block.nbytes
                if self._map is not None and not block.flags.owndata:
                    release(self._map, block)

    def _read(self, number: int) -> np.ndarray:
        array, packing = self._array()
        require_whole(self._map)
        place = self.place(number)
        with damage_named(self, "cannot be read"):
            found = np.asarray(array[place])
            stays = found.flags.owndata or self._map is not None
            plain = packing == PLAIN
            numbers = found.astype(self.dtype, "C", copy=not stays) if plain else packing.unpack(found, single=True)
        self.blocks_read += 1
        offset, scale = self._normal
        return numbers if self._normal == (0.0, 1.0) else ((numbers - offset) / scale).astype(self.dtype)

    def __getitem__(self, rows: int | slice) -> np.ndarray:
        """Rows [begin:end] in memory, through the blocks; or one row.

        Raises:
            IndexError: there is no such row.
        """
        if isinstance(rows, slice):
            none = np.empty((0, *self.shape[1:]), self.dtype)
            return np.concatenate([none, *self._rows(range(*rows.indices(len(self))))], axis=0, dtype=self.dtype)
        if not -len(self) <= (row := operator.index(rows)) < len(self):
            raise IndexError(f"row: expected one from 0 to {len(self) - 1}, got {row}")
        found: np.ndarray = next(self._rows([row % len(self)]))[0]
        return found

    def get_batch_streaming(self, indices: ArrayLike) -> Iterator[Tensor]:
        """Yield the rows at indices [k], in their order, in batches [<= chunk_size, ...].

        The blocks of a batch are read while the one before is used; sorted indices read each block once.

        Raises:
            PinnxError: indices that are no integers (a mask, say) or out of range, or blocks that do not consist of
                whole rows.
        """
        wanted = np.asarray(indices).reshape(-1)
        if wanted.size and wanted.dtype.kind not in "iu":
            raise PinnxError(f"indices: expected integers, the numbers of the rows, got {wanted.dtype}")
        if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise PinnxError(f"indices: expected rows from 0 to {len(self) - 1}, got {wanted.min()} to {wanted.max()}")
        yield from map(torch.from_numpy, self._rows(wanted % len(self)))

    def _require_rows(self) -> None:
        if self.num_blocks != self._counts[0]:
            raise PinnxError(f"{self}: expected blocks of whole rows, got {list(self.lengths)}; set chunk_size")

    def _rows(self, wanted: Sequence[int] | NDArray[np.int64]) -> Iterator[np.ndarray]:
        self._require_rows()
        size = self.lengths[0]
        numbers = np.asarray(wanted, dtype=np.int64) // size
        for begin in range(0, len(wanted), size):
            rows, of = np.asarray(wanted[begin : begin + size]), numbers[begin : begin + size]
            found = np.empty((len(rows), *self.shape[1:]), self.dtype)
            for number in dict.fromkeys(of.tolist()):
                found[of == number] = self.block(number)[rows[of == number] - number * size]
            self.prefetch(dict.fromkeys(numbers[begin + size : begin + 2 * size].tolist()))
            yield found

    def shuffled(
        self, batch_size: int, *, seed: int = 0, epoch: int = 0, together: int | None = None
    ) -> Iterator[Tensor]:
        """Yield every row once in batches [<= batch_size, ...]: blocks in random order, rows of some of them shuffled.

        The order depends on (seed, epoch) and on ``together`` alone.

        Args:
            batch_size: rows.
            seed: key of the order.
            epoch: the other half of the key.
            together: blocks whose rows are mixed, in memory at once, where the limit leaves as much room for blocks;
                None: 8, or as many as that.

        Raises:
            PinnxError: more blocks than half the limit has room for, or blocks that do not consist of whole rows.
        """
        self._require_rows()
        most = max(1, self.memory_limit // (2 * self.block_bytes))
        together = min(most, TOGETHER) if together is None else together
        if not 1 <= together <= most:
            raise PinnxError(f"together: expected 1 to {most} blocks, half of memory_limit, got {together}")
        draw = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        order = draw.permutation(self.num_blocks).tolist()
        groups = [order[begin : begin + together] for begin in range(0, len(order), together)]
        left = np.empty((0, *self.shape[1:]), self.dtype)
        try:
            for group, ahead in zip(groups, [*groups[1:], []], strict=True):
                rows = self._mixed(group, left, draw)
                self.prefetch(ahead)
                whole = len(rows) - len(rows) % batch_size if ahead else len(rows)
                for begin in range(0, whole, batch_size):
                    yield torch.from_numpy(rows[begin : min(begin + batch_size, whole)].copy())
                left = rows[whole:].copy()
                del rows  # before the next ones are made
        finally:
            self._mixed_bytes = 0

    def _mixed(self, group: Sequence[int], left: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """The rows that are left, then those of some blocks in a random order; one block at a time is read."""
        spans = [self.place(number)[0] for number in group]
        sizes = [span.stop - span.start for span in spans]
        rows = np.empty((len(left) + sum(sizes), *self.shape[1:]), self.dtype)
        self._mixed_bytes = rows.nbytes + self.block_bytes  # and the block that is copied, which may be dropped
        rows[: len(left)] = left
        places = len(left) + np.argsort(draw.permutation(sum(sizes)))
        for number, begin, size in zip(group, np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
            rows[places[begin : begin + size]] = self.block(number)
        return rows

    def statistics(self) -> Statistics:
        """Mean, deviation and extremes in one pass over the blocks, in float64 (Chan, Golub, LeVeque 1983).

        Raises:
            PinnxError: nothing but NaN.
        """
        count, missing, mean, squares, low, high = 0, 0, 0.0, 0.0, math.inf, -math.inf
        for number in range(self.num_blocks):
            block = self.block(number)
            self.prefetch(range(number + 1, min(number + 1 + THREADS, self.num_blocks)))
            known = block[~np.isnan(block)]
            missing += block.size - known.size
            if not known.size:
                continue
            own = float(known.mean(dtype=np.float64))
            step, count = own - mean, count + known.size
            mean += step * known.size / count
            squares += float(np.square(np.subtract(known, own, dtype=np.float64)).sum())
            squares += step**2 * known.size * (count - known.size) / count
            low, high = min(low, float(known.min())), max(high, float(known.max()))
        if not count:
            raise PinnxError(f"{self}: expected numbers, got {missing:,} that are missing")
        return Statistics(count, missing, mean, math.sqrt(squares / count), low, high)

    def normalise(self) -> Statistics:
        """Have blocks come as (number - mean) / std from now on; one pass finds both.

        Raises:
            PinnxError: numbers that are all the same.
        """
        found = self.statistics()
        if found.std == 0.0:
            raise PinnxError(f"{self}: expected numbers that differ, got {found.mean:g} everywhere")
        self._kept.clear()
        self._kept_bytes, self._normal = 0, (found.mean, found.std)
        return found


OF_PROCESS = ("_process", "_opened", "_map", "_kept", "_pending", "_lock", "_readers", "_stack")


def block_lengths(shape: Sequence[int], chunks: Sequence[int] | None, itemsize: int) -> tuple[int, ...]:
    """The lengths of a block: whole chunks, as many along the last axes as fit; without chunks it is contiguous."""
    lengths = list(chunks or [1] * len(shape))
    for axis in reversed(range(len(shape))):
        fits = BLOCK_BYTES // (math.prod(lengths) * itemsize)
        lengths[axis] = min(shape[axis], lengths[axis] * max(1, fits))
        if lengths[axis] < shape[axis]:
            break
    return tuple(lengths)
