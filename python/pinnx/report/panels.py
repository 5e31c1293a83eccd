"""One panel of a map: a field as colours, streamlines, a colour bar, named axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import NDArray

from pinnx.report.picture import GRAY, INK
from pinnx.report.plane import Plane

__all__ = [
    "draw_field",
    "draw_streamlines",
    "name_axes",
    "name_outer_axes",
    "name_row",
    "panel_size",
    "put_colorbar",
    "say_instead",
]

_STEPS = (1, 2, 2.5, 5, 10)  # of ticks
_LATTICE = 160  # points along the longer side for streamlines
# Of the panel; longer ones wind around a vortex until its centre is a blob.
_STREAMLINE = 2.0
_NOWHERE = "#e8ebef"  # behind the flow: what is seen where there is none


def panel_size(plane: Plane, width: float, height: float) -> tuple[float, float]:
    """The largest panel of the plane's shape inside a box, in inches, but never a sliver."""
    ratio = float(np.clip(_ratio(plane), 1 / 6, 6.0))
    width = min(width, height / ratio)
    return max(width, 1.4), max(width * ratio, 0.7)


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


def say_instead(ax: Axes, plane: Plane, text: str) -> None:
    """A panel with nothing to draw says so."""
    _frame(ax, plane)
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GRAY)


def put_colorbar(
    figure: Figure, drawn: ScalarMappable, axes: Sequence[Axes], label: str, extend: str = "neither"
) -> None:
    """One colour bar to the right of the given panels."""
    bar = figure.colorbar(
        drawn,
        ax=list(axes),
        extend=extend,
        fraction=0.05,
        pad=0.02,
        aspect=24,
        ticks=MaxNLocator(5, steps=_STEPS),
        format=_plain_numbers(),
    )
    bar.set_label(label, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=INK, length=2)


def name_axes(ax: Axes, *, xlabel: bool = True, ylabel: bool = True) -> None:
    """Names x and y."""
    if xlabel:
        ax.set_xlabel("x", color=INK)
    if ylabel:
        ax.set_ylabel("y", color=INK, rotation=0, ha="right", va="center")


def name_row(ax: Axes, label: str) -> None:
    """Names a row of panels, left of its first one."""
    ax.annotate(
        label,
        (0.0, 0.5),
        (-48, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        color=INK,
        weight="bold",
    )


def name_outer_axes(panels: NDArray[np.object_]) -> None:
    """Names x under the lowest panels and y left of the leftmost ones."""
    for ax in panels[-1]:
        name_axes(ax, ylabel=False)
    for ax in panels[:, 0]:
        name_axes(ax, xlabel=False)


def _plain_numbers() -> ScalarFormatter:
    formatter = ScalarFormatter()
    formatter.set_powerlimits((-3, 4))  # 0.02 rather than 2 and a power of ten in the corner
    return formatter


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
