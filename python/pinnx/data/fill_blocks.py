"""Blocks of one number in a velocity: what programs leave where nothing was written or measured, and inside solids.

    on a grid          a place with that number in all components, and all its neighbours, 3^d places
    scattered places   the same with its nearest 3^d - 1, if they are in all 2^d orthants around it

The numbers are 0, -1 and those that mark what is missing (`MARK_NUMBERS`: -9999, 999, ...) within the range of the
other values; beyond it, one of them is enough (`refuse_marks`). Any other vector may be a uniform stream: (1, 0).
They are numbers of the file, also where its units were converted (`Snapshots.factor`).

A wall is no block: it has fluid, or nothing, on one side. Nor is a first frame of which most is at rest, as flows
begin. Nor is what rounding makes alike: the values next to it are close, and about the closest of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.spatial import cKDTree

from pinnx.data.odd_values import MARK_NUMBERS
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError

__all__ = ["FILLS", "without_fill_blocks"]

# Numbers that stand for none where a block has them, and what such a block is where it has values.
FILLS = {0.0: "fluid at rest", -1.0: "a uniform stream"}
# A flow begins from rest where fewer places of its first frame move; a lid, or the wall of a body, may.
FEW_MOVE = 0.25
# Rounded values next to zeros are one or two units of the last digit, and small beside the largest of the frame.
ROUNDED, SMALL = 3.0, 0.05
# Places of blocks at which the values next to them are looked at.
MOST_LOOKED_AT = 1000


def without_fill_blocks(flow: Snapshots, *, accepted: bool = False) -> Snapshots:
    """Return a flow whose blocks of one number are values; NaN does not count.

    Args:
        flow: before its gaps become holes.
        accepted: blocks of 0 are fluid at rest, and those of -1 a uniform stream, which a note says.

    Raises:
        PinnxError: a block of a number that stands for none.
    """
    notes = []
    for fill in _candidates(flow):
        inner = np.array([_inside_block(flow, number, fill * flow.factor) for number in range(flow.num_times)])
        found = np.argwhere(inner)
        if not found.size:
            continue
        frame, place = found[len(found) // 2]
        at = [*([] if flow.times is None else [flow.times[frame]]), *flow.points[place]]
        where = ", ".join(f"{number:.6g}" for number in at)
        frames = f" in {inner.any(axis=1).sum():,} of {len(inner):,} frames" * (not flow.steady)
        what = f"blocks in which all components are exactly {fill:.10g}{frames}, as near ({where})"
        if not (accepted and fill in FILLS):
            option = f", or take it as {FILLS[fill]} by data.zeros_are_values=true" if fill in FILLS else ""
            raise PinnxError(
                f"{flow.source}: expected values, got {what}; name a body by domain.holes or data.arrays.mask, store "
                f"NaN there, leave the part out by data.window or data.times{option}"
            )
        notes.append(f"Taken as {FILLS[fill]}: {what}.")
    return replace(flow, notes=(*flow.notes, *notes)) if notes else flow


def _candidates(flow: Snapshots) -> list[float]:
    """The numbers that may stand for none and that all components of some place have."""
    first = flow.velocity[..., 0]
    alike = first[(flow.velocity == first[..., np.newaxis]).all(axis=-1)]
    return [number for number in (*FILLS, *MARK_NUMBERS) if (alike == number * flow.factor).any()]


def _inside_block(flow: Snapshots, frame: int, fill: float) -> NDArray[np.bool_]:
    """[n] bool, the places of a frame that are inside of blocks of a number."""
    apart = flow.velocity[frame] - fill
    still, sizes = (apart == 0.0).all(axis=1), np.nan_to_num(np.abs(apart))
    moving = sizes.any(axis=1)
    starts = fill == 0.0 and frame == 0 and not flow.steady and np.count_nonzero(moving) < FEW_MOVE * len(moving)
    if starts or np.count_nonzero(still) < 3**flow.dim:
        return np.zeros_like(still)
    inner = _scattered(flow.points, still) if flow.grid_shape is None else _gridded(still, flow.grid_shape)
    if inner.any() and moving.any():
        looked_at = np.flatnonzero(inner)[:: 1 + np.count_nonzero(inner) // MOST_LOOKED_AT]
        _, nearest = cKDTree(flow.points[moving]).query(flow.points[looked_at])
        if np.median(sizes[moving][nearest].max(axis=1)) <= min(
            ROUNDED * sizes[sizes > 0.0].min(), SMALL * sizes.max()
        ):
            return np.zeros_like(still)
    return inner


def _gridded(still: NDArray[np.bool_], shape: Sequence[int]) -> NDArray[np.bool_]:
    found: NDArray[np.uint8] = minimum_filter(still.reshape(shape).view(np.uint8), 3, mode="constant", cval=0)
    return found.reshape(-1).view(np.bool_)


def _scattered(points: NDArray[np.float64], still: NDArray[np.bool_]) -> NDArray[np.bool_]:
    places, dim = np.flatnonzero(still), points.shape[1]
    near = cKDTree(points).query(points[places], 3**dim)[1]
    calm = still[near].all(axis=1)
    places, near = places[calm], near[calm, 1:]
    offsets = points[near] - points[places, np.newaxis]
    orthants = (offsets > 0.0) @ (1 << np.arange(dim))
    # A place on an axis is in no orthant: those of a wall along an axis are none.
    orthants[(offsets == 0.0).any(axis=2)] = -1
    around = [(orthants == orthant).any(axis=1) for orthant in range(1 << dim)]
    found = np.zeros_like(still)
    found[places[np.logical_and.reduce(around)]] = True
    return found
