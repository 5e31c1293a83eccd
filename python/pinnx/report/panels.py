"""What pictures share: figures with captions, colours and scales, panels with a field, colour bars and named axes.

Figures are made through matplotlib's object-oriented API and drawn by Agg. No window system is needed, and neither
pyplot nor the global rcParams are touched.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import BboxImage, imsave
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, ScalarFormatter
from matplotlib.transforms import Bbox, TransformedBbox
from numpy.typing import NDArray

from pinnx.report.formatting import SUPERSCRIPT, TIMES
from pinnx.report.plane import Plane

__all__ = [
    "BAR",
    "CURVES",
    "ERROR_MAP",
    "FIELD_MAP",
    "GRAY",
    "INK",
    "Picture",
    "add_colorbar",
    "draw_field",
    "draw_streamlines",
    "figure_with_map",
    "name_outer_axes",
    "name_row",
    "new_figure",
    "panel_size",
    "range_of",
    "room_for",
    "style_curves",
    "symmetric_range",
    "to_pixels",
    "to_png",
]

INK = "#1d2733"
GRAY = "#6b7683"
BAR = 0.85  # inches for a colour bar and its numbers
FIELD_MAP = "viridis"  # perceptually uniform, also in grey
ERROR_MAP = "RdBu_r"  # diverging, white at zero

# Okabe and Ito's colours, safe for colour-blind eyes, with line styles for print in grey.
CURVES = (
    ("#0072b2", "-"),
    ("#d55e00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#e69f00", (0, (5, 1))),
    ("#56b4e9", (0, (3, 1, 1, 1))),
    ("#5d3a9b", (0, (1, 1))),
)

# Errors peak at a few points (corners, walls); a scale up to the largest would show nothing elsewhere.
_SATURATION = 0.995
# A field is peaked when its whole range is this many times that between the quantiles.
_PEAKED = 3.0

_STEPS = (1, 2, 2.5, 5, 10)  # of ticks
_LATTICE = 160  # points along the longer side for streamlines
# Length of a streamline, of the panel; longer ones wind around a vortex until its centre is a blob.
_STREAMLINE = 2.0
_NOWHERE = "#e8ebef"  # where there are no points


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, the caption under it, and the text that a screen reader speaks."""

    figure: Figure
    caption: str
    alt: str


class _PowersOfTen(LogFormatterSciNotation):
    """Labels of a logarithmic axis in plain characters: the parser of formulas takes 0.3 s before its first one."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos):
            return ""
        exponent = math.floor(math.log10(x) + 1e-9)
        factor, raised = f"{x / 10.0**exponent:.3g}", str(exponent).translate(SUPERSCRIPT)
        return f"10{raised}" if factor == "1" else f"{factor}{TIMES}10{raised}"


def new_figure(
    size: tuple[float, float],
    gaps: Sequence[float],
    rows: int = 1,
    *,
    left: float = 0.85,
    bottom: float = 0.55,
    top: float = 0.4,
    down: float = 0.3,
) -> tuple[Figure, NDArray[np.object_]]:
    """A white figure with panels at fixed places; an engine that looks for places takes longer than the drawing.

    Args:
        size: width and height of a panel; likewise below in inches.
        gaps: to the right of each column of panels, for a colour bar or a legend.
        rows: of panels.
        left: for the names beside the first column.
        bottom: below the last row.
        top: above the first row.
        down: between two rows.

    Returns:
        The figure and its panels ``[rows, columns]``.
    """
    (width, height), columns = size, len(gaps)
    whole = left + columns * width + sum(gaps), bottom + rows * height + (rows - 1) * down + top
    figure = Figure(figsize=whole, facecolor="white")
    FigureCanvasAgg(figure)
    panels = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        x = left + column * width + sum(gaps[:column])
        y = bottom + (rows - 1 - row) * (height + down)
        panels[row, column] = figure.add_axes((x / whole[0], y / whole[1], width / whole[0], height / whole[1]))
    return figure, panels


def to_pixels(figure: Figure, dpi: int) -> memoryview:
    """The figure as colours ``[rows, columns, 4]`` uint8."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    return canvas.buffer_rgba()


