"""What `pinnx sensors` shows: the figures of the choice, and the sensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from pinnx.report.formatting import plural
from pinnx.sensors.quality import SelectionQuality
from pinnx.sensors.sensor_set import SensorSet

if TYPE_CHECKING:
    from pinnx.jobs.placing.sensors import Chosen

__all__ = ["figures_table", "notes", "sensors_table"]


def figures_table(quality: SelectionQuality, num_held_out: int) -> Table:
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


def sensors_table(sensors: SensorSet, weights: np.ndarray | None) -> Table:
    """Rank and place of each sensor, and its weight where places have one."""
    table = Table(title="sensors, best first", title_justify="left")
    for name in ("rank", *"xyz"[: sensors.dim], *(("weight",) if weights is not None else ())):
        table.add_column(name, justify="right")
    rows = sensors.positions if weights is None else np.column_stack([sensors.positions, weights])
    for rank, row in enumerate(rows.tolist(), start=1):
        table.add_row(str(rank), *(f"{value:.5g}" for value in row))
    return table


def notes(chosen: Chosen) -> list[str]:
    """What the figures do not say by themselves."""
    found = []
    if chosen.num_held_out:
        found.append("The sensors are chosen by all snapshots; the error is that of a choice without those held out.")
    if chosen.weights is not None:
        found.append(f"Places are weighted by {chosen.weighting}; the figures above do not count the weights.")
    if chosen.rank < len(chosen.sensors):
        found.append(
            f"The first {chosen.rank} sensors see all {plural(chosen.quality.num_modes, 'mode')}; the others "
            "measure the same again, which reduces the effect of noise."
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
