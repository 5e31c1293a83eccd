"""Maps of the sensors, numbered by rank: of a reconstruction, and of a choice of sensors alone.

Sensors often stand close together (walls, a lid). Marks that would overlap are pushed apart, pair by pair, and a thin
line leads from each to its true position. More than sixty are dots without a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pinnx.report.formatting import plural, positions_text
from pinnx.report.panels import INK, Picture, draw_streamlines, figure_with_map
from pinnx.report.plane import choose_plane
from pinnx.report.run_data import RunFields

__all__ = ["draw_placement", "draw_sensors", "mark_sensors", "spread"]

_DIAMETER = 13.0  # of a mark, in typographic points
_APART = _DIAMETER + 3.0  # between the centres of two marks, edges included
# More marks cover the picture and each other, and take seconds: they are dots without a number.
MOST_NUMBERED = 60
_ROUNDS = 200  # a dozen marks settle within twenty; hundreds may stay crowded
_BLOCK = 2**21  # numbers that are widened to float64 at a time: 16 MB


def draw_sensors(fields: RunFields, sensors: NDArray[np.float64]) -> Picture:
    """The sensors on the main quantity, with streamlines where there is a vector, at the main frame."""
    frame, reference = fields.main_frame(), fields.has_reference
    title = fields.title_of(frame)
    origin = "reference" if reference else "reconstruction"
    figure, ax, scale = figure_with_map(
        fields.plane,
        fields.picture(fields.main, frame, reference=reference),
        fields.main,
        " · ".join(filter(None, (origin, title))),
    )
    if fields.vector:
        u, v = (fields.picture(name, frame, reference=reference) for name in fields.vector[:2])
        draw_streamlines(ax, fields.plane, u, v)
    ax.plot(*fields.outlines().T, color=INK, lw=1.2, zorder=3)
    mark_sensors(ax, sensors[:, :2], scale)
    shown = (
        f"{fields.main}{' and streamlines' if fields.vector else ''} of the {origin}{f' at {title}' if title else ''}"
    )
    return Picture(
        figure,
        f"The {plural(len(sensors), 'sensor')}, {_marks(len(sensors))}, on the {shown}.",
        f"Map of the {shown} with sensors: {positions_text(sensors)}.",
    )


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
        grid: whether the axes are lines of a grid, and the points in C order over them.
    """
    plane, select, note = choose_plane(axes, grid)
    quantity = names[0] if len(names) == 1 else f"({', '.join(names)})"
    if len(values) > 1:
        field, label = _deviation(values), f"standard deviation of {quantity}"
    elif len(names) == 1:
        field, label = values[0, :, 0].astype(np.float64), quantity
    else:
        field, label = np.linalg.norm(values[0].astype(np.float64), axis=-1), f"|{quantity}|"
    shape = tuple(axis.size for axis in axes) if grid else (-1,)
    count = plural(len(sensors), "sensor")
    figure, ax, scale = figure_with_map(
        plane, field.reshape(shape)[select], label, " · ".join(filter(None, (count, note)))
    )
    mark_sensors(ax, sensors[:, :2], scale)
    over = f" over {plural(len(values), 'snapshot')}" if len(values) > 1 else ""
    return Picture(
        figure,
        f"{count}, {_marks(len(sensors))}, on the {label}{over}{f' at {note}' if note else ''}.",
        f"Map of the {label}{over} with sensors: {positions_text(sensors)}.",
    )


def _deviation(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root of the variance over the snapshots, summed over the components: ``[n]``."""
    num_times, n, c = values.shape
    step = max(1, _BLOCK // (num_times * c))
    variances = [
        values[:, begin : begin + step].astype(np.float64).var(axis=0).sum(axis=-1) for begin in range(0, n, step)
    ]
    return np.sqrt(np.concatenate(variances))


def mark_sensors(ax: Axes, positions: NDArray[np.float64], points_per_unit: NDArray[np.float64]) -> None:
    """Draws a numbered mark for each position ``[k, 2]``, best first, or dots where they are many.

    ``points_per_unit`` [2] are the typographic points to one unit of x and of y.
    """
    beneath = {"zorder": 4, "clip_on": False}
    if len(positions) > MOST_NUMBERED:
        ax.plot(*positions.T, "o", ms=4.5, mfc=INK, mec="white", mew=0.8, **beneath)
        return
    marks = spread(positions * points_per_unit, _APART) / points_per_unit
    for rank, (position, mark) in enumerate(zip(positions, marks, strict=True), start=1):
        if np.linalg.norm((mark - position) * points_per_unit) > _DIAMETER / 4:
            line = np.stack((position, mark))
            ax.plot(*line.T, color="white", lw=2.4, **beneath)
            ax.plot(*line.T, color=INK, lw=1.0, **beneath)
            ax.plot(*position, "o", ms=4.5, mfc=INK, mec="white", mew=0.8, **beneath)
        ax.plot(*mark, "o", ms=_DIAMETER, mfc="white", mec=INK, mew=1.3, zorder=5, clip_on=False)
        text = {"ha": "center", "va": "center_baseline", "fontsize": 7.5, "weight": "bold", "color": INK, "zorder": 6}
        ax.text(*mark, str(rank), **text)


def _marks(count: int) -> str:
    """How the sensors are marked, for a caption."""
    if count > MOST_NUMBERED:
        return f"as dots, without their ranks, as they are more than {MOST_NUMBERED}"
    return "numbered by rank, best first"


def spread(points: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Moves points ``[k, 2]`` until any two are ``apart``, or the rounds are used up."""
    marks = points.astype(np.float64, copy=True)
    # Two marks at one point have no direction between them: each gets its own, a golden angle further.
    angle = 2.399963 * np.arange(len(marks))
    own = np.column_stack((np.cos(angle), np.sin(angle)))
    for _ in range(_ROUNDS):
        difference = marks[:, None] - marks[None]
        distance = np.linalg.norm(difference, axis=2)
        np.fill_diagonal(distance, np.inf)
        overlap = np.maximum(apart - distance, 0.0)
        if overlap.max() < 1e-2 * apart:
            break
        direction = np.where(
            distance[..., None] > 1e-9 * apart,
            difference / np.maximum(distance, 1e-12)[..., None],
            own[:, None] - own[None],
        )
        marks += 0.5 * (overlap[..., None] * direction).sum(axis=1)
    return marks
