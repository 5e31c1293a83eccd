"""Numbers that stand in a file as they do in memory, one behind the other: where, and reading them.

h5py keeps Python's lock while it reads; this does not, so that other threads can work.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.errors import PinnxError

__all__ = ["FLOATS", "mapped", "raw_offset", "read_raw", "release", "require_whole"]

# With a page of a file Linux maps what is in its cache of so many bytes around (fault_around_bytes).
AROUND = 2**16
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def raw_offset(dataset: h5py.Dataset) -> int | None:
    """Return where the numbers of a contiguous, plain dataset begin in its file; None for others."""
    plain = (
        dataset.chunks is None
        and dataset.dtype.isnative
        and dataset.dtype in FLOATS
        and not dataset.is_virtual
        and not dataset.external
        and dataset.file.driver == "sec2"
        and dataset.file.mode == "r"
        and dataset.file.userblock_size == 0
    )
    offset = dataset.id.get_offset() if plain else None
    return int(offset) if offset is not None else None


def mapped(array: Any) -> Any:
    """Return a dataset of plain numbers as a memory map, which leaves Python's lock to other threads; others as is."""
    offset = raw_offset(array) if isinstance(array, h5py.Dataset) else None
    return array if offset is None else np.memmap(array.file.filename, array.dtype, "r", offset, array.shape)


def require_whole(array: Any) -> None:
    """Refuse a memory map whose file has become shorter: the system ends a process that reads beyond its end.

    Raises:
        PinnxError: the file ends before the array does.
    """
    if not isinstance(array, np.memmap):
        return
    end = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY + len(array._mmap)
    if (size := array._mmap.size()) < end:
        raise PinnxError(
            f"{Path(array.filename or '').name}: expected {end:,} bytes or more, as when it was opened, got {size:,}; "
            "another program has cut it off"
        )


def release(whole: np.memmap, part: np.ndarray) -> None:
    """Unmap the pages of a part of a memory map: memory of this process, which grows with all that is read.

    They are mapped again where the part is used again.
    """
    begin, start = _address(part), _address(np.frombuffer(whole._mmap, np.uint8))
    extent = sum((size - 1) * stride for size, stride in zip(part.shape, part.strides, strict=True)) + part.itemsize
    first = (begin - start) // AROUND * AROUND
    last = -(-(begin - start + extent) // AROUND) * AROUND
    whole._mmap.madvise(mmap.MADV_DONTNEED, first, last - first)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def read_raw(path: str, offset: int, out: np.ndarray) -> None:
    """Fill a contiguous array with what stands in a file from a byte on.

    Raises:
        PinnxError: the file ends before.
    """
    view = memoryview(out.reshape(-1)).cast("B")
    with open(path, "rb") as file:
        file.seek(offset)
        if (count := file.readinto(view)) < len(view):
            raise PinnxError(f"{Path(path).name}: ends before the shapes in it say, at byte {offset + count}")
