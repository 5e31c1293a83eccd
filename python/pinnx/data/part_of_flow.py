"""Which part of a flow's arrays is read: limits along axes, and every k-th place and frame.

lines    x, y[, z] and t of the whole flow;   part  axis -> slice of it;   stored  the slices of an array as it stands
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pinnx.data.layout import Layout
from pinnx.data.snapshots import inside_limits
from pinnx.errors import PinnxError

__all__ = ["Part", "part_of"]


class Part:
    """A part of a flow.

    Args:
        layout: of the whole flow.
        slices: axis -> which of its lines; an axis that is not there is whole.
    """

    def __init__(self, layout: Layout, slices: Mapping[str, slice]) -> None:
        self.whole, self.slices = layout, dict(slices)
        lines = {axis: line[self.slices.get(axis, slice(None))] for axis, line in layout.coordinates.items()}
        num_times = len(range(layout.num_times)[self.slices.get("t", slice(None))])
        self.layout = replace(layout, coordinates=lines, num_times=num_times) if slices else layout

    @property
    def frames(self) -> range:
        """Numbers of the frames that are left."""
        return range(self.whole.num_times)[self.slices.get("t", slice(None))]

    def stored(self, name: str, shape: tuple[int, ...], *, one_frame: bool = False) -> tuple[slice, ...] | None:
        """The slices of an array [*shape] as it stands in the file; None: all of it.

        Args:
            name: name for the error message.
            shape: of the whole array.
            one_frame: it has no axis t although others have.

        Raises:
            PinnxError: a shape that does not fit the axes.
        """
        if not self.slices:
            return None
        self.whole.arrange(name, np.broadcast_to(0.0, shape), one_frame=one_frame)
        return tuple(
            slice(None) if axis is None else self.slices.get(axis, slice(None))
            for axis in self.whole.axes_of(shape, one_frame=one_frame)
        )

    def kept(self, falling: tuple[int, ...]) -> np.ndarray:
        """[n] bool, which places of the whole flow are left, in C order over rising (x, y[, z])."""
        axes = [axis for axis in "xyzn" if axis in self.whole.axes]
        if axes == ["n"]:
            return np.ones(next(iter(self.whole.coordinates.values())).size, dtype=bool)
        inside = np.zeros([self.whole.coordinates[axis].size for axis in axes], dtype=bool)
        inside[tuple(self.slices.get(axis, slice(None)) for axis in axes)] = True
        return np.flip(inside, axis=[axis - 1 for axis in falling]).reshape(-1)


def part_of(
    layout: Layout,
    times: np.ndarray | None,
    limits: Mapping[str, tuple[float, float]],
    stride: Mapping[str, int],
) -> Part:
    """The part inside limits, of which every k-th line and frame is taken, from the first one on.

    Args:
        layout: of the whole flow.
        times: [T]; None where it is steady.
        limits: axis -> (low, high). Those in space of scattered points are left to `Snapshots.window`.
        stride: axis -> k >= 1.

    Raises:
        PinnxError: a stride along an axis that the flow does not have, or one that leaves fewer than two lines.
    """
    lines = dict(layout.coordinates) if layout.gridded else {}
    if times is not None:
        lines["t"] = times
    for axis, step in stride.items():
        if step > 1 and axis not in lines:
            known = ", ".join(lines) or "none"
            raise PinnxError(
                f"data.stride.{axis}: expected an axis of the grid or the times ({known}), got a stride of {step}"
            )
    slices: dict[str, slice] = {}
    for axis, line in lines.items():
        step = stride.get(axis, 1)
        inside = np.flatnonzero(inside_limits(line, *limits.get(axis, (-np.inf, np.inf))))
        left = len(inside[::step])
        if step > 1 and inside.size and left < 2:
            raise PinnxError(
                f"data.stride.{axis}: expected two lines to be left of {inside.size}, got a stride of {step}"
            )
        # The window says what is wrong where nothing is left; a plane of a grid is no grid.
        if (left >= 2 or (axis == "t" and left)) and left < line.size and (np.diff(inside) == 1).all():
            slices[axis] = slice(int(inside[0]), int(inside[-1]) + 1, step)
    return Part(layout, slices)
