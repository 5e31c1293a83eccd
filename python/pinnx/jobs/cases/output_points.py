"""Where and when the fields of a run are wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinnx.data.layout import grid_points
from pinnx.data.snapshots import AXIS_NAMES
from pinnx.errors import PinnxError
from pinnx.physics.geometry import at_time

__all__ = ["OutputPoints", "output_grid", "output_times"]

# Default number of grid points along the longest side, where a CSV file leaves the output grid open.
GRID_POINTS = {2: 128, 3: 48}
# Default number of times, where each sensor has a clock of its own: a smooth film, and seconds to evaluate.
MOST_TIMES = 200
# Where the output of measurements at many different times would take more memory, it is refused before the training.
MAX_OUTPUT_GIB = 4.0


@dataclass(frozen=True, eq=False)
class OutputPoints:
    """Where and when the fields are wanted."""

    points: np.ndarray  # [n, d] float64
    times: np.ndarray | None  # [T] float64; None where the flow is steady
    grid_shape: tuple[int, ...] | None  # of the points, in C order over x, y[, z]; None where they are scattered

    def coordinates(self, frame: int) -> np.ndarray:
        """[n, D], the points at one time."""
        return at_time(self.points, None if self.times is None else self.times[frame])

    @property
    def num_frames(self) -> int:
        """Number of times; 1 where the flow is steady."""
        return 1 if self.times is None else len(self.times)


def output_times(
    measured: np.ndarray, extent: tuple[float, float], wanted: int | Sequence[float] | None
) -> tuple[np.ndarray, list[str]]:
    """When the fields of measurements are wanted, by the setting evals.times, and what must be known of that.

    ``measured`` [T] float64 are the distinct times of the rows, rising; ``extent``: first and last time of the domain.

    Raises:
        PinnxError: times that do not rise, or that are outside the domain.
    """
    if wanted is None and len(measured) <= MOST_TIMES:
        return measured, []
    if wanted is None or isinstance(wanted, int):
        number = wanted or MOST_TIMES
        many = f"The fields are written at {number:,} evenly spaced times, not at the {len(measured):,} of the rows"
        return np.linspace(*extent, number), [f"{many}; evals.times sets them."] if wanted is None else []
    times = np.array(wanted, dtype=np.float64)
    if not len(times) or (np.diff(times) <= 0).any() or times[0] < extent[0] or times[-1] > extent[1]:
        raise PinnxError(
            f"evals.times: expected rising times from {extent[0]:g} to {extent[1]:g}, the extent of the domain, "
            f"got {', '.join(f'{time:g}' for time in times[:8])}"
        )
    return times, []


def output_grid(
    bounds: dict[str, tuple[float, float]], times: np.ndarray | None, num: int | None = None
) -> OutputPoints:
    """A regular grid over the domain, its ends included, at times [T], which a steady flow has not.

    ``num`` is the setting evals.grid: points along the longest side; None: 128 in two dimensions, 48 in three.

    Raises:
        PinnxError: an output that would take too much memory.
    """
    extents = [bounds[axis] for axis in AXIS_NAMES if axis in bounds]
    longest = max(high - low for low, high in extents)
    num = num or GRID_POINTS[len(extents)]
    shape = tuple(max(2, round(num * (high - low) / longest)) for low, high in extents)
    num_frames = 1 if times is None else len(times)
    # Fields and residuals in float64, gathered and then stored: about three copies at the peak.
    needed_gib = 3 * 8 * 2 * (len(extents) + 1) * num_frames * math.prod(shape) / 2**30
    if needed_gib > MAX_OUTPUT_GIB:
        raise PinnxError(
            f"evals.grid: expected an output of at most {MAX_OUTPUT_GIB:g} GiB of memory, got {needed_gib:.1f} GiB for "
            f"{' x '.join(map(str, shape))} points at {num_frames} times; set evals.times, or evals.grid (now {num})"
        )
    lines = [np.linspace(*extent, size) for extent, size in zip(extents, shape, strict=True)]
    points = grid_points(lines)
    return OutputPoints(points, times, shape)
