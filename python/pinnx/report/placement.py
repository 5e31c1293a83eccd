"""The picture of a choice of sensors: where the fields vary, and the sensors with their ranks on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pinnx.report.panels import draw_field, name_axes, panel_size, put_colorbar
from pinnx.report.picture import FIELD_MAP, INK, Picture, new_figure, range_of
from pinnx.report.plane import choose_plane
from pinnx.report.ranks import draw_ranks
from pinnx.report.words import plural

__all__ = ["draw_placement"]

# Numbers that are widened to float64 at a time: 16 MB.
_BLOCK = 2**21


def draw_placement(
    axes: Sequence[NDArray[np.float64]],
    values: NDArray[np.floating],
    sensors: NDArray[np.float64],
    names: Sequence[str],
    *,
    grid: bool,
) -> Picture:
    """The sensors, numbered by rank, on the standard deviation over the snapshots, or on the only one.

    Args:
        axes: x, y[, z]: lines of a grid, else ``[n]`` each.
        values: ``[T, n, c]``; of several components the length is drawn.
        sensors: ``[k, d]`` positions, best first.
        names: of the components.
        grid: whether the axes are lines of a grid, and the places in C order over them.
    """
    plane, select, note = choose_plane(axes, grid)
    quantity = names[0] if len(names) == 1 else f"({', '.join(names)})"
    several = len(values) > 1
    if several:
        field = _spread(values)
    else:
        only = values[0].astype(np.float64)
        field = only[:, 0] if len(names) == 1 else np.linalg.norm(only, axis=-1)
    shape = tuple(axis.size for axis in axes) if grid else (-1,)
    width, height = panel_size(plane, 7.0, 5.6)
    figure = new_figure(width + 1.3, height + 0.7)
    ax = figure.add_subplot()
    norm, extend = range_of(field)
    drawn = draw_field(ax, plane, field.reshape(shape)[select], FIELD_MAP, norm)
    x0, x1, y0, y1 = plane.extent
    points_per_unit = 72 * np.array([width / (x1 - x0), height / (y1 - y0)])
    ranks = np.arange(1, len(sensors) + 1)
    draw_ranks(ax, sensors[:, :2], ranks, points_per_unit)
    name_axes(ax)
    size = quantity if len(names) == 1 else f"|{quantity}|"
    label = f"standard deviation of {quantity}" if several else size
    put_colorbar(figure, drawn, [ax], label, extend)
    title = plural(len(sensors), "sensor") + (f" · {note}" if note else "")
    ax.set_title(title, color=INK, fontsize=11)
    over = f" over {plural(len(values), 'snapshot')}" if several else ""
    places = "; ".join(
        f"{rank} at ({', '.join(f'{c:.3g}' for c in place)})" for rank, place in zip(ranks, sensors, strict=True)
    )
    return Picture(
        figure,
        f"{plural(len(sensors), 'sensor')}, numbered by rank, on the {label}{over}{f' at {note}' if note else ''}.",
        f"Map of the {label}{over} with numbered sensors: {places}.",
    )


def _spread(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root of the variance over the snapshots, summed over the components: ``[n]``."""
    num_times, n, c = values.shape
    step = max(1, _BLOCK // (num_times * c))
    variances = [
        values[:, begin : begin + step].astype(np.float64).var(axis=0).sum(axis=-1) for begin in range(0, n, step)
    ]
    return np.sqrt(np.concatenate(variances))
