"""Curves: measured beside reconstructed values; the error over time; loss, checks and what they took over the steps.

The error of a frame is in units of the reference's root-mean-square norm over time
(``pinnx.evals.relative_l2_per_frame``), so that the curve combines to the number in the tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.evals import relative_l2_per_frame
from pinnx.report.formatting import enumeration, number, percent, plural
from pinnx.report.panels import CURVES, GRAY, INK, Picture, new_figure, room_for, style_curves
from pinnx.report.run_data import AtSensors, RunFields

__all__ = ["draw_error_over_time", "draw_found", "draw_loss", "draw_measured", "draw_performance", "draw_physics"]

_TOTAL, _PHYSICS = "loss/total", "physics/"
_PERFORMANCE = {
    "epochs_per_hour": "epochs per hour",
    "memory_gib": "memory, GiB",
    "gpu_utilisation": "use of the GPU, %",
    "convergence_rate": "decades in 1,000 steps",
}
MOST_PLACES = 6  # panels
MOST_MARKS = 400  # in a panel and of a quantity; more are one blot


def draw_error_over_time(fields: RunFields) -> Picture | None:
    """The error of every quantity in every frame; None where the problem is steady or has no reference."""
    curves = {} if fields.times is None else _errors_over_time(fields)
    main = fields.vector_name if fields.vector else fields.main
    if fields.times is None or main not in curves:
        return None
    figure, ((ax,),) = new_figure((7.9, 2.6), [0.25])
    for (name, (times, errors)), (color, line) in zip(curves.items(), CURVES, strict=False):
        width, marker = (2.4 if name == main else 1.6), ("o" if times.size < 3 else "")
        ax.plot(times, errors, ls=line, marker=marker, color=color, lw=width, label=name)
    ax.axvline(fields.times[fields.main_frame()], color=GRAY, lw=0.8, ls=(0, (2, 3)))
    ax.set_ylim(bottom=0.0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol="\u00a0%"))
    style_curves(ax, "time t", "relative L2 error")
    ax.legend(frameon=False, ncols=len(curves), loc="lower left", bbox_to_anchor=(0, 1))

    times, errors = curves[main]
    worst = times[int(np.argmax(errors))]
    summary = (
        f"The error of {main} is between {percent(errors.min())} and {percent(errors.max())}, "
        f"largest at t = {worst:.4g}."
    )
    return Picture(
        figure,
        "Relative L2 error of every frame: the norm of the difference over the root-mean-square norm of the reference."
        f" {summary} The dotted line is the time of the maps.",
        f"Curves of the relative error of {enumeration(list(curves))} over time. {summary}",
    )


def _errors_over_time(fields: RunFields) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Quantity -> times and errors. A quantity whose reference is zero has no relative error, as in the table."""
    assert fields.times is not None
    curves = {}
    for name in (*((fields.vector_name,) if fields.vector else ()), *fields.quantities):
        frames = fields.reference_frames(name)
        if not frames:
            continue
        found, wanted = fields.series(name)[frames], fields.series(name, reference=True)
        if wanted.any() and np.isfinite(found).all():
            curves[name] = (fields.times[frames], relative_l2_per_frame(found, wanted, name=name))
    return curves


def draw_found(history: Mapping[str, NDArray[np.float64]], found: Mapping[str, Mapping[str, float]]) -> Picture | None:
    """The numbers that the training finds over the steps, on a logarithmic axis where all are > 0; None without any."""
    curves = {name: history[name] for name in found if name in history and np.isfinite(history[name]).any()}
    if not curves:
        return None
    figure, ((ax,),) = new_figure((7.9, 2.1), [0.25], top=0.15)
    for (name, values), (color, line) in zip(curves.items(), CURVES, strict=False):
        ax.plot(history["step"], values, ls=line, color=color, lw=2.0, label=name)
        ax.axhline(found[name]["guess"], color=GRAY, lw=0.8, ls=(0, (2, 3)))
    logarithmic = all(found[name]["guess"] > 0 and values.min() > 0 for name, values in curves.items())
    ax.set_yscale("log" if logarithmic else "linear")
    style_curves(ax, "training step", ", ".join(curves))
    ax.margins(x=0.01)
    ends = "; ".join(f"{name} from {number(values[0])} to {number(values[-1])}" for name, values in curves.items())
    return Picture(
        figure,
        f"What the training found: {ends}. The dotted line is the first guess. The learning rate falls, so the end of "
        "a curve is flat in any case: look at where it bends.",
        f"Curve of {enumeration(list(curves))} over training steps{', log scale' * logarithmic}: {ends}.",
    )


