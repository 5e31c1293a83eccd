"""How the arrays of a file are laid out in space and time: grid or scattered, and in which order of axes.

    grid         field (t, y, x)  ->  [T, n_x, n_y[, n_z]]     any order of the file's axes
    scattered    field (n, t)     ->  [T, n]

Coordinates come as grid lines, as meshgrid arrays (reduced to their lines) or as one value for
each point. Axes of length one count for nothing, since MATLAB adds them: (1, n) is (n,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from pinnx.errors import PinnxError

__all__ = ["Layout", "find_layout", "monotonic"]


@dataclass(frozen=True)
class Layout:
    """The axes of the field arrays, and the coordinates along them.

    Args:
        axes: axes of the field arrays as they are stored, e.g. ("t", "y", "x") or ("n", "t").
        coordinates: [n_axis] grid lines, or [n] one value for each point, by axis x, y[, z].
        num_times: length of the axis t; 1 without times.
    """

    axes: tuple[str, ...]
    coordinates: Mapping[str, np.ndarray]
    num_times: int

    @property
    def gridded(self) -> bool:
        """Whether the points are a grid."""
        return "n" not in self.axes

    @property
    def spatial(self) -> tuple[str, ...]:
        """The axes without t, in the order of the file."""
        return tuple(axis for axis in self.axes if axis != "t")

    def size(self, axis: str) -> int:
        """Length of one axis."""
        if axis == "t":
            return self.num_times
        # Scattered coordinates all have n values: any of them tells n.
        return self.coordinates["x" if axis == "n" else axis].size

    def arrange(self, name: str, array: np.ndarray, *, one_frame: bool = False) -> np.ndarray:
        """Bring a field of the file to [T, n_x, n_y[, n_z]] or [T, n]; a view where it can be one.

        Args:
            name: name for the error message.
            array: the field as it is stored.
            one_frame: the field has no axis t although others have; it becomes [1, ...].

        Raises:
            PinnxError: a shape that does not fit the axes.
        """
        axes = self.spatial if one_frame else self.axes
        sizes = [self.size(axis) for axis in axes]
        if array.size != np.prod(sizes) or not _same_shape(array.shape, sizes, self.gridded):
            listed = ", ".join(f"{axis}: {size}" for axis, size in zip(axes, sizes, strict=True))
            raise PinnxError(f"{name}: expected axes ({listed}), got shape {list(array.shape)}")
        wanted = tuple(axis for axis in ("t", "x", "y", "z", "n") if axis in axes)
        arranged = array.reshape(sizes).transpose([axes.index(axis) for axis in wanted])
        return arranged if "t" in wanted else arranged[np.newaxis]


def find_layout(
    coordinates: Mapping[str, np.ndarray],
    num_times: int | None,
    field_shape: Sequence[int],
    axes: tuple[str, ...] | None,
) -> Layout:
    """Find the order of axes that fits the shapes, or check the given one.

    Args:
        coordinates: arrays by axis x, y[, z], as they stand in the file.
        num_times: number of times, None where steady.
        field_shape: shape of the field arrays.
        axes: the order, or None to take the only one that fits.

    Raises:
        PinnxError: no order fits, several do and none is given, or the given one does not; the
            orders that fit are named.
    """
    lines, mesh_order = _lines_of(coordinates)
    points = {axis: array.reshape(-1) for axis, array in coordinates.items()}
    fitting: list[Layout] = []
    for order, values in _orders(lines, points, mesh_order, num_times):
        layout = Layout(order, values, num_times or 1)
        sizes = [layout.size(axis) for axis in order]
        if np.prod(sizes) == np.prod(field_shape) and _same_shape(field_shape, sizes, layout.gridded):
            fitting.append(layout)

    if axes is not None:
        chosen = [layout for layout in fitting if _equivalent(layout.axes, axes, num_times)]
    else:
        chosen = fitting
    if len(chosen) == 1:
        return chosen[0]
    lengths = ", ".join(f"{axis} {list(array.shape)}" for axis, array in coordinates.items())
    times = "" if num_times is None else f", t [{num_times}]"
    orders = " or ".join(str(layout.axes) for layout in fitting) or "none"
    asked = "an order that the shapes decide" if axes is None else str(axes)
    raise PinnxError(
        f"axes: expected {asked}, got fields {list(field_shape)} with {lengths}{times}; what fits: {orders}"
    )


def monotonic(axis: str, line: np.ndarray) -> np.ndarray:
    """Return the grid line [n_axis] if it is finite and rises or falls throughout.

    Raises:
        PinnxError: it does not.
    """
    if not np.isfinite(line).all():
        bad = int(np.count_nonzero(~np.isfinite(line)))
        raise PinnxError(f"{axis}: expected finite values, got {bad} that are NaN or infinite")
    steps = np.diff(line)
    if not ((steps > 0).all() or (steps < 0).all()):
        first = int(np.argmax(np.sign(steps) != np.sign(line[-1] - line[0])))
        raise PinnxError(
            f"{axis}: expected grid lines that rise or fall throughout, got {line[first]:g} "
            f"followed by {line[first + 1]:g} at index {first + 1}"
        )
    return line


def _orders(
    lines: dict[str, np.ndarray] | None,
    points: dict[str, np.ndarray],
    mesh_order: tuple[str, ...] | None,
    num_times: int | None,
) -> list[tuple[tuple[str, ...], dict[str, np.ndarray]]]:
    """Every order of axes that the coordinates allow, with the coordinates it would have."""
    found: list[tuple[tuple[str, ...], dict[str, np.ndarray]]] = []
    spaces: list[tuple[tuple[str, ...], dict[str, np.ndarray]]] = []
    if lines is not None and min(line.size for line in lines.values()) >= 2:
        names = [mesh_order] if mesh_order else list(permutations(lines))
        spaces += [(order, lines) for order in names]
    if len({values.size for values in points.values()}) == 1 and not mesh_order:
        spaces.append((("n",), points))
    for space, values in spaces:
        if num_times is None:
            found.append((space, values))
            continue
        # One single time may be stored in any place, or not at all: one entry stands for all.
        places = range(1 if num_times == 1 else len(space) + 1)
        found += [((*space[:place], "t", *space[place:]), values) for place in places]
    return found


def _equivalent(found: tuple[str, ...], asked: tuple[str, ...], num_times: int | None) -> bool:
    if num_times == 1:
        return [axis for axis in found if axis != "t"] == [axis for axis in asked if axis != "t"]
    return found == asked


def _same_shape(stored: Sequence[int], sizes: Sequence[int], gridded: bool) -> bool:
    """Whether two shapes agree up to axes of length one; scattered points may span several axes."""
    have = [size for size in stored if size != 1]
    want = [size for size in sizes if size != 1]
    return have == want or (not gridded and _merges(have, want))


def _merges(have: list[int], want: list[int]) -> bool:
    """Whether joining neighbouring axes turns one shape into the other (a curvilinear mesh)."""
    position, product = 0, 1
    for size in have:
        product *= size
        if position < len(want) and product == want[position]:
            position, product = position + 1, 1
    return position == len(want) and product == 1


def _lines_of(
    coordinates: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray] | None, tuple[str, ...] | None]:
    """Reduce the coordinates to grid lines; with the order of the axes if they were a mesh.

    Returns (None, None) where the arrays are a mesh whose lines are not straight: its points count
    as scattered.
    """
    squeezed = {axis: np.squeeze(array) for axis, array in coordinates.items()}
    if max(array.ndim for array in squeezed.values()) <= 1:
        return {axis: np.atleast_1d(array) for axis, array in squeezed.items()}, None
    shapes = {array.shape for array in squeezed.values()}
    if len(shapes) != 1:
        listed = ", ".join(f"{axis} {list(a.shape)}" for axis, a in coordinates.items())
        raise PinnxError(f"coordinates: expected grid lines or arrays of one shape, got {listed}")
    lines: dict[str, np.ndarray] = {}
    order: dict[int, str] = {}
    for axis, array in squeezed.items():
        for place in range(array.ndim):
            line = array[tuple(slice(None) if a == place else 0 for a in range(array.ndim))]
            shape = [-1 if a == place else 1 for a in range(array.ndim)]
            if line[0] != line[-1] and np.array_equal(array, np.broadcast_to(line.reshape(shape), array.shape)):
                lines[axis], order[place] = line, axis
    if len(lines) != len(squeezed) or len(order) != len(squeezed):
        return None, None
    return lines, tuple(order[place] for place in sorted(order))
