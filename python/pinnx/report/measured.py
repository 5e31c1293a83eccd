"""What was measured beside what was reconstructed there: over time at some sensors, or all of a steady flow at once."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinnx.report.formatting import enumeration, percent, plural
from pinnx.report.panels import CURVES, GRAY, INK, Picture, new_figure, style_curves
from pinnx.report.run_data import AtSensors, RunFields

__all__ = ["draw_measured"]

MOST_PLACES = 6  # panels
MOST_MARKS = 400  # in a panel and of a quantity; more are one blot


def draw_measured(fields: RunFields) -> Picture | None:
    """Measured and reconstructed values at the sensors; None where none are stored."""
    at = fields.at_sensors()
    if at is None:
        return None
    figure, drawn = _against_each_other(at) if at.times is None else _over_time(at, at.times)
    misfits = [f"{name} {percent(value)}" for name, value in _misfits(at).items()]
    words = f"Misfit over all measurements, relative to them: {', '.join(misfits)}."
    note = "The training fits these values: that they agree says nothing of the places between them."
    return Picture(figure, f"{drawn} {words} {note}", f"Measured beside reconstructed values. {drawn} {words}")


def _misfits(at: AtSensors) -> dict[str, float]:
    """Of each quantity, the norm of the difference over that of the measured values."""
    found = {}
    for name, wanted, got in zip(at.names, at.measured.T, at.reconstructed.T, strict=True):
        size = math.sqrt(np.nansum(wanted**2))
        if size > 0:
            found[name] = math.sqrt(np.nansum((got - wanted) ** 2)) / size
    return found


def _against_each_other(at: AtSensors) -> tuple[Figure, str]:
    """One panel for each quantity: reconstructed over measured values, and the diagonal."""
    gaps = [0.85] * (len(at.names) - 1) + [0.25]
    figure, panels = new_figure((2.5, 2.5), gaps, top=0.15)
    for ax, name, wanted, got in zip(panels.flat, at.names, at.measured.T, at.reconstructed.T, strict=True):
        rows = _thinned(np.flatnonzero(np.isfinite(wanted)))
        ax.plot(wanted[rows], got[rows], "o", ms=4.5, color=CURVES[0][0], mec="white", mew=0.5)
        ax.axline((float(np.nanmean(wanted)),) * 2, slope=1.0, color=GRAY, lw=0.9, zorder=0)
        style_curves(ax, f"{name}, measured", f"{name}, reconstructed")
    thinned = _thinning(len(at.measured))
    return figure, f"Reconstructed over measured values at the sensors; on the line they agree.{thinned}"


def _over_time(at: AtSensors, times: NDArray[np.float64]) -> tuple[Figure, str]:
    """One panel for each of some places: measured values as dots, reconstructed ones as lines."""
    places, place_of = np.unique(at.places, axis=0, return_inverse=True)
    place_of = place_of.reshape(-1)
    squares = np.nansum((at.reconstructed - at.measured) ** 2, axis=1)
    worst = np.argsort(-np.bincount(place_of, weights=squares) / np.bincount(place_of), kind="stable")[:MOST_PLACES]
    num_rows = (len(worst) + 1) // 2
    figure, panels = new_figure((4.2, 1.6), [0.6, 0.25], num_rows, top=0.65, down=0.5)
    for ax in panels.flat[len(worst) :]:
        ax.set_axis_off()
    most = 0
    for ax, place in zip(panels.flat, worst, strict=False):
        rows = np.flatnonzero(place_of == place)
        rows = rows[np.argsort(times[rows], kind="stable")]
        most = max(most, len(rows))
        for column, (name, (color, _)) in enumerate(zip(at.names, CURVES, strict=False)):
            marks = _thinned(rows[np.isfinite(at.measured[rows, column])])
            ax.plot(times[rows], at.reconstructed[rows, column], "-", color=color, lw=1.3, label=name)
            ax.plot(times[marks], at.measured[marks, column], "o", ms=3.0, color=color, mec="white", mew=0.4)
        style_curves(ax, "time t" if ax in panels[-1] else "", "")
        ax.set_title(f"at ({', '.join(f'{c:.4g}' for c in places[place])})", y=1.0, color=INK, fontsize=10)
    panels[0, 0].legend(frameon=False, ncols=len(at.names), loc="lower left", bbox_to_anchor=(0, 1.12))
    shown = "All places" if len(worst) == len(places) else f"{len(worst)} of {plural(len(places), 'place')}"
    return figure, (
        f"{shown}, those with the largest misfit first: measured {enumeration(at.names)} as dots, reconstructed "
        f"ones as lines.{_thinning(most)}"
    )


def _thinned(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return rows[:: 1 + (len(rows) - 1) // MOST_MARKS] if len(rows) else rows


def _thinning(count: int) -> str:
    return f" Of {count} measured values of a panel one in {1 + (count - 1) // MOST_MARKS} is drawn." * (
        count > MOST_MARKS
    )
