"""Snapshots that stay in their HDF5 file: rows [b, n, c] are read when they are sliced.

    values[begin:end]    frames of an array in memory, in the order of the points
    values.only(mask)    some of the frames, still in the file

Frames that stand together are read together; of a dataset in chunks, those of one chunk too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from pinnx.data.layout import Layout
from pinnx.data.odd_values import refuse_marks
from pinnx.data.snapshots import gaps_found
from pinnx.data.stored_numbers import PLAIN, Packing
from pinnx.errors import PinnxError, damage_named

__all__ = ["StoredFrames"]

# What is read, beside a block, to leave some of it out.
GAP_BYTES = 8 * 2**20
# Orders of axes that are those of the points.
STRAIGHT = (("t", "n"), ("t", "x", "y"), ("t", "x", "y", "z"))


class StoredFrames:
    """Some frames of one or more datasets of one shape, as components of one field.

    Args:
        datasets: c of them, the first axis of each is the time; open as long as this is used.
        layout: of the datasets.
        falling: axes of the arranged arrays (time is 0) that are turned round, so that coordinates rise.
        packings: how the numbers of each dataset are stored.
    """

    def __init__(
        self,
        datasets: Sequence[h5py.Dataset],
        layout: Layout,
        falling: tuple[int, ...] = (),
        packings: Sequence[Packing] | None = None,
    ) -> None:
        self._datasets, self._layout, self._falling = tuple(datasets), layout, falling
        self._packings = (PLAIN,) * len(self._datasets) if packings is None else tuple(packings)
        self._frames = np.arange(layout.num_times)
        self._holes: np.ndarray | None = None
        self._buffer: np.ndarray | None = None
        self.shape = (self._frames.size, int(np.prod(layout.place_shape)), len(self._datasets))
        stored = {dataset.dtype.newbyteorder("=") for dataset in datasets}
        scaled = any(packing.scale != 1.0 or packing.offset != 0.0 for packing in self._packings)
        self.dtype = np.dtype(np.float32 if stored == {np.dtype(np.float32)} and not scaled else np.float64)

    def __len__(self) -> int:
        return int(self._frames.size)

    def only(self, mask: np.ndarray) -> StoredFrames:
        """Return the frames that a mask [T] marks; nothing is read."""
        found = copy.copy(self)
        found._frames, found._buffer = self._frames[mask], None
        found.shape = (found._frames.size, *self.shape[1:])
        return found

    def without(self, holes: np.ndarray | None) -> StoredFrames:
        """Return the same frames, 0 at places [n] without values; a block with NaN elsewhere, or marks, is refused."""
        found = copy.copy(self)
        found._holes, found._buffer = np.zeros(self.shape[1], dtype=bool) if holes is None else holes, None
        return found

    def __getitem__(self, rows: slice) -> np.ndarray:
        begin, end, step = rows.indices(len(self))
        if step != 1:
            raise PinnxError(f"frames: expected begin:end, got a step of {step}")
        values = np.empty((max(0, end - begin), *self.shape[1:]), self.dtype)
        if end > begin:
            self.read_into(begin, end, values)
        return values

    def read_into(self, begin: int, end: int, out: np.ndarray) -> None:
        """Read frames begin to end, end > begin, into an array [end - begin, n, c]."""
        frames = self._frames[begin:end]
        layout = replace(self._layout, num_times=frames.size)
        for component, (dataset, packing) in enumerate(zip(self._datasets, self._packings, strict=True)):
            shape = (frames.size, *dataset.shape[1:])
            stored = dataset.dtype.newbyteorder("=")
            straight = layout.axes in STRAIGHT and not self._falling and out.shape[2] == 1 and stored == out.dtype
            straight = straight and packing == PLAIN
            raw = out.reshape(shape) if straight else self._scratch(shape, stored)
            self._read(dataset, frames, raw)
            if not straight:
                numbers = raw if packing == PLAIN else packing.unpack(raw, single=True)
                arranged = np.flip(layout.arrange(dataset.name, numbers), axis=self._falling)
                out.reshape(*arranged.shape, out.shape[2])[..., component] = arranged
        if self._holes is not None:
            self._close_holes(out, self._holes)
            for component, dataset in enumerate(self._datasets):
                refuse_marks(dataset.name.lstrip("/"), out[..., component])

    def _close_holes(self, out: np.ndarray, holes: np.ndarray) -> None:
        """Set holes to 0; NaN in them, and there alone, is what is expected."""
        if holes.any() or np.isnan(out.sum()):
            gaps = np.isnan(out).any(axis=2) != holes
            if gaps.any():
                names = ",".join(dataset.name.lstrip("/") for dataset in self._datasets)
                raise gaps_found(names, int(gaps.sum()), gaps.size, int(gaps.any(axis=0).sum()), flow=False)
            out[:, holes] = 0.0

    def _scratch(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A block as it is stored; the memory is kept from one to the next."""
        size = int(np.prod(shape))
        if self._buffer is None or self._buffer.dtype != dtype or self._buffer.size < size:
            self._buffer = np.empty(size, dtype)
        return self._buffer[:size].reshape(shape)

    def _read(self, dataset: h5py.Dataset, frames: np.ndarray, out: np.ndarray) -> None:
        most = GAP_BYTES * dataset.shape[0] // dataset.nbytes
        with damage_named(Path(dataset.file.filename).name, f"{dataset.name.lstrip('/')} is damaged"):
            for first, end in _together(frames, dataset.chunks[0] if dataset.chunks else 1, most):
                low, high = int(frames[first]), int(frames[end - 1]) + 1
                if high - low == end - first:
                    dataset.read_direct(out, np.s_[low:high], np.s_[first:end])
                else:
                    out[first:end] = dataset[low:high][frames[first:end] - low]


def _together(frames: np.ndarray, chunk: int, most: int) -> Iterator[tuple[int, int]]:
    """Places [first, end) of frames that are read at once: consecutive ones, or those of one chunk.

    Args:
        frames: rising.
        chunk: frames in a chunk of the file; a chunk that is read twice is unpacked twice.
        most: frames from the first to the last that are read where some of them are not wanted.
    """
    first = 0
    while first < frames.size:
        same_chunk = int(np.searchsorted(frames, (frames[first] // chunk + 1) * chunk))
        gaps = np.flatnonzero(np.diff(frames[first:]) > 1)
        run = first + int(gaps[0]) + 1 if gaps.size else frames.size
        end = same_chunk if same_chunk > run and frames[same_chunk - 1] - frames[first] < most else run
        yield first, end
        first = end
