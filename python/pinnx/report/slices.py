"""Slices of a flow in three dimensions: its main quantity in the middle planes across x and y, beside its reference."""

from __future__ import annotations

from pinnx.report.formatting import enumeration
from pinnx.report.panels import (
    BAR,
    ERROR_MAP,
    FIELD_MAP,
    INK,
    Picture,
    add_colorbar,
    draw_field,
    new_figure,
    panel_size,
    range_of,
    symmetric_range,
)
from pinnx.report.run_data import RunFields

__all__ = ["draw_slices"]

TITLES = ("reference", "reconstruction", "error")


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
