"""Pictures of a breakage run: f against volume at the reported times, moments over time, the map of the residual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from pinnx.report.formatting import number, percent
from pinnx.report.panels import CURVES, ERROR_MAP, GRAY, INK, Picture, add_colorbar, new_figure, style_curves

__all__ = ["SizeFields", "draw_moments", "draw_passing", "draw_residual_map", "draw_sizes"]

Array = NDArray[np.float64]

# Below this share of its largest value f is not drawn: it falls over hundreds of orders of magnitude.
_SMALLEST = 1e-8
_PANELS = 4


@dataclass(frozen=True, eq=False)
class SizeFields:
    """fields.h5 of a breakage run; see `pinnx.jobs.breakage.breakage_results`."""

    v: Array  # [m]
    times: Array  # [T]
    f: Array  # [T, m]
    passing: Array  # [T, m], the share of the volume in particles up to v
    reference: Array  # [T, m]
    reference_name: str
    curve_times: Array  # [r]
    curve: Array  # [r, 4], M0 to M3 of the network
    moments: Array  # [T, 4], of the reference
    residual_v: Array  # [s]
    residual: Array  # [r, s], at the times of the curve
    measured: Array | None  # [k, 3], t, v and f

    @classmethod
    def read(cls, file: Mapping[str, Any], reference_name: str) -> SizeFields:
        """From an open file, or from the arrays that go into one."""
        names = ("v", "t", "f", "passing", "reference/f")
        sizes = [np.asarray(file[name], dtype=np.float64) for name in names]
        names = ("curve/t", "curve/moments", "reference/moments", "residual/v", "residual/breakage")
        more = [np.asarray(file[name], dtype=np.float64) for name in names]
        measured = np.column_stack([file[f"measured/{name}"] for name in "tvf"]) if "measured/t" in file else None
        return cls(*sizes, reference_name, *more, measured)


def _panels_of(fields: SizeFields) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(fields.times) - 1, _PANELS).round().astype(np.int64))


def draw_sizes(fields: SizeFields) -> Picture:
    """f at four of the times, on logarithmic axes, with the reference and what was measured."""
    chosen = _panels_of(fields)
    figure, axes = new_figure((2.4, 2.6), [0.45] * len(chosen), top=0.4)
    for ax, row in zip(axes[0], chosen, strict=True):
        time = fields.times[row]
        f, reference = fields.f[row], fields.reference[row]
        largest = max(f.max(), reference.max())
        if largest > 0:
            for values, (color, line), label in (
                (reference, (GRAY, "-"), fields.reference_name),
                (f, (CURVES[0][0], "--"), "network"),
            ):
                ax.loglog(
                    fields.v, np.where(values > _SMALLEST * largest, values, np.nan), ls=line, color=color, label=label
                )
            ax.set_ylim(_SMALLEST * largest, 5 * largest)
        else:
            ax.text(
                0.5, 0.5, "no particles\nbut the first", ha="center", va="center", transform=ax.transAxes, color=GRAY
            )
        if fields.measured is not None:
            here = np.isclose(fields.measured[:, 0], time)
            ax.loglog(*fields.measured[here, 1:].T, ls="", marker=".", ms=3, color=CURVES[1][0], label="measured")
        style_curves(ax, "volume v", "number density f" if row == chosen[0] else "")
        ax.set_title(f"t = {time:g}", color=INK, fontsize=10)
    handles, labels = axes[0][-1].get_legend_handles_labels()
    axes[0][-1].legend(handles, labels, frameon=False, fontsize=8, loc="lower left")
    times = ", ".join(f"{fields.times[row]:g}" for row in chosen)
    return Picture(
        figure,
        f"Number density at t = {times}: the network (dashed) and {fields.reference_name} (grey), on logarithmic axes. "
        "Curves that fall by more than eight orders of magnitude end there.",
        f"Curves of f over v at t = {times}, network and {fields.reference_name}.",
    )


def draw_passing(fields: SizeFields) -> Picture:
    """The cumulative curves of the volume at four of the times, over a logarithmic axis."""
    figure, ((ax,),) = new_figure((6.9, 3.0), [0.9], top=0.15)
    chosen = _panels_of(fields)
    for row, (color, line) in zip(chosen, CURVES, strict=False):
        ax.semilogx(fields.v, 100 * fields.passing[row], ls=line, color=color, label=f"t = {fields.times[row]:g}")
    style_curves(ax, "volume v", "volume in particles up to v, %")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return Picture(
        figure,
        "Cumulative curves of the network: the share of the volume in particles up to v.",
        f"Rising curves of the share of the volume over v, at {len(chosen)} times.",
    )


def draw_moments(fields: SizeFields) -> Picture:
    """M0 to M3 over time, and those of the reference."""
    figure, ((ax,),) = new_figure((6.9, 3.0), [0.9], top=0.15)
    for order, (color, line) in enumerate(CURVES[:4]):
        ax.loglog(fields.curve_times, fields.curve[:, order], ls=line, color=color, label=f"M{order}")
        later = fields.times > 0
        ax.loglog(fields.times[later], fields.moments[later, order], ls="", marker="o", mfc="none", color=color)
    style_curves(ax, "time t", "moment")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    drift = float(np.abs(fields.curve[:, 1] / fields.moments[0, 1] - 1).max())
    return Picture(
        figure,
        f"Moments, the integrals of v^k f, of the network (curves) and of {fields.reference_name} (circles). Breakage "
        f"keeps M1, the volume of all particles; here it drifts by {percent(drift)} at most.",
        f"Curves of the moments M0 to M3 over time. M1 drifts by {percent(drift)} at most.",
    )


def draw_residual_map(fields: SizeFields) -> Picture:
    """The relative residual of the balance over volume and time."""
    figure, ((ax,),) = new_figure((6.0, 3.2), [1.1], top=0.15)
    reach = float(np.quantile(np.abs(fields.residual), 0.995)) or 1.0
    drawn = ax.pcolormesh(
        fields.residual_v,
        fields.curve_times,
        fields.residual,
        cmap=ERROR_MAP,
        norm=Normalize(-reach, reach),
        rasterized=True,
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    style_curves(ax, "volume v", "time t")
    ax.grid(visible=False)
    add_colorbar(figure, drawn, ax, "residual / (1 + births)", "both")
    rms, worst = float(np.sqrt(np.mean(fields.residual**2))), float(np.abs(fields.residual).max())
    return Picture(
        figure,
        f"Residual of the balance per unit of ln(1 + t), relative to the births: {number(rms)} in the root mean "
        f"square, {number(worst)} at most.",
        f"Map of the residual over volume and time, {number(rms)} in the root mean square.",
    )
