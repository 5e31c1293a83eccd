"""Pictures over time or steps: the error of every frame, the history of the loss.

The error of a frame is in units of the reference's root-mean-square norm over time
(``pinnx.evals.relative_l2_per_frame``), so that the curve combines to the number in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.evals import relative_l2_per_frame
from pinnx.report.fields import Fields
from pinnx.report.picture import CURVES, GRAY, INK, Picture, new_figure, style_curves
from pinnx.report.words import number, percent

__all__ = ["draw_error_over_time", "draw_loss"]


def draw_error_over_time(fields: Fields) -> Picture | None:
    """The error of speed, components and pressure in every frame.

    None where the flow is steady or has no reference.
    """
    if fields.times is None or not fields.has_reference:
        return None
    curves = {name: (fields.times, errors) for name, errors in _velocity_errors(fields).items() if errors is not None}
    pressure = _pressure_errors(fields)
    if pressure is not None:
        curves["p"] = (fields.times[fields.pressure_frames], pressure)

    figure = new_figure(9.0, 3.4)
    ax = figure.add_subplot()
    for (name, (times, errors)), (color, line) in zip(curves.items(), CURVES, strict=False):
        width = 2.4 if name == "speed" else 1.6
        marker = "o" if times.size < 3 else ""
        ax.plot(times, errors, ls=line, marker=marker, color=color, lw=width, label=name)
    frame = fields.main_frame()
    ax.axvline(fields.times[frame], color=GRAY, lw=0.8, ls=(0, (2, 3)))
    ax.set_ylim(bottom=0.0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol="\u00a0%"))
    style_curves(ax, "time t", "relative L2 error")
    ax.legend(frameon=False, ncols=len(curves), loc="lower left", bbox_to_anchor=(0, 1))

    speed = curves["speed"][1]
    worst = int(np.argmax(speed))
    summary = (
        f"Speed error between {percent(speed.min())} and {percent(speed.max())}, largest at {fields.time_of(worst)}."
    )
    return Picture(
        figure,
        f"Error of every frame, in units of the reference's root-mean-square over time. {summary}"
        f" The dotted line is the instant of the maps above.",
        f"Curves of the relative error of {', '.join(curves)} over time. {summary}",
    )


def _velocity_errors(fields: Fields) -> dict[str, NDArray[np.float64] | None]:
    found = {name: fields.series(name) for name in fields.components}
    wanted = {name: fields.series(f"reference/{name}") for name in fields.components}
    found_speed, wanted_speed = (np.sqrt(sum(part**2 for part in side.values())) for side in (found, wanted))
    errors = {"speed": _per_frame(found_speed, wanted_speed, "speed")}
    return errors | {name: _per_frame(found[name], wanted[name], name) for name in found}


def _pressure_errors(fields: Fields) -> NDArray[np.float64] | None:
    frames = fields.pressure_frames
    if not frames:
        return None
    found, wanted = fields.series("p")[frames], fields.series("reference/p")
    found, wanted = (p - p.mean(axis=1, keepdims=True) for p in (found, wanted))
    return _per_frame(found, wanted, "p")


def _per_frame(found: NDArray[np.float64], wanted: NDArray[np.float64], name: str) -> NDArray[np.float64] | None:
    # A component at rest has no relative error; the table of errors leaves it out as well.
    if not wanted.any():
        return None
    return relative_l2_per_frame(found, wanted, name=name)


def draw_loss(history: Mapping[str, NDArray[np.float64]]) -> Picture:
    """The total loss and each of its terms over the steps, on a logarithmic axis.

    Raises:
        PinnxError: the history has no column that begins with ``loss/``.
    """
    terms = {name.removeprefix("loss/"): c for name, c in history.items() if name[:5] == "loss/"}
    if not terms:
        raise PinnxError("report: history.jsonl: expected columns loss/..., found none")
    steps = history["step"]
    # Zero has no place on a logarithmic axis: a term that is always zero (there is no boundary) is
    # named in the caption instead.
    drawn = {name: np.where(c > 0, c, np.nan) for name, c in terms.items() if (c > 0).any()}
    figure = new_figure(9.0, 3.9)
    ax = figure.add_subplot()
    for name, values in drawn.items():
        if name == "total":
            ax.semilogy(steps, values, color=INK, lw=2.2, label="total", zorder=3)
    styles = iter(CURVES * (1 + len(drawn) // len(CURVES)))
    for name, values in drawn.items():
        if name != "total":
            color, line = next(styles)
            label = name.replace("_", " ")
            ax.semilogy(steps, values, ls=line, color=color, lw=1.3, label=label)
    style_curves(ax, "step", "loss")
    ax.margins(x=0.01)
    if drawn:
        ax.legend(frameon=False, ncols=1, loc="upper left", bbox_to_anchor=(1, 1))

    caption = "The loss and each of its terms at the logged steps."
    zero = [name.replace("_", " ") for name in terms if name not in drawn]
    if zero:
        caption += f" Zero or absent throughout: {', '.join(zero)}."
    bad = int(sum(np.count_nonzero(~np.isfinite(c)) for c in terms.values()))
    if bad:
        caption += f" {bad} logged values are missing or not finite and are not drawn."
    alt = f"Curves of {', '.join(name.replace('_', ' ') for name in drawn)} over steps, log scale."
    total = terms.get("total")
    if total is not None:
        alt += f" The total goes from {number(total[0])} to {number(total[-1])}."
    return Picture(figure, caption, alt)
