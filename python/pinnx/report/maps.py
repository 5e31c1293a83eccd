"""Pictures in the plane of the flow: sensors, fields beside their reference, residuals, instants.

Fields share one colour scale with their reference; signed errors and residuals are centred at zero
and saturate at their 99.5 % quantile. The pressure is drawn less its mean over the places drawn.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinnx.report.fields import Fields
from pinnx.report.panels import (
    draw_field,
    draw_streamlines,
    name_axes,
    name_outer_axes,
    name_row,
    panel_size,
    put_colorbar,
    say_instead,
)
from pinnx.report.picture import (
    ERROR_MAP,
    FIELD_MAP,
    INK,
    Picture,
    new_figure,
    range_of,
    symmetric_range,
)
from pinnx.report.ranks import draw_ranks
from pinnx.report.words import number, percent

__all__ = ["draw_fields", "draw_instants", "draw_residuals", "draw_sensors"]

_NAMES = {"speed": "speed |V|", "p": "pressure p"}


def draw_sensors(fields: Fields, sensors: NDArray[np.float64], ranks: NDArray[np.int64]) -> Picture:
    """The sensors, numbered by rank, on the speed and streamlines of the main frame."""
    frame = fields.main_frame()
    of_reference = fields.has_reference
    prefix = "reference/" if of_reference else ""
    speed = fields.picture(f"{prefix}speed", frame)
    u, v = (fields.picture(prefix + name, frame) for name in "uv")

    width, height = panel_size(fields.plane, 7.0, 5.6)
    figure = new_figure(width + 1.3, height + 0.7)
    ax = figure.add_subplot()
    norm, extend = range_of(speed)
    drawn = draw_field(ax, fields.plane, speed, FIELD_MAP, norm)
    draw_streamlines(ax, fields.plane, u, v)
    x0, x1, y0, y1 = fields.plane.extent
    points_per_unit = 72 * np.array([width / (x1 - x0), height / (y1 - y0)])
    draw_ranks(ax, sensors[:, :2], ranks, points_per_unit)
    name_axes(ax)
    put_colorbar(figure, drawn, [ax], "speed |V|", extend)
    whose = "reference" if of_reference else "reconstructed"
    title = fields.title_of(frame)
    ax.set_title(" · ".join(filter(None, (f"{whose} flow", title))), color=INK, fontsize=11)
    places = "; ".join(
        f"{rank} at ({', '.join(f'{c:.3g}' for c in place)})" for rank, place in zip(ranks, sensors, strict=True)
    )
    return Picture(
        figure,
        f"The {len(sensors)} sensors, numbered by rank, on the speed and streamlines of the {whose}"
        f" flow{f' at {title}' if title else ''}.",
        f"Map of the {whose} flow with {len(sensors)} numbered sensors: {places}.",
    )


def draw_fields(fields: Fields, errors: Mapping[str, float]) -> Picture:
    """Every field at the main frame: reference, reconstruction, error, or reconstruction alone."""
    frame = fields.main_frame()
    names = [*fields.components, "speed", "p"]
    if fields.has_reference:
        return _compare(fields, [(name, frame) for name in names], errors)

    width, height = panel_size(fields.plane, 4.4, 3.4)
    num_rows = (len(names) + 1) // 2
    figure = new_figure(2 * (width + 0.95) + 0.3, num_rows * (height + 0.45) + 0.3)
    panels = figure.subplots(num_rows, 2, squeeze=False, sharex=True, sharey=True)
    for ax in panels.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(panels.flat, names, strict=False):
        values = _prepared(fields, name, frame)
        norm, extend = range_of(values)
        drawn = draw_field(ax, fields.plane, values, FIELD_MAP, norm)
        ax.set_title(_NAMES.get(name, name), color=INK, fontsize=11, weight="bold")
        put_colorbar(figure, drawn, [ax], "", extend)
    name_outer_axes(panels)
    title = fields.title_of(frame)
    where = f" at {title}" if title else ""
    return Picture(
        figure,
        f"Reconstructed velocity, speed and pressure{where}, with no reference to compare with.",
        f"Maps of the reconstructed {', '.join(names)}{where}.",
    )


def draw_instants(fields: Fields, num_frames: int, errors: Mapping[str, float]) -> Picture | None:
    """The speed at instants spread over time, beside its reference; None for fewer than two."""
    count = min(num_frames, fields.num_frames)
    if count < 2:
        return None
    frames = np.unique(np.linspace(0, fields.num_frames - 1, count).round().astype(int))
    return _compare(fields, [("speed", int(frame)) for frame in frames], errors, by_time=True)


def draw_residuals(fields: Fields) -> Picture | None:
    """The stored residuals at the main frame; None where none is stored."""
    frame = fields.main_frame()
    names = fields.residuals
    if not names:
        return None
    width, height = panel_size(fields.plane, 11.2 / len(names) - 0.95, 2.9)
    figure = new_figure(len(names) * (width + 0.95) + 0.3, height + 0.8)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)
    sizes = []
    for ax, name in zip(panels.flat, names, strict=True):
        values = fields.picture(f"residual/{name}", frame)
        norm, beyond = symmetric_range(values)
        drawn = draw_field(ax, fields.plane, values, ERROR_MAP, norm)
        ax.set_title(name.replace("_", " "), color=INK, fontsize=11, weight="bold")
        put_colorbar(figure, drawn, [ax], "", "both" if beyond else "neither")
        size = np.sqrt(np.mean(values**2))
        sizes.append(f"{name.replace('_', ' ')} {number(size)}")
    name_outer_axes(panels)
    title = fields.title_of(frame)
    where = f" at {title}" if title else ""
    return Picture(
        figure,
        f"Residuals of the equations{where}: where the reconstruction breaks the physics. White is"
        f" none. Root mean square over the picture: {', '.join(sizes)}.",
        f"Maps of the residuals{where}; root mean square: {', '.join(sizes)}.",
    )


def _compare(
    fields: Fields,
    rows: list[tuple[str, int]],
    errors: Mapping[str, float],
    *,
    by_time: bool = False,
) -> Picture:
    width, height = panel_size(fields.plane, 3.5, 2.9)
    figure = new_figure(3 * width + 2.6, len(rows) * (height + 0.2) + 0.6)
    panels = figure.subplots(len(rows), 3, squeeze=False, sharex=True, sharey=True)
    saturated = False
    for (left, middle, right), (name, frame) in zip(panels, rows, strict=True):
        found = _prepared(fields, name, frame)
        known = fields.holds(f"reference/{name}", frame)
        wanted = _prepared(fields, f"reference/{name}", frame) if known else found
        norm, extend = range_of(wanted)
        drawn = draw_field(middle, fields.plane, found, FIELD_MAP, norm)
        label = fields.time_of(frame) if by_time else _NAMES.get(name, name)
        name_row(left, label)
        if not known:
            for ax in (left, right):
                say_instead(ax, fields.plane, "not known here")
            put_colorbar(figure, drawn, [left, middle], "", extend)
            continue
        draw_field(left, fields.plane, wanted, FIELD_MAP, norm)
        put_colorbar(figure, drawn, [left, middle], "", extend)
        error_norm, beyond = symmetric_range(found - wanted)
        saturated |= beyond
        difference = draw_field(right, fields.plane, found - wanted, ERROR_MAP, error_norm)
        put_colorbar(figure, difference, [right], "", "both" if beyond else "neither")
    for ax, text in zip(panels[0], ("reference", "reconstruction", "error"), strict=True):
        ax.set_title(text, color=INK, fontsize=11, weight="bold")
    name_outer_axes(panels)
    return _describe_comparison(figure, fields, rows, errors, saturated, by_time)


def _describe_comparison(
    figure: Figure,
    fields: Fields,
    rows: list[tuple[str, int]],
    errors: Mapping[str, float],
    saturated: bool,
    by_time: bool,
) -> Picture:
    if by_time:
        subject = f"The speed at {len(rows)} instants"
        if fields.plane_note:
            subject += f" in the plane {fields.plane_note}"
        measured = f"speed {percent(errors['speed'])}" if "speed" in errors else ""
    else:
        title = fields.title_of(rows[0][1])
        subject = "Velocity, speed and pressure" + (f" at {title}" if title else "")
        measured = ", ".join(f"{n} {percent(errors[n])}" for n, _ in rows if n in errors)
    caption = (
        f"{subject}: reference, reconstruction, and their difference (reconstruction minus"
        " reference). In each row reference and reconstruction share one colour scale."
    )
    if any(name == "p" for name, _ in rows):
        caption += " Pressure is known up to a constant: its mean is taken out."
    if saturated:
        caption += " Error colours end at the 99.5 % quantile; arrows mark scales that go on."
    alt = f"{subject} as maps in three columns: reference, reconstruction, error."
    if measured:
        alt += f" Relative L2 errors over all frames: {measured}."
    return Picture(figure, caption, alt)


def _prepared(fields: Fields, name: str, frame: int) -> NDArray[np.float64]:
    values = fields.picture(name, frame)
    return values - values.mean() if name in ("p", "reference/p") else values
