"""The figures of a choice of sensors on the terminal."""

from __future__ import annotations

import math

import numpy as np
from rich.table import Table

from pinnx.report.words import plural
from pinnx.select.job import Selection

__all__ = ["figures_table", "notes", "sensors_table"]


def figures_table(selection: Selection) -> Table:
    """Each figure of the choice beside the median of random places."""
    quality = selection.quality
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
        label = f"error on {plural(selection.num_held_out, 'held-out snapshot')}"
        table.add_row(label, _percent(quality.held_out_error), _percent(quality.random_held_out_error))
        table.add_row("  the best that the modes allow", _percent(quality.basis_held_out_error), "")
    return table


def sensors_table(selection: Selection) -> Table:
    """Rank and place of each sensor, and its weight where places have one."""
    table = Table(title="sensors, best first", title_justify="left")
    weighted = selection.weights is not None
    for name in ("rank", *"xyz"[: selection.sensors.dim], *(("weight",) if weighted else ())):
        table.add_column(name, justify="right")
    rows = selection.sensors.positions
    if selection.weights is not None:
        rows = np.column_stack([rows, selection.weights])
    for rank, row in enumerate(rows.tolist(), start=1):
        table.add_row(str(rank), *(f"{value:.5g}" for value in row))
    return table


def notes(selection: Selection) -> list[str]:
    """What the figures do not say by themselves."""
    said = []
    if selection.weights is not None:
        said.append(f"Places are weighted by {selection.weighting}; the figures above do not count the weights.")
    if selection.rank < len(selection.sensors):
        said.append(
            f"The first {selection.rank} sensors see all {plural(selection.quality.num_modes, 'mode')}; the others "
            "see nothing new, and make the answer firmer."
        )
    if selection.num_used == 1:
        said.append("One snapshot has one mode, which cannot tell places apart: take more snapshots.")
    elif not selection.num_held_out:
        said.append("No snapshot was held out, so the error of the reconstruction is not known.")
    return said


def _number(value: float) -> str:
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"