def draw_loss(history: Mapping[str, NDArray[np.float64]]) -> Picture:
    """The total loss and each of its terms over the steps, on a logarithmic axis.

    Raises:
        PinnxError: the history has no column that begins with ``loss/``.
    """
    columns = {name: values for name, values in history.items() if name.startswith("loss/")}
    if not columns:
        raise PinnxError("report: history.jsonl: expected columns loss/..., found none")
    labels = {name: name.removeprefix("loss/").replace("_", " ") for name in columns}
    # A logarithmic axis cannot show zero: a term that is always zero (there is no boundary) is named in the caption.
    drawn = {name: np.where(values > 0, values, np.nan) for name, values in columns.items() if (values > 0).any()}
    figure, ((ax,),) = new_figure((6.9, 3.2), [0.6 + room_for(labels.values())], top=0.15)
    styles = iter(CURVES * (1 + len(drawn) // len(CURVES)))
    for name, values in sorted(drawn.items(), key=lambda item: item[0] != _TOTAL):
        if name == _TOTAL:
            ax.semilogy(history["step"], values, color=INK, lw=2.2, label=labels[name], zorder=3)
        else:
            color, line = next(styles)
            ax.semilogy(history["step"], values, ls=line, color=color, lw=1.3, label=labels[name])
    style_curves(ax, "training step", "loss")
    ax.margins(x=0.01)
    if drawn:
        ax.legend(frameon=False, ncols=1, loc="upper left", bbox_to_anchor=(1, 1))

    caption = "The total loss, and each of its terms before its weight, at the logged steps; no units, log scale."
    zero = [labels[name] for name in columns if name not in drawn]
    if zero:
        caption += f" Zero or absent throughout: {', '.join(zero)}."
    bad = int(sum(np.count_nonzero(~np.isfinite(values)) for values in columns.values()))
    if bad:
        caption += f" Not drawn: {bad} values that are missing or not finite."
    alt = f"Curves of {', '.join(labels[name] for name in drawn)} over training steps, log scale."
    if _TOTAL in columns:
        first, last = columns[_TOTAL][[0, -1]]
        alt += f" The total goes from {number(first)} to {number(last)}."
    return Picture(figure, caption, alt)


def draw_physics(history: Mapping[str, NDArray[np.float64]], descriptions: Mapping[str, str]) -> Picture | None:
    """The checks at a few points while the network trained, on a logarithmic axis; None where none was logged.

    They are the columns ``physics/NAME``; ``descriptions``: NAME -> what it is.
    """
    columns = {name.removeprefix(_PHYSICS): values for name, values in history.items() if name.startswith(_PHYSICS)}
    drawn = {name: values for name, values in columns.items() if (values > 0).any()}
    if not drawn:
        return None
    labels = {name: name.removesuffix("_l2").replace("_", " ") for name in drawn}
    figure, ((ax,),) = new_figure((6.9, 3.2), [0.6 + room_for(labels.values())], top=0.15)
    styles = CURVES * (1 + len(drawn) // len(CURVES))
    for (name, values), (color, line) in zip(drawn.items(), styles, strict=False):
        known = values > 0
        ax.semilogy(history["step"][known], values[known], ls=line, marker=".", color=color, lw=1.3, label=labels[name])
    style_curves(ax, "training step", "value of the check")
    ax.margins(x=0.01)
    ax.legend(frameon=False, ncols=1, loc="upper left", bbox_to_anchor=(1, 1))
    said = "; ".join(f"{labels[name]}: {descriptions[name]}" for name in drawn if name in descriptions)
    ends = ", ".join(f"{labels[name]} {number(values[values > 0][-1])}" for name, values in drawn.items())
    return Picture(
        figure,
        f"The checks at 1,000 points while the network trained, each in its unit, log scale. {said}.",
        f"Curves of the checks over training steps, log scale. At the end: {ends}.",
    )


def draw_performance(history: Mapping[str, NDArray[np.float64]]) -> Picture | None:
    """Epochs per hour, memory, convergence and use of the GPU over the steps: what of these was logged."""
    panels = [(name, title) for name, title in _PERFORMANCE.items() if np.isfinite(history.get(name, np.nan)).any()]
    if not panels:
        return None
    figure, axes = new_figure((9.4 / len(panels) - 0.75, 1.9), [0.75] * (len(panels) - 1) + [0.2], top=0.35)
    for ax, (name, title) in zip(axes[0], panels, strict=True):
        known = np.isfinite(history[name])
        ax.plot(history["step"][known], history[name][known], color=CURVES[0][0], lw=1.5)
        style_curves(ax, "training step", "")
        ax.set_title(title, y=1.0, color=INK, fontsize=10)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        if name != "convergence_rate":
            ax.set_ylim(0.0, 1.1 * history[name][known].max())
    return Picture(
        figure,
        "What the training took, at the logged steps. An epoch is one step. Convergence: by how many powers of ten the "
        "terms of the loss fall in 1,000 steps, over the last 20 logged ones. It ends near zero, as the learning rate "
        "does.",
        f"Curves of {enumeration([title for _, title in panels])} over training steps.",
    )


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
