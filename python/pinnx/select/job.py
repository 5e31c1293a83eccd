"""From fields to sensors and the figures of their choice.

Every fifth snapshot or so is held out: basis and choice do not see it, and the error of the linear
reconstruction is told on it. Snapshots that are still in their file are read in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnx.data.fields import Fields
from pinnx.data.stored_frames import StoredFrames
from pinnx.errors import PinnxError
from pinnx.report.words import plural
from pinnx.select.weights import PlaceWeights
from pinnx.sensors.cache import SelectionCache
from pinnx.sensors.fit_progress import Progress
from pinnx.sensors.quality import SelectionQuality
from pinnx.sensors.selector import SensorSelector
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["Selection", "choose_sensors", "held_out_frames"]

# Snapshots below which none is held out: the basis needs them more.
FEWEST_TO_HOLD_OUT = 5


@dataclass(frozen=True, eq=False)
class Selection:
    """Sensors, and what can be said of them.

    Args:
        sensors: by rank.
        rank: how many of them add to what the ones before see; the others only make it firmer.
        quality: figures beside random placement.
        num_used: snapshots that basis and choice saw.
        num_held_out: snapshots that they did not see.
        weights: [k] of the places of the sensors, by rank; None: all alike.
        weighting: where the weights come from.
    """

    sensors: SensorSet
    rank: int
    quality: SelectionQuality
    num_used: int
    num_held_out: int
    weights: np.ndarray | None = None
    weighting: str = ""


def held_out_frames(num_times: int, fraction: float) -> np.ndarray:
    """Mark evenly spread frames, about a fraction of all and neither the first nor the last: [T] bool.

    Raises:
        PinnxError: a fraction that is not in [0, 0.5].
    """
    if not 0.0 <= fraction <= 0.5:
        raise PinnxError(f"hold-out: expected a fraction from 0 to 0.5, got {fraction:g}")
    mask = np.zeros(num_times, dtype=bool)
    count = round(fraction * num_times)
    if count and num_times >= FEWEST_TO_HOLD_OUT:
        mask[((np.arange(count) + 0.5) * num_times / count).astype(np.int64)] = True
    return mask


def choose_sensors(
    fields: Fields,
    count: int,
    *,
    method: str = "exact",
    basis: str = "pod",
    modes: int | None = None,
    keep_mean: bool = False,
    min_distance: float | None = None,
    seed: int = 0,
    hold_out: float = 0.2,
    weights: PlaceWeights | None = None,
    memory_limit: int | None = None,
    cache: SelectionCache | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> Selection:
    """Choose sensors and measure how good the choice is.

    Args:
        fields: what sensors would measure.
        count: k.
        method: of pivoted QR: "exact" or "randomized".
        basis: "pod", "identity", "randomized".
        modes: number of modes; None leaves it to the selector.
        keep_mean: the mean counts as well; else the fluctuation alone.
        min_distance: between two sensors, in units of length; None: any.
        seed: of what is random.
        hold_out: share of the snapshots that are held out, 0 to 0.5.
        weights: of the places; None: all alike.
        memory_limit: bytes for snapshots that are still in their file, and the work on them.
        cache: where the choice is looked up and kept; None: nowhere.
        say: called with a word on what is being done.
        progress: told how far each pass over streamed snapshots has got, as by `SensorSelector.fit`.

    Raises:
        PinnxError: of the selector; or a share out of its range.
    """
    held = held_out_frames(fields.num_times, hold_out)
    places = _distinct_places(fields)
    say(f"choosing {count} of {places.size} places by {plural(np.count_nonzero(~held), 'snapshot')}")
    selector = SensorSelector(
        count,
        method=method,
        basis=basis,
        n_modes=modes,
        subtract_mean=not keep_mean,
        weights=None if weights is None else weights.values,
        positions=None if min_distance is None else fields.points,
        min_distance=min_distance,
        forbidden=None if places.size == fields.num_points else np.setdiff1d(np.arange(fields.num_points), places),
        seed=seed,
        memory_limit=memory_limit,
        cache=cache,
    ).fit(_some(fields.values, ~held), progress=progress)
    if selector.from_cache_:
        say("the choice was in the cache")
    say("comparing with random places")
    unseen = _some(fields.values, held) if held.any() else None
    quality = selector.quality(unseen, seed=seed, progress=progress)
    chosen = selector.selected_sensors_
    return Selection(
        sensors=SensorSet(fields.points[chosen], indices=chosen, method="qr"),
        rank=selector.rank_,
        quality=quality,
        num_used=int(np.count_nonzero(~held)),
        num_held_out=int(np.count_nonzero(held)),
        weights=None if weights is None else weights.values[chosen],
        weighting="" if weights is None else weights.rule,
    )


def _distinct_places(fields: Fields) -> np.ndarray:
    """Indices of the places; elements of a mesh share nodes, of which the first stands for all."""
    if fields.grid_shape is not None:
        return np.arange(fields.num_points)
    _, first = np.unique(fields.points, axis=0, return_index=True)
    return np.sort(first)


def _some(values: np.ndarray | StoredFrames, mask: np.ndarray) -> Any:
    """The snapshots that a mask marks; without an axis of components where there is one."""
    if isinstance(values, StoredFrames):
        return values.only(mask)
    kept = values if mask.all() else values[mask]
    return kept[..., 0] if values.shape[2] == 1 else kept
