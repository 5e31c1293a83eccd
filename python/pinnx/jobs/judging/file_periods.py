"""Periods of a flow in a file, named as those of a run: ``domain.periodic=[x]`` and ``domain.x=[lo, hi]``, one period.

A file with both ends of the period has its first line again as the last; most programs leave that line out. Derivatives
are taken across the ends where the period is named: on lines that are all different, of a pressure without its jump

    p' = p - J x / P,   f' = f - (J / P) e_x,   J = domain.jump.x,  P the period
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError

__all__ = ["FilePeriods", "file_periods"]

# Of the least distance of two lines: a period that differs by less from that of the lines was rounded, as 6.2832 is.
ROUNDED = 1e-3
# Of the least and of the largest distance of two lines: how far the end of a period may be from the last line.
NEAREST, FARTHEST = 0.5, 1.5
Array = NDArray[Any]


@dataclass(frozen=True)
class FilePeriods:
    """Periods that are named, by axis.

    Args:
        axes: names of the axes of space, x, y[, z].
        periods: of those along which one is named.
        repeated: axes whose last line in the file is the first one again.
        slopes: J / P, of those with a jump of the pressure.
    """

    axes: Sequence[str]
    periods: dict[str, float]
    repeated: frozenset[str]
    slopes: dict[str, float]

    @property
    def by_axis(self) -> list[float | None] | None:
        """The period of each axis; None: none is named."""
        return [self.periods.get(axis) for axis in self.axes] if self.periods else None

    def lines(self, axes: Sequence[Array]) -> list[Array]:
        """Lines of the grid without those that are there twice."""
        return [line[:-1] if name in self.repeated else line for name, line in zip(self.axes, axes, strict=True)]

    def once(self, field: Array) -> Array:
        """A field ``[..., nx, ny[, nz]]`` at these lines."""
        return field[(..., *(slice(None, -1 if name in self.repeated else None) for name in self.axes))]

    def without_jump(self, pressure: Array, axes: Sequence[Array]) -> Array:
        """p' from p, ``[..., nx, ny[, nz]]``."""
        mesh = dict(zip(self.axes, np.meshgrid(*axes, indexing="ij"), strict=True))
        return pressure - sum(slope * mesh[axis] for axis, slope in self.slopes.items())

    def with_jump(self, forcing: Array | None) -> Array | None:
        """f' from f, [d], or [..., nx, ny[, nz], d] at these lines; None: neither a force nor a jump."""
        if forcing is not None and forcing.ndim > 1:
            forcing = np.moveaxis(self.once(np.moveaxis(forcing, -1, 0)), 0, -1)
        if not self.slopes:
            return forcing
        given = np.zeros(len(self.axes)) if forcing is None else forcing
        return given - np.array([self.slopes.get(axis, 0.0) for axis in self.axes])


def file_periods(config: Config, snapshots: Snapshots) -> FilePeriods:
    """The periods that a configuration names for a file.

    Args:
        config: the section domain is used.
        snapshots: the flow.

    Raises:
        PinnxError: an extent of an axis that is not periodic, that the file does not fill, or that is smaller than the
            file's; points that are no grid; a periodic axis that the file does not have.
    """
    axes, periods, repeated, slopes = snapshots.axis_names, {}, set(), {}
    for axis in ("x", "y", "z"):
        given = getattr(config.domain, axis)
        if axis not in axes and (given is not None or axis in config.domain.periodic):
            raise PinnxError(f"domain.{axis}: expected one of {', '.join(axes)}, which the file has")
        if given is None:
            continue
        if axis not in config.domain.periodic:
            raise PinnxError(f"domain.{axis}: expected {axis} among domain.periodic, as a file has its own extent")
        if snapshots.grid_shape is None or snapshots.holes is not None:
            raise PinnxError(
                f"domain.{axis}: expected a grid without holes, for derivatives across its ends, got none; leave it out"
            )
        line = np.unique(snapshots.points[:, axes.index(axis)])
        periods[axis] = _period(axis, line, given)
        if periods[axis] <= np.ptp(line):
            repeated.add(axis)
        if jump := getattr(config.domain.jump, axis):
            slopes[axis] = jump / periods[axis]
    return FilePeriods(axes, periods, frozenset(repeated), slopes)


def _period(axis: str, line: Array, given: tuple[float, float]) -> float:
    """The period of lines that rise; that of the lines themselves where the one given is it, but for rounding.

    Raises:
        PinnxError: a period that is not about as long as the lines reach.
    """
    steps, extent, period = np.diff(line), float(np.ptp(line)), given[1] - given[0]
    least, most = float(steps.min()), float(steps.max())
    even = most - least <= ROUNDED * least
    for known in (extent, *([extent + extent / steps.size] if even else [])):
        if abs(period - known) <= ROUNDED * least:
            return known
    if not NEAREST * least <= period - extent <= FARTHEST * most:
        raise PinnxError(
            f"domain.{axis}: expected [lo, hi] of one whole period, got {list(given)}; the file has {axis} from "
            f"{line[0]:.12g} to {line[-1]:.12g}, in steps of at most {most:.3g}"
        )
    return period
