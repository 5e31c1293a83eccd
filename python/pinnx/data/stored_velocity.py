"""A velocity that stays in its files, as one array of which parts are read.

    one file         [*shape, d], axes as they are stored
    several files    [T, *shape of a frame, d]: joined along their first axis, the time; or a frame in each

Files are opened when a part of theirs is read, and those that were used last stay open.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinnx.data.file_formats import open_arrays
from pinnx.data.layout import Layout
from pinnx.data.mapping import DataMapping
from pinnx.data.raw_numbers import mapped, release, require_whole
from pinnx.data.readers import open_flow
from pinnx.data.stored_numbers import PLAIN, Packing
from pinnx.errors import PinnxError, damage_named

__all__ = ["StoredVelocity"]

# Files that stay open; of those that are in memory as a whole once they are open (.npz, tables), fewer.
OPEN, OPEN_WHOLE = 64, 2


class StoredVelocity:
    """The components of a velocity as one array.

    Args:
        files: in the order of their times.
        mapping: which array is what.

    Attributes:
        shape, dtype, chunks: of the array; chunks are None where it has none.
        layout: of the array without its last axis.
        times: [T]; None where it is steady.
        factors: [d] numbers that bring the components to the units of the flow.

    Raises:
        PinnxError: as `read_snapshots`; files of other places, or of several times whose first axis is not the time.
    """

    def __init__(self, files: Sequence[Path], mapping: DataMapping) -> None:
        self._files, self._mapping = tuple(files), mapping
        self._forget()
        first = self._opened(0)
        self.factors, self.times, self.layout = self._flow(0)
        self.shape, self.dtype, self.chunks = first.shape, first.dtype, first.chunks
        self._begins, self._framed = [0, self.layout.num_times], False
        if len(files) > 1:
            self._join()

    def _forget(self) -> None:
        self._lock, self._open = threading.Lock(), OrderedDict[int, _Velocity]()

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open in this process; a copy opens files for itself."""
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _flow(self, number: int) -> tuple[np.ndarray, np.ndarray | None, Layout]:
        factors, times, part = open_flow(self._opened(number).file, self._mapping, {}, {})
        return np.array([factors.get(name, 1.0) for name in self._mapping.components]), times, part.whole

    def _join(self) -> None:
        """Makes the axes of all files of those of the first."""
        counts, times, dtypes = [], [], []
        for number, file in enumerate(self._files):
            factors, own_times, layout = self._flow(number)
            velocity = self._opened(number)
            places = layout.coordinates.items()
            alike = layout.spatial == self.layout.spatial and np.array_equal(factors, self.factors)
            alike &= all(np.array_equal(line, self.layout.coordinates[axis]) for axis, line in places)
            if not alike or velocity.shape[1:] != self.shape[1:]:
                raise PinnxError(f"{file.name}: expected the places and arrays of {self._files[0].name}, got others")
            if layout.num_times != 1 and (layout.axes[0] != "t" or velocity.shape[0] != layout.num_times):
                raise PinnxError(
                    f"{file.name}: expected the time as the first axis, to be streamed as one of several files, got "
                    f"{layout.axes}"
                )
            counts.append(layout.num_times)
            dtypes.append(velocity.dtype)
            times += [] if own_times is None else [own_times]
        self._begins, self.dtype = np.cumsum([0, *counts]).tolist(), np.result_type(*dtypes)
        self._framed = "t" not in self.layout.axes and self.shape[0] != 1
        lengths = self.chunks
        if self._framed:
            self.shape, self.chunks = (len(counts), *self.shape), lengths and (1, *lengths)
        else:
            # Whole chunks of every file, or parts of them where a file does not end with one.
            self.shape = (self._begins[-1], *self.shape[1:])
            self.chunks = lengths and (math.gcd(lengths[0], *self._begins[:-1]), *lengths[1:])
        self.layout = replace(self.layout, axes=("t", *self.layout.spatial), num_times=self._begins[-1])
        step = self._mapping.t
        self.times = step * np.arange(self._begins[-1]) if isinstance(step, int | float) else np.concatenate(times)

    def __getitem__(self, place: tuple[slice, ...]) -> np.ndarray:
        if len(self._files) == 1:
            return self._read(0, place)
        begin, end = place[0].start, place[0].stop
        parts = []
        for number in range(np.searchsorted(self._begins, begin, "right") - 1, np.searchsorted(self._begins, end)):
            low, high = self._begins[number : number + 2]
            rows = slice(max(begin, low) - low, min(end, high) - low)
            one = (rows, *place[1:]) if not self._framed else place[1:]
            parts.append(self._read(number, one)[None] if self._framed else self._read(number, one))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, number: int, place: tuple[slice, ...]) -> np.ndarray:
        velocity = self._opened(number)
        with damage_named(self._files[number].name, "cannot be read"):
            return velocity[place].astype(self.dtype, copy=False)

    def _opened(self, number: int) -> _Velocity:
        with self._lock:
            if number not in self._open:
                self._open[number] = _Velocity(self._files[number], self._mapping)
                most = OPEN_WHOLE if self._open[number].in_memory else OPEN
                while len(self._open) > most:
                    self._open.popitem(last=False)
            self._open.move_to_end(number)
            return self._open[number]

    def close(self) -> None:
        """Closes the files that no thread reads; the next part opens them again."""
        with self._lock:
            self._open.clear()


