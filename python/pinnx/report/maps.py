"""Maps: quantities beside their reference, residuals, the main quantity at several times and in several planes.

A quantity shares one colour scale with its reference. Errors and residuals are centred at zero, and their scales end
at the 99.5 % quantile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pinnx.report.formatting import enumeration, number, percent
from pinnx.report.panels import (
    BAR,
    ERROR_MAP,
    FIELD_MAP,
    INK,
    Picture,
    add_colorbar,
    draw_field,
    name_outer_axes,
    name_row,
    new_figure,
    panel_size,
    range_of,
    room_for,
    symmetric_range,
)
from pinnx.report.run_data import RunFields

__all__ = ["draw_fields", "draw_residuals", "draw_slices", "draw_spread", "draw_times"]

TITLES = ("reference", "reconstruction", "error")


def draw_fields(fields: RunFields, errors: Mapping[str, float]) -> list[Picture]:
    """Every quantity at the main frame: beside its reference where that is known there, and the others alone."""
    frame, names = fields.main_frame(), fields.quantities
    known = [name for name in names if frame in fields.reference_frames(name)]
    others = [name for name in names if name not in known]
    pictures = [_compare(fields, [(name, frame) for name in known], errors)] if known else []
    if others:
        subject = f"reconstructed {enumeration(others)}{_where(fields, frame)}"
        caption = f"The {subject}, in the units of the data.{_constant_note(fields, others)}"
        pictures.append(_alone(fields, [(name, name, frame) for name in others], caption, f"Maps of the {subject}."))
    return pictures


def draw_times(fields: RunFields, num_frames: int, errors: Mapping[str, float]) -> Picture | None:
    """The main quantity at several times, beside its reference where it has one; None for fewer than two."""
    known = fields.reference_frames(fields.main)
    frames = known or list(range(fields.num_frames))
    count = min(num_frames, len(frames))
    if count < 2:
        return None
    chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))]
    if known:
        return _compare(fields, [(fields.main, frame) for frame in chosen], errors, by_time=True)
    plane = f" in the plane {fields.plane_note}" if fields.plane_note else ""
    subject = f"reconstructed {fields.main} at {len(chosen)} times{plane}"
    rows = [(fields.time_of(frame), fields.main, frame) for frame in chosen]
    return _alone(fields, rows, f"The {subject}, in the units of the data.", f"Maps of the {subject}.")


def draw_residuals(fields: RunFields) -> Picture | None:
    """The stored residuals at the main frame; None where none is stored."""
    frame, names = fields.main_frame(), fields.residual_names
    if not names:
        return None
    size = panel_size(fields.plane, 11.2 / len(names) - BAR, 2.9)
    figure, panels = new_figure(size, [BAR] * len(names))
    sizes = []
    for ax, name in zip(panels.flat, names, strict=True):
        values, label = fields.picture(f"residual/{name}", frame), name.replace("_", " ")
        norm, beyond = symmetric_range(values)
        drawn = draw_field(ax, fields.plane, values, ERROR_MAP, norm)
        ax.set_title(label, y=1.0, color=INK, fontsize=11, weight="bold")
        add_colorbar(figure, drawn, ax, "", "both" if beyond else "neither")
        sizes.append(f"{label} {number(np.sqrt(np.nanmean(values**2)))}")
    name_outer_axes(panels)
    where, size = _where(fields, frame), f"Root mean square over the picture: {', '.join(sizes)}."
    return Picture(
        figure,
        f"Residuals of the equations{where}: where the reconstruction does not obey them. White is zero. {size}",
        f"Maps of the residuals{where}. {size}",
    )


def draw_spread(fields: RunFields, facts: Mapping[str, Any]) -> Picture | None:
    """The deviation of each component of the vector at the main frame; None where no members were trained."""
    if not facts:
        return None
    frame, names = fields.main_frame(), fields.vector
    subject = f"standard deviation of {enumeration(names)}{_where(fields, frame)}"
    level, held = (percent(facts[name]) for name in ("level", "coverage"))
    coverage = f"The {level} interval around the fields holds {held} of the numbers of {facts['coverage_of']}."
    caption = f"From {facts['members']} networks, the {subject}, in the units of the data. {coverage}"
    return _alone(fields, [(name, f"ensemble/deviation/{name}", frame) for name in names], caption, f"Maps: {subject}.")


def _alone(fields: RunFields, panels: list[tuple[str, str, int]], caption: str, alt: str) -> Picture:
    """Maps at most two in a row, each with its title, quantity and frame."""
    size = panel_size(fields.plane, 4.4, 3.4)
    columns = min(2, len(panels))
    figure, axes = new_figure(size, [BAR] * columns, -(-len(panels) // columns), down=0.45)
    name_outer_axes(axes)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (title, name, frame) in zip(axes.flat, panels, strict=False):
        values = fields.picture(name, frame)
        norm, extend = range_of(values)
        drawn = draw_field(ax, fields.plane, values, FIELD_MAP, norm)
        ax.set_title(title, y=1.0, color=INK, fontsize=11, weight="bold")
        add_colorbar(figure, drawn, ax, "", extend)
    return Picture(figure, caption, alt)


def _compare(
    fields: RunFields, rows: list[tuple[str, int]], errors: Mapping[str, float], *, by_time: bool = False
) -> Picture:
    labels = [fields.time_of(frame) if by_time else name for name, frame in rows]
    size = panel_size(fields.plane, 3.5, 2.9)
    figure, panels = new_figure(size, [0.35, BAR, BAR], len(rows), left=0.75 + room_for(labels))
    saturated = False
    for (left, middle, right), label, (name, frame) in zip(panels, labels, rows, strict=True):
        found, wanted = fields.picture(name, frame), fields.picture(name, frame, reference=True)
        norm, extend = range_of(wanted)
        drawn = draw_field(middle, fields.plane, found, FIELD_MAP, norm)
        name_row(left, label)
        add_colorbar(figure, drawn, middle, "", extend)
        draw_field(left, fields.plane, wanted, FIELD_MAP, norm)
        error_norm, beyond = symmetric_range(found - wanted)
        saturated |= beyond
        difference = draw_field(right, fields.plane, found - wanted, ERROR_MAP, error_norm)
        add_colorbar(figure, difference, right, "", "both" if beyond else "neither")
    for ax, text in zip(panels[0], TITLES, strict=True):
        ax.set_title(text, y=1.0, color=INK, fontsize=11, weight="bold")
    name_outer_axes(panels)
    return _describe_comparison(figure, fields, rows, errors, saturated, by_time)


def _describe_comparison(
    figure: Figure,
    fields: RunFields,
    rows: list[tuple[str, int]],
    errors: Mapping[str, float],
    saturated: bool,
    by_time: bool,
) -> Picture:
    names = list(dict.fromkeys(name for name, _ in rows))
    if by_time:
        plane = f" in the plane {fields.plane_note}" if fields.plane_note else ""
        subject = f"The {names[0]} at {len(rows)} times{plane}"
    else:
        subject = f"The fields {enumeration(names)}{_where(fields, rows[0][1])}"
    caption = (
        f"{subject}, in the units of the data: reference, reconstruction, and error (reconstruction minus reference). "
        "In each row reference and reconstruction share one colour scale." + _constant_note(fields, names)
    )
    if saturated:
        caption += " Error colours end at the 99.5 % quantile; arrows on a colour bar mark values beyond it."
    alt = f"{subject} as maps in three columns: reference, reconstruction, error."
    measured = ", ".join(f"{name} {percent(errors[name])}" for name in names if name in errors)
    if measured:
        alt += f" Relative L2 errors over all frames: {measured}."
    return Picture(figure, caption, alt)


def _where(fields: RunFields, frame: int) -> str:
    title = fields.title_of(frame)
    return f" at {title}" if title else ""


def _constant_note(fields: RunFields, names: list[str] | tuple[str, ...]) -> str:
    constant = [name for name in names if name in fields.up_to_constant]
    return f" Of {enumeration(constant)} the mean is subtracted, as only differences are known." if constant else ""


def draw_slices(fields: RunFields) -> Picture | None:
    """A row for each plane: reference, reconstruction and error, or what was reconstructed; None in two dimensions."""
    if fields.dim == 2:
        return None
    frame, planes = fields.main_frame(), [fields.across(axis) for axis in (0, 1)]
    known = frame in fields.reference_frames(fields.main)
    titles = TITLES if known else TITLES[1:2]
    size = panel_size(planes[0].plane, 3.3, 2.7)
    figure, panels = new_figure(size, [BAR] * len(titles), 2, down=0.85)
    for row, own, names in zip(panels, planes, ("yz", "xz"), strict=True):
        found = own.picture(fields.main, frame)
        wanted = own.picture(fields.main, frame, reference=True) if known else None
        norm, extend = range_of(found if wanted is None else wanted)
        shown = [(found, FIELD_MAP, norm, extend)]
        if wanted is not None:
            error, beyond = symmetric_range(found - wanted)
            ends = "both" if beyond else "neither"
            shown = [(wanted, FIELD_MAP, norm, extend), *shown, (found - wanted, ERROR_MAP, error, ends)]
        for ax, title, (values, colors, scale, ends) in zip(row, titles, shown, strict=True):
            drawn = draw_field(ax, own.plane, values, colors, scale)
            add_colorbar(figure, drawn, ax, "", ends)
            ax.set_title(f"{title}, {own.plane_note}", y=1.0, color=INK, fontsize=10)
            ax.set_xlabel(names[0], color=INK)
        row[0].set_ylabel(names[1], color=INK, rotation=0)
        for ax in row[1:]:
            ax.yaxis.set_visible(False)
    when = f" at {fields.time_of(frame)}" if fields.times is not None else ""
    where = enumeration([own.plane_note for own in planes])
    subject = f"{fields.main} in the planes {where}{when}"
    return Picture(figure, f"The {subject}, in the units of the data.", f"Maps of the {subject}: {', '.join(titles)}.")
