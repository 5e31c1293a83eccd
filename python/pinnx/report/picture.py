"""What all pictures of the report share: a figure with its words, colours, and the way to PNG.

Figures are made through matplotlib's object-oriented API and drawn by Agg: no window system is
asked for, and neither pyplot nor the global rcParams are touched.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = [
    "CURVES",
    "ERROR_MAP",
    "FIELD_MAP",
    "GRAY",
    "INK",
    "Picture",
    "new_figure",
    "range_of",
    "style_curves",
    "symmetric_range",
    "to_png",
]

INK = "#1d2733"
GRAY = "#6b7683"
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

# Errors peak in a few places (corners, walls); colours that reach for the last half per cent would
# show nothing elsewhere.
_SATURATION = 0.995
# A field is peaked when its whole range is this many times that between the quantiles.
_PEAKED = 3.0


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, the caption under it, and the text in its place for those who do not see it."""

    figure: Figure
    caption: str
    alt: str


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure, width and height in inches."""
    figure = Figure(figsize=(width, height), facecolor="white", layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure, dpi: int) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": None}  # the version of matplotlib, which changes from place to place
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.06, metadata=metadata)
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
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRAY)
    ax.tick_params(colors=INK, labelsize=9)
    ax.grid(True, which="major", color="#dfe4ea", linewidth=0.8)
    ax.set_axisbelow(True)
