"""The job of `pinnx sensors`: from a file to sensors, figures of the choice in a table, and a picture.

The choice is that of `pinnx reconstruct` on the same file and settings, by all snapshots. The error on
held-out snapshots is that of a second choice, with modes of its own, which does not see every fifth of
them or so. Snapshots that are still in their file are read in blocks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pinnx.config import Config
from pinnx.data.blocks import Progress
from pinnx.data.snapshots import Snapshots
from pinnx.data.stored_frames import StoredFrames
from pinnx.errors import PinnxError
from pinnx.jobs.placing.sensors_input import PlaceWeights, Question, opened_fields, place_weights
from pinnx.report.formatting import coordinate_digits, plural
from pinnx.runs.files import atomic_write
from pinnx.runs.progress import ProgressBar
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
    """Sensors, and what can be said of them."""

    sensors: SensorSet  # by rank
    rank: int  # how many of them add to the span of what the ones before see
    quality: SelectionQuality  # figures beside random placement
    num_used: int  # snapshots of the choice
    num_held_out: int  # snapshots that the choice behind the held-out error did not see
    weights: np.ndarray | None = None  # [k] of the places of the sensors, by rank; None: all alike
    weighting: str = ""  # where the weights come from


def run_sensors(config: Config, question: Question, console: Console) -> None:
    """Choose sensors, write the files and show the figures; of the configuration data and sensors are used.

    Raises:
        PinnxError: of the data or the settings; a file that exists, or that cannot be written.
    """
    plot, out = question.plot, question.out
    _require_writable(plot, out, question.overwrite)
    if config.sensors.method == "positions":
        raise PinnxError("sensors.method: expected a method that chooses sensors, got positions")
    with (
        ProgressBar(console, transient=True) as bar,
        opened_fields(config, question, bar.status) as fields,
    ):
        weights = place_weights(config, question, fields)
        selection = Selection(
            **config.sensors.model_dump(exclude={"noise", "positions", "weight"}),
            basis=question.basis,
            weights=None if weights is None else weights.values,
            memory_limit=question.memory_limit,
            cache=question.cache,
        )
        chosen = choose_sensors(
            fields,
            selection,
            hold_out=question.hold_out,
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
        console.print(_figures_table(chosen.quality, chosen.num_held_out))
        if out is None:
            console.print(_sensors_table(chosen.sensors, chosen.weights))
        if plot is not None and isinstance(fields.values, StoredFrames) and fields.num_times > 1:
            console.print("The picture shows the first snapshot, as the others are in the file.")
        for note in (*fields.notes, *_notes(chosen)):
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
    """Choose sensors by what they would measure, and measure how good the choice is.

    A share ``hold_out`` of the snapshots, 0 to 0.5, is held out of a second choice. ``weights`` of the places are those
    of the selection. ``step`` takes a word on what is being done, ``progress`` what `SensorSelector.fit` gives it.

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


def _figures_table(quality: SelectionQuality, num_held_out: int) -> Table:
    """Each figure of the choice beside the median of random places."""
    table = Table(
        title=f"{plural(quality.num_sensors, 'sensor')}, {plural(quality.num_modes, 'mode')}", title_justify="left"
    )
    table.add_column("figure")
    table.add_column("chosen", justify="right")
    table.add_column(f"random places, median of {quality.num_random}", justify="right")
    rows = [
        ("log volume", quality.log_volume, quality.random_log_volume),
        ("condition number", quality.condition, quality.random_condition),
        ("worst error amplification", quality.error_amplification, quality.random_error_amplification),
    ]
    for name, chosen, random in rows:
        table.add_row(name, _number(chosen), _number(random))
    if quality.held_out_error is not None:
        label = f"error on {plural(num_held_out, 'held-out snapshot')}"
        table.add_row(label, _percent(quality.held_out_error), _percent(quality.random_held_out_error))
        table.add_row("  the best that the modes allow", _percent(quality.basis_held_out_error), "")
    return table


def _sensors_table(sensors: SensorSet, weights: np.ndarray | None) -> Table:
    """Rank and place of each sensor, and its weight where places have one."""
    table = Table(title="sensors, best first", title_justify="left")
    for name in ("rank", *"xyz"[: sensors.dim], *(("weight",) if weights is not None else ())):
        table.add_column(name, justify="right")
    rows = sensors.positions if weights is None else np.column_stack([sensors.positions, weights])
    digits = [*(coordinate_digits(column) for column in sensors.positions.T), 5]
    for rank, row in enumerate(rows.tolist(), start=1):
        table.add_row(str(rank), *(f"{value:.{d}g}" for value, d in zip(row, digits, strict=False)))
    return table


def _notes(chosen: Chosen) -> list[str]:
    """What the figures do not say by themselves."""
    found = []
    if chosen.num_held_out:
        found.append("The sensors are chosen by all snapshots; the error is that of a choice without those held out.")
    if chosen.weights is not None:
        found.append(f"Places are weighted by {chosen.weighting}; the figures above do not count the weights.")
    if chosen.rank < len(chosen.sensors) and math.isinf(chosen.quality.condition):
        found.append(
            f"{chosen.rank} of the {len(chosen.sensors)} sensors see something new, the others the same again, as in "
            f"a round vortex; some of the {plural(chosen.quality.num_modes, 'mode')} none sees. --method qr looks for "
            "places that see them."
        )
    elif chosen.rank < len(chosen.sensors):
        first = "sensor sees" if chosen.rank == 1 else f"{chosen.rank} sensors see"
        modes = "the one mode" if chosen.quality.num_modes == 1 else f"all {chosen.quality.num_modes} modes"
        found.append(
            f"The first {first} {modes}; the others measure the same again, which reduces the effect of noise."
        )
    if chosen.num_used == 1:
        found.append(
            "One snapshot has one mode, which cannot tell places apart: take more snapshots, or another method."
        )
    elif not chosen.num_held_out:
        found.append("No snapshot was held out, so the error of the reconstruction is not known.")
    return found


def _number(value: float) -> str:
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"
