"""Random points of a flow that stays in its file, for a training, out of blocks that take turns.

    blocks order[s], ..., order[s + WINDOW - 1] serve step s;   point i of n is in block order[s + i WINDOW // n]

The order has each block once in an epoch, by (seed, epoch); where a point is in its block depends on (seed, step, i).
So points depend on neither ranks nor threads, and a resumed run has the same. A step needs one new block, which is read
ahead, and each block serves WINDOW steps. Blocks at the end of an axis may be smaller; their points weigh as much less,
so that all places count alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinnx.data.collocation import UniformPoints
from pinnx.data.fill_blocks import FILLS
from pinnx.data.mapping import DataMapping
from pinnx.data.memory_mapped import MemoryMappedDataset, block_lengths
from pinnx.data.odd_values import MARK_FROM, MARK_NUMBERS
from pinnx.data.part_of_flow import part_of
from pinnx.data.series import files_of
from pinnx.data.snapshots import inside_limits
from pinnx.data.stored_numbers import PLAIN, Packing
from pinnx.data.stored_velocity import StoredVelocity
from pinnx.errors import PinnxError

__all__ = ["FieldPoints", "StreamedField"]

Array = NDArray[np.float64]

WINDOW = 32
# Steps whose blocks are read ahead.
AHEAD = 4
FIELD_STREAM = (1 << 22) + 1  # 2^22 is the look-back of relobralo


class FieldPoints(NamedTuple):
    """Points [n, D], columns (t, x, y[, z]), t where there are times; velocities [n, d]; weights [n], 0 at no value."""

    coordinates: Array
    values: Array
    weights: Array


class StreamedField:
    """The velocity of a flow in files of arrays.

    Args:
        path: the file, or a pattern of several; see `read_snapshots`.
        mapping: which array is what, without a mask.
        limits: (low, high) by axis name; in space of a grid alone.
        seed: key of the draw.
        memory_limit: bytes of blocks.
        outside: which of places [n, d] are in no flow, where zeros are no values; None: none.
        zeros_are_values: blocks of zeros are fluid at rest, and those of -1 a uniform stream.

    Attributes:
        num_blocks: of an epoch.
        blocks: where they are read and kept.

    Raises:
        PinnxError: as `read_snapshots`; a mask, a window of scattered points, or a limit below the blocks of a step.
    """

    def __init__(
        self,
        path: str | Path,
        mapping: DataMapping,
        *,
        limits: Mapping[str, tuple[float, float]] | None = None,
        seed: int = 0,
        memory_limit: int = 2**30,
        outside: Callable[[Array], NDArray[np.bool_]] | None = None,
        zeros_are_values: bool = False,
    ) -> None:
        if mapping.mask is not None:
            raise PinnxError(
                "data.arrays.mask: expected none of a field that is streamed; store NaN where it is missing"
            )
        self.source, self._seed, self._outside = Path(path).name, seed, outside
        self._no_values = MARK_NUMBERS if zeros_are_values else (*FILLS, *MARK_NUMBERS)
        files = files_of(path, mapping.t) if "*" in self.source else [Path(path)]
        velocity = StoredVelocity(files, mapping)
        shape, self._factors = velocity.shape[:-1], velocity.factors
        part = part_of(velocity.layout, velocity.times, limits or {}, {})
        given = part.stored("u", shape) or (slice(None),) * len(shape)
        times = velocity.times
        for axis, limit in (limits or {}).items():
            line = times if axis == "t" else part.layout.coordinates[axis]
            if axis not in part.slices and line is not None and not inside_limits(line, *limit).all():
                raise PinnxError(
                    f"data.window.{axis}: expected two lines of a grid or more, to be streamed, got other places"
                )
        self._times = None if times is None else times[part.frames.start : part.frames.stop]
        self._layout, self._axes, self._space = part.layout, part.whole.axes_of(shape), mapping.spatial_axes
        self._region = [range(size)[cut] for cut, size in zip(given, shape, strict=True)]
        blocks = block_lengths(velocity.shape, velocity.chunks, velocity.dtype.itemsize)
        self.blocks = MemoryMappedDataset(partial(_opened, velocity), blocks, memory_limit=memory_limit)
        velocity.close()
        lengths = self.blocks.lengths[:-1]
        spans = zip(self._region, lengths, strict=True)
        ranges = [range(span.start // length, (span.stop - 1) // length + 1) for span, length in spans]
        self._ranges, self.num_blocks = ranges, math.prod(map(len, ranges))
        self._counts = [-(-size // length) for size, length in zip(shape, lengths, strict=True)]
        self._mean_size = math.prod(map(len, self._region)) / self.num_blocks
        self._order, self._draws = lru_cache(2)(self._order_of), lru_cache(8)(self._draws_of)
        self._looked_at: set[int] = set()
        self._tile = velocity.chunks or (1, *velocity.shape[1:])
        needed = (min(WINDOW + AHEAD, self.num_blocks) + 2) * self.blocks.block_bytes
        if memory_limit < needed:
            raise PinnxError(
                f"data.stream.memory: expected at least {needed / 2**30:.3g} GiB for blocks of "
                f"{self.blocks.block_bytes:,} bytes, as the file has them, got {memory_limit / 2**30:.3g}"
            )

    def draw(self, step: int, rows: range, total: int) -> FieldPoints:
        """Points number ``rows`` of the ``total`` of a step.

        Raises:
            PinnxError: a block of zeros, or of a number that marks what is missing; or the file is damaged.
        """
        drawn = self._draws(rows).at(step)[:, 0]
        count, dim = len(rows), len(self._factors)
        values, weights = np.empty((count, dim)), np.empty(count)
        index = np.empty((len(self._region), count), dtype=np.int64)
        slots = np.arange(rows.start, rows.stop) * WINDOW // total
        first = np.flatnonzero(np.diff(slots, prepend=-1)).tolist()
        for begin, end in zip(first, [*first[1:], count], strict=False):
            mine, number = slice(begin, end), self._number(step + int(slots[begin]))
            block, place = self._block(number)
            spans = [
                range(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(place, self._region, strict=True)
            ]
            size = math.prod(map(len, spans))
            inside = np.unravel_index((drawn[mine] * size).astype(np.int64), [len(span) for span in spans])
            local = [i + (span.start - cut.start) for i, span, cut in zip(inside, spans, place, strict=True)]
            values[mine], weights[mine] = block[tuple(local)], size / self._mean_size
            for row, i, span in zip(index, inside, spans, strict=True):
                np.add(i, span.start, out=row[mine])
        if count:
            self.blocks.prefetch(self._number(step + ahead + int(slots[-1])) for ahead in range(1, AHEAD + 1))
        coordinates = self._coordinates(index)
        values *= self._factors
        missing = np.isnan(values).any(axis=1)
        if self._outside is not None:
            missing |= self._outside(coordinates[:, -len(self._space) :])
        weights[missing], values[missing] = 0.0, 0.0
        return FieldPoints(coordinates, values, weights)

    def _block(self, number: int) -> tuple[np.ndarray, tuple[slice, ...]]:
        """A block whose chunks have been looked at, and its place."""
        block, place = self.blocks.block(number), self.blocks.place(number)[:-1]
        if number not in self._looked_at:
            self._require_values(block, place)
            self._looked_at.add(number)
        return block, place

    def close(self) -> None:
        """Closes the file; the next draw opens it again."""
        self.blocks.close()

    def _draws_of(self, rows: range) -> UniformPoints:
        given: dict[str, int] = {"seed": self._seed, "first_index": rows.start, "stream": FIELD_STREAM}
        return UniformPoints([0.0], [1.0], len(rows), **given)

    def _number(self, turn: int) -> int:
        """The block whose turn it is."""
        epoch, place = divmod(turn, self.num_blocks)
        return int(self._order(epoch)[place])

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        shuffled = np.random.Generator(np.random.Philox(key=[self._seed, epoch])).permutation(self.num_blocks)
        inside = np.unravel_index(shuffled, [len(span) for span in self._ranges])
        places = [index + span.start for index, span in zip(inside, self._ranges, strict=True)]
        return np.ravel_multi_index(places, self._counts)

    def _coordinates(self, found: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> Array:
        """The coordinates of places by their indices along the axes of the file, [axes, n]."""
        along: dict[str, list[tuple[NDArray[np.int64], int]]] = {}
        for axis, index, region in zip(self._axes, found, self._region, strict=True):
            along.setdefault(axis or "", []).append((index - region.start, len(region)))
        first = np.zeros_like(found[0])
        number = {
            axis: np.ravel_multi_index([index for index, _ in given], [size for _, size in given])
            for axis, given in along.items()
        }
        columns = [] if self._times is None else [self._times[number.get("t", first)]]
        for axis in self._space:
            columns.append(self._layout.coordinates[axis][number.get("n", number.get(axis, first))])
        return np.stack(columns, axis=1)

    def _require_values(self, block: np.ndarray, place: tuple[slice, ...]) -> None:
        """Refuses chunks of `FILLS` or marks, as programs leave where nothing was written; not those of bodies."""
        smallest, largest, filled = block.min(), block.max(), sum(np.count_nonzero(block == number) for number in FILLS)
        marked = {smallest, largest} & set(MARK_NUMBERS) or not max(-smallest, largest) < MARK_FROM  # also where NaN is
        if filled < min(math.prod(self._tile), block.size) // 2 ** len(place) and not marked:
            return
        tiles = [np.arange(0, size, length) for size, length in zip(block.shape, self._tile, strict=True)]
        low, high = block, block
        for axis, begins in enumerate(tiles):
            low, high = np.fmin.reduceat(low, begins, axis=axis), np.fmax.reduceat(high, begins, axis=axis)
        odd = ((low == high) & np.isin(high, self._no_values)) | (np.fmax(-low, high) >= MARK_FROM)
        for found in np.argwhere(odd[..., 0]):
            middle = []
            for k, begins, size, length, cut, span in zip(
                found, tiles, block.shape, self._tile, place, self._region, strict=False
            ):
                end = min(begins[k] + length, size)
                at = range(max(cut.start + begins[k], span.start), min(cut.start + end, span.stop))
                # A remnant of a chunk at the end of an axis may be a wall; beyond the region nothing is drawn.
                if 2 * len(at) < length:
                    break
                middle.append(np.array([at[len(at) // 2]]))
            else:
                self._refuse(self._coordinates(middle), float(high[(*found, 0)]))

    def _refuse(self, at: Array, odd: float) -> None:
        if self._outside is not None and self._outside(at[:, -len(self._space) :])[0]:
            return
        where = ", ".join(f"{number:.6g}" for number in at[0])
        raise PinnxError(
            f"{self.source}: expected values, got {odd:g} in a whole block of the file, near ({where}); name a body by "
            "domain.holes, leave the part out by data.window or data.times, store NaN there, or take 0 as fluid at "
            "rest and -1 as a uniform stream by data.zeros_are_values=true"
        )


def _opened(velocity: StoredVelocity, stack: ExitStack) -> tuple[StoredVelocity, Packing]:
    own = copy(velocity)
    stack.callback(own.close)
    return own, PLAIN
