"""The job of `pinnx sensors`: from a file to sensors, figures of the choice, and a picture.

The choice is that of `pinnx reconstruct` on the same file and settings, by all snapshots. The error on
held-out snapshots is that of a second choice, with modes of its own, which does not see every fifth of
them or so. Snapshots that are still in their file are read in blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pinnx.config import Config
from pinnx.data.blocks import Progress
from pinnx.data.snapshots import Snapshots
from pinnx.data.stored_frames import StoredFrames
from pinnx.errors import PinnxError
from pinnx.jobs.placing.sensors_input import PlaceWeights, Question, opened_fields, place_weights
from pinnx.jobs.placing.sensors_output import figures_table, notes, sensors_table
from pinnx.report.formatting import plural
from pinnx.runs.files import atomic_write
from pinnx.runs.progress import ProgressBar
from pinnx.sensors.fit_cache import SelectionCache
from pinnx.sensors.quality import SelectionQuality
from pinnx.sensors.selection import Selection
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["Chosen", "choose_sensors", "held_out_frames", "run_sensors"]

# Snapshots below which none is held out: the modes need them more.
FEWEST_TO_HOLD_OUT = 5
# What a pass is called; passes over the snapshots count from 1.
PASSES = {"hashing": "looking into the cache", "held-out": "testing on held-out snapshots"}


@dataclass(frozen=True, eq=False)
class Chosen:
    """Sensors, and what can be said of them.

    Args:
        sensors: by rank.
        rank: how many of them add to the span of what the ones before see.
        quality: figures beside random placement.
        num_used: snapshots of the choice.
        num_held_out: snapshots that the choice behind the held-out error did not see.
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


def run_sensors(
    config: Config,
    question: Question,
    *,
    basis: str,
    hold_out: float,
    cache: SelectionCache | None,
    plot: str | None,
    out: str | None,
    overwrite: bool,
    console: Console,
) -> None:
    """Choose sensors, write the files and show the figures.

    Args:
        config: the sections data and sensors are used.
        question: what is measured, of which file.
        basis: of `SensorSelector`.
        hold_out: share of the snapshots that the error is measured on, 0 to 0.5.
        cache: where choices are looked up and kept; None: nowhere.
        plot: name of the picture; None: none.
        out: name of the table; None: it is shown.
        overwrite: replace files that exist.
        console: where to show progress and figures.

    Raises:
        PinnxError: of the data or the settings; a file that exists, or that cannot be written.
    """
    _require_writable(plot, out, overwrite)
    if config.sensors.method == "positions":
        raise PinnxError("sensors.method: expected a method that chooses sensors, got positions")
    with (
        ProgressBar(console, transient=True) as bar,
        opened_fields(config, question, bar.status) as fields,
    ):
        weights = place_weights(config, question, fields)
        selection = Selection(
            **config.sensors.model_dump(exclude={"noise", "positions", "weight"}),
            basis=basis,
            weights=None if weights is None else weights.values,
            memory_limit=question.memory_limit,
            cache=cache,
        )
        chosen = choose_sensors(
            fields,
            selection,
            hold_out=hold_out,
            weights=weights,
            step=bar.status,
            progress=lambda name, *done: bar.advance(PASSES.get(name, f"reading the snapshots, {name}"), *done),
        )
        # The picture first: should it fail, no file is there yet.
        if plot is not None:
            bar.status("drawing")
            _draw(fields, chosen, Path(plot))
        if out is not None:
            chosen.sensors.write_csv(out)
        bar.stop()
        console.print(figures_table(chosen.quality, chosen.num_held_out))
        if out is None:
            console.print(sensors_table(chosen.sensors, chosen.weights))
        if plot is not None and isinstance(fields.values, StoredFrames) and fields.num_times > 1:
            console.print("The picture shows the first snapshot, as the others are in the file.")
        for note in (*fields.notes, *notes(chosen)):
            console.print(note, soft_wrap=True)
        for path in filter(None, (out, plot)):
            console.print(f"written: {path}", soft_wrap=True)


def choose_sensors(
    fields: Snapshots,
    selection: Selection,
    *,
    hold_out: float = 0.2,
    weights: PlaceWeights | None = None,
    step: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> Chosen:
    """Choose sensors and measure how good the choice is.

    Args:
        fields: what sensors would measure.
        selection: how they are chosen.
        hold_out: share of the snapshots that are held out of the second choice, 0 to 0.5.
        weights: of the places, as in ``selection``, with their rule.
        step: called with a word on what is being done.
        progress: called with how far each pass over streamed snapshots has got, as by `SensorSelector.fit`.

    Raises:
        PinnxError: of the selector; or a share out of its range.
    """
    held = held_out_frames(fields.num_times, hold_out)
    candidates = selection.candidates(fields)
    step(f"choosing {selection.count} of {candidates.allowed.sum()} places by {plural(fields.num_times, 'snapshot')}")
    fitted = selection.fit(fields.values, candidates, progress)
    if fitted.from_cache_:
        step("the choice was in the cache")
    places, rank, quality = fitted.selected_sensors_, fitted.rank_, fitted.quality(seed=selection.seed)
    del fitted  # its basis has the memory that the next one needs
    if held.any():
        step(f"testing on {plural(held.sum(), 'held-out snapshot')}")
        tested = selection.fit(_some(fields.values, ~held), candidates, progress)
        seen = tested.quality(_some(fields.values, held), seed=selection.seed, progress=progress)
        names = ("held_out_error", "random_held_out_error", "basis_held_out_error")
        quality = replace(quality, **{name: getattr(seen, name) for name in names})
    return Chosen(
        sensors=SensorSet(fields.points[places], indices=places, method=selection.method),
        rank=rank,
        quality=quality,
        num_used=fields.num_times,
        num_held_out=int(held.sum()),
        weights=None if weights is None else weights.values[places],
        weighting="" if weights is None else weights.rule,
    )


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


def _some(values: np.ndarray | StoredFrames, mask: np.ndarray) -> Any:
    return values.only(mask) if isinstance(values, StoredFrames) else values[mask]


def _draw(fields: Snapshots, chosen: Chosen, path: Path) -> None:
    from pinnx.report.panels import to_pixels, to_png
    from pinnx.report.sensor_maps import draw_placement

    shown = fields.values[:1] if isinstance(fields.values, StoredFrames) else fields.values
    grid = fields.grid_shape is not None
    picture = draw_placement(fields.axes, shown, chosen.sensors.positions, fields.names, grid=grid)
    with atomic_write(path) as partial:
        partial.write_bytes(to_png(to_pixels(picture.figure, 150), 150))


def _require_writable(plot: str | None, out: str | None, overwrite: bool) -> None:
    """Refuse what would fail, or be lost, after the work."""
    for option, given, ending in (("plot", plot, ".png"), ("out", out, ".csv")):
        if given is None:
            continue
        path = Path(given)
        if path.suffix.lower() != ending:
            raise PinnxError(f"--{option}: expected a file that ends in {ending}, got {given}")
        if os.path.lexists(path) and not (overwrite and os.path.isfile(path)):
            raise PinnxError(f"--{option}: {given} exists; expected another name, or --overwrite")
        if not os.path.isdir(path.parent):
            raise PinnxError(f"--{option}: expected a folder that exists, got {path.parent}")