class _Velocity:
    """The components of a velocity in one file, which is open as long as this is kept."""

    def __init__(self, path: Path, mapping: DataMapping) -> None:
        self._stack = ExitStack()
        self.file = file = self._stack.enter_context(open_arrays(path, mapping.raw))
        components = mapping.components
        self.shape = (*file.shape("u", mapping.u), len(components))
        # Of each component: its arrays, axis and entry of it, and whether each array is a frame.
        self._stored: list[tuple[list[str], tuple[int, int] | None, bool]] = []
        self._arrays: dict[str, tuple[Any, Packing]] = {}
        for role, reference in components.items():
            if file.shape(role, reference) != self.shape[:-1]:
                raise PinnxError(
                    f"{role}: expected the shape of u, {list(self.shape[:-1])}, got {list(file.shape(role, reference))}"
                )
            frames = file.frames(reference)
            named = [file.component(role, each) for each in ([reference] if frames is None else frames.values())]
            self._stored.append(([name for name, _ in named], named[0][1], frames is not None))
            for name, _ in named:
                self._arrays.setdefault(name, (mapped(file.arrays[name]), file.packing(name)))
        self.in_memory = any(type(array) is np.ndarray for array, _ in self._arrays.values())
        plain = all(packing == PLAIN and array.dtype == np.float32 for array, packing in self._arrays.values())
        self.dtype = np.dtype(np.float32 if plain else np.float64)
        names, entry, framed = self._stored[0]
        chunks = getattr(self._arrays[names[0]][0], "chunks", None)
        if chunks and entry is not None:
            chunks = (*chunks[: entry[0]], *chunks[entry[0] + 1 :])
        chunks = chunks and ((1, *chunks) if framed else chunks)
        lengths = (1, *self.shape[1:-1]) if framed and not chunks else chunks
        self.chunks = lengths and (*lengths, len(components))

    def __getitem__(self, place: tuple[slice, ...]) -> np.ndarray:
        out = np.empty([cut.stop - cut.start for cut in place], self.dtype)
        read: dict[tuple[str, int], np.ndarray] = {}
        views: list[tuple[np.memmap, np.ndarray]] = []
        for component, (names, entry, framed) in enumerate(self._stored):
            inner = place[1:-1] if framed else place[:-1]
            axis = len(inner) if entry is None else entry[0]
            for number, name in enumerate(names[place[0]] if framed else names):
                if (name, axis) not in read:
                    array, packing = self._arrays[name]
                    require_whole(array)
                    # All entries at once: the other components are among them.
                    stored = np.asarray(array[inner[:axis] + (slice(None),) * (entry is not None) + inner[axis:]])
                    if isinstance(array, np.memmap):
                        views.append((array, stored))
                    read[name, axis] = stored if packing == PLAIN else packing.unpack(stored, single=True)
                values = read[name, axis][() if entry is None else (slice(None),) * axis + (entry[1],)]
                out[(number, ..., component) if framed else (..., component)] = values
        for array, view in views:  # they have been copied
            release(array, view)
        return out