def to_png(pixels: memoryview, dpi: int) -> bytes:
    """The same as PNG, equal pixels as equal bytes. It holds the interpreter's lock for a small part of its time."""
    buffer = io.BytesIO()
    metadata = {"Software": None}  # the version of matplotlib, which changes from machine to machine
    options = {"compress_level": 4}  # of 9: three quarters of the default's time, a tenth more bytes
    imsave(buffer, pixels, format="png", dpi=dpi, metadata=metadata, pil_kwargs=options)
    return buffer.getvalue()


def range_of(field: NDArray[np.float64]) -> tuple[Normalize, str]:
    """A colour scale from the field's least value to its largest, and the ends beyond which values lie.

    A field whose few largest values dwarf all others (the pressure at a cavity's corners, which is
    singular) would be one colour; its scale ends at the quantiles, and the colour bar gets arrows.
    """
    values = field[np.isfinite(field)]
    if values.size == 0:
        return Normalize(0.0, 1.0), "neither"
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(q) for q in np.quantile(values, (1.0 - _SATURATION, _SATURATION)))
    if high - low > _PEAKED * (inner_high - inner_low) > 0.0:
        return Normalize(inner_low, inner_high), "both"
    # A constant field (a component at rest) gets a scale all the same.
    pad = 0.0 if high > low else max(abs(high), 1.0) * 1e-3
    return Normalize(low - pad, high + pad), "neither"


def symmetric_range(field: NDArray[np.float64]) -> tuple[Normalize, bool]:
    """A colour scale centred at zero, and whether values lie beyond it."""
    values = np.abs(field[np.isfinite(field)])
    reach = float(np.quantile(values, _SATURATION)) if values.size else 0.0
    largest = float(values.max()) if values.size else 0.0
    reach = reach or largest or 1.0
    return Normalize(-reach, reach), largest > reach


def style_curves(ax: Axes, xlabel: str, ylabel: str) -> None:
    """Axes of a curve: two spines, a light grid, named axes."""
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(_PowersOfTen())
            axis.set_minor_formatter(_PowersOfTen(labelOnlyBase=False))
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRAY)
    ax.tick_params(colors=INK, labelsize=9)
    ax.grid(True, which="major", color="#dfe4ea", linewidth=0.8)
    ax.set_axisbelow(True)


def panel_size(plane: Plane, width: float, height: float) -> tuple[float, float]:
    """The largest panel of the plane's shape inside a box, in inches, but never a sliver."""
    ratio = float(np.clip(_ratio(plane), 1 / 6, 6.0))
    width = min(width, height / ratio)
    return max(width, 1.4), max(width * ratio, 0.7)


def figure_with_map(
    plane: Plane, values: NDArray[np.float64], label: str, title: str
) -> tuple[Figure, Axes, NDArray[np.float64]]:
    """A figure with one large map of a field.

    Returns:
        The figure, its axes, and the typographic points to one unit of x and of y, ``[2]``.
    """
    width, height = panel_size(plane, 7.0, 5.6)
    figure, panels = new_figure((width, height), [BAR + 0.2])
    ax = panels[0, 0]
    norm, extend = range_of(values)
    drawn = draw_field(ax, plane, values, FIELD_MAP, norm)
    name_outer_axes(panels)
    add_colorbar(figure, drawn, ax, label, extend)
    ax.set_title(title, y=1.0, color=INK, fontsize=11)
    x0, x1, y0, y1 = plane.extent
    return figure, ax, 72 * np.array([width / (x1 - x0), height / (y1 - y0)])


def draw_field(ax: Axes, plane: Plane, values: NDArray[np.float64], cmap: str, norm: Normalize) -> ScalarMappable:
    """Draws one field as colours; x and y have one scale unless that makes a sliver."""
    _frame(ax, plane)
    return plane.draw(ax, values, cmap, norm)


def draw_streamlines(ax: Axes, plane: Plane, u: NDArray[np.float64], v: NDArray[np.float64]) -> None:
    """Draws streamlines of (u, v) over a field, resampled on an even grid."""
    x0, x1, y0, y1 = plane.extent
    longest = max(x1 - x0, y1 - y0)
    x = np.linspace(x0, x1, max(8, round(_LATTICE * (x1 - x0) / longest)))
    y = np.linspace(y0, y1, max(8, round(_LATTICE * (y1 - y0) / longest)))
    ax.streamplot(
        x,
        y,
        np.ma.masked_invalid(plane.resample(u, x, y)),
        np.ma.masked_invalid(plane.resample(v, x, y)),
        color=(1.0, 1.0, 1.0, 0.55),
        linewidth=0.7,
        arrowsize=0.7,
        density=1.1,
        maxlength=_STREAMLINE,
    )
    # streamplot widens the axes by itself.
    ax.set(xlim=(x0, x1), ylim=(y0, y1))


