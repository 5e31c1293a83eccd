"""From fields to sensors and the figures of their choice.

Every fifth snapshot or so is held out: basis and choice do not see it, and the error of the linear
reconstruction is told on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnx.data.fields import Fields
from pinnx.errors import PinnxError
from pinnx.report.words import plural
from pinnx.sensors.cache import SelectionCache
from pinnx.sensors.content_key import selection_key
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
    """

    sensors: SensorSet
    rank: int
    quality: SelectionQuality
    num_used: int
    num_held_out: int


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
    cache: SelectionCache | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Selection:
    """Choose sensors and measure how good the choice is.

    Args:
        fields: what sensors would measure.
        count: k.
        method: of pivoted QR: "exact", "tournament", "randomized".
        basis: "pod", "identity", "randomized".
        modes: number of modes; None leaves it to the selector.
        keep_mean: the mean counts as well; else the fluctuation alone.
        min_distance: between two sensors, in units of length; None: any.
        seed: of what is random.
        hold_out: share of the snapshots that are held out, 0 to 0.5.
        cache: where the answer is looked up and kept; None: nowhere.
        say: called with a word on what is being done.

    Raises:
        PinnxError: of the selector; or a share out of its range.
    """
    held = held_out_frames(fields.num_times, hold_out)
    parameters: dict[str, Any] = {
        "method": method,
        "basis": basis,
        "n_modes": modes,
        "subtract_mean": not keep_mean,
        "min_distance": min_distance,
        "seed": seed,
    }

    def compute() -> dict[str, Any]:
        scalar = fields.values.shape[2] == 1
        values = fields.values[..., 0] if scalar else fields.values
        # Elements of a mesh share nodes; of the points at one place the first stands for all.
        _, first = np.unique(fields.points, axis=0, return_index=True)
        repeated = np.setdiff1d(np.arange(fields.num_points), first)
        say(f"choosing {count} of {first.size} places by {plural(np.count_nonzero(~held), 'snapshot')}")
        positions = None if min_distance is None else fields.points
        selector = SensorSelector(
            count, positions=positions, forbidden=repeated if repeated.size else None, **parameters
        ).fit(values[~held] if held.any() else values)
        say("comparing with random places")
        quality = selector.quality(values[held] if held.any() else None, seed=seed)
        figures = {f"quality/{name}": np.nan if value is None else value for name, value in quality.as_dict().items()}
        return {"sensors": selector.selected_sensors_, "rank": selector.rank_, **figures}

    if cache is None:
        found = {name: np.asarray(value) for name, value in compute().items()}
    else:
        say("looking into the cache")
        key = selection_key(fields.values, points=fields.points, held_out=held, count=count, **parameters)
        found = cache.get_or_compute(key, compute)
    chosen = found["sensors"].astype(np.int64)
    figures = {name.removeprefix("quality/"): found[name].item() for name in found if name.startswith("quality/")}
    absent = {name: None for name in figures if name.endswith("held_out_error") and np.isnan(figures[name])}
    return Selection(
        sensors=SensorSet(fields.points[chosen], indices=chosen, method="qr"),
        rank=int(found["rank"]),
        quality=SelectionQuality(**(figures | absent)),
        num_used=int(np.count_nonzero(~held)),
        num_held_out=int(np.count_nonzero(held)),
    )