def add_colorbar(figure: Figure, drawn: ScalarMappable, ax: Axes, label: str, extend: str = "neither") -> None:
    """A colour bar to the right of a panel, as high as that, with triangles for values beyond its ends.

    It is made of an image, lines and texts of the figure: axes of its own would take three times as long to draw.
    """
    low, high = drawn.get_clim()
    box, width = ax.get_position(), 1.0 / figure.get_figwidth()
    x0, x1 = box.x1 + 0.1 * width, box.x1 + 0.23 * width
    cmap, tip = drawn.get_cmap(), 0.05 * box.height if extend == "both" else 0.0
    y0, y1 = box.y0 + tip, box.y1 - tip
    colors = BboxImage(TransformedBbox(Bbox([[x0, y0], [x1, y1]]), figure.transFigure), cmap=cmap, origin="lower")
    colors.set_data(np.linspace(0.0, 1.0, 256)[:, None])
    figure.add_artist(colors)
    for end, beyond, color in ((y0, box.y0, cmap(0.0)), (y1, box.y1, cmap(1.0))) if tip else ():
        corners = [(x0, end), (x1, end), ((x0 + x1) / 2, beyond)]
        figure.add_artist(Polygon(corners, transform=figure.transFigure, facecolor=color, edgecolor="none"))
    ticks = [tick for tick in MaxNLocator(5, steps=_STEPS).tick_values(low, high) if low <= tick <= high]
    formatter = ScalarFormatter()
    formatter.set_powerlimits((-3, 4))  # 0.02 rather than 2 and a power of ten in the corner
    formatter.create_dummy_axis()
    formatter.axis.set_view_interval(low, high)
    for tick, text in zip(ticks, formatter.format_ticks(ticks), strict=True):
        y = y0 + (y1 - y0) * (tick - low) / (high - low)
        figure.add_artist(Line2D([x1, x1 + 0.03 * width], [y, y], color=INK, linewidth=0.8))
        figure.text(x1 + 0.07 * width, y, text, color=INK, fontsize=8, va="center_baseline")
    if power := formatter.get_offset():
        figure.text(x0, box.y1 + 0.06 / figure.get_figheight(), power, color=INK, fontsize=8)
    if label:
        figure.text(x1 + 0.55 * width, (y0 + y1) / 2, label, color=INK, rotation=90, ha="center", va="center")


def room_for(names: Iterable[str]) -> float:
    """Inches that the longest of some names in bold takes."""
    return 0.1 * max(map(len, names), default=0)


def name_row(ax: Axes, label: str) -> None:
    """Names a row of panels, left of its first one."""
    at = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "center"}
    ax.annotate(label, (0.0, 0.5), (-48, 0), color=INK, weight="bold", **at)


def name_outer_axes(panels: NDArray[np.object_]) -> None:
    """Names x under the lowest panels ``[rows, columns]`` and y left of the leftmost ones; others have no numbers."""
    for ax in panels[:-1].flat:
        ax.xaxis.set_visible(False)
    for ax in panels[:, 1:].flat:
        ax.yaxis.set_visible(False)
    for ax in panels[-1]:
        ax.set_xlabel("x", color=INK)
    for ax in panels[:, 0]:
        ax.set_ylabel("y", color=INK, rotation=0, ha="right", va="center")


def _ratio(plane: Plane) -> float:
    x0, x1, y0, y1 = plane.extent
    return (y1 - y0) / (x1 - x0)


def _frame(ax: Axes, plane: Plane) -> None:
    x0, x1, y0, y1 = plane.extent
    ax.set(xlim=(x0, x1), ylim=(y0, y1), facecolor=_NOWHERE)
    ax.set_aspect("equal" if 1 / 6 <= _ratio(plane) <= 6 else "auto")
    ax.spines[:].set_visible(False)
    ax.tick_params(labelsize=8, colors=INK, length=2)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
