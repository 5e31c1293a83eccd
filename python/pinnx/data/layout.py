"""How the arrays of a file are laid out in space and time: grid or scattered, and in which order of axes.

    grid         field (t, y, x)  ->  [T, n_x, n_y[, n_z]]     any order of the file's axes
    scattered    field (n, t)     ->  [T, n]

Coordinates come as grid lines, as meshgrid arrays (reduced to their lines) or as one value for each point; those of
a curvilinear mesh stay [n_a, n_b], and the fields have the same two axes for n. Axes of length one count for nothing,
since MATLAB adds them: (1, n) is (n,). Shapes agree axis by axis: a product never decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from pinnx.errors import PinnxError

__all__ = ["Layout", "find_layout", "grid_lines", "grid_points", "num_frames", "places_of", "rising"]

Lines = dict[str, np.ndarray]

STAGGERED = "; a length differs by one: is the grid staggered? Interpolate all to one grid"


@dataclass(frozen=True)
class Layout:
    """The axes of the field arrays, and the coordinates along them.

    Args:
        axes: axes of the field arrays as they are stored, e.g. ("t", "y", "x") or ("n", "t"); no t where T is 1.
        coordinates: [n_axis] grid lines, or [n] one value for each point, by axis x, y[, z].
        num_times: length of the axis t; 1 without times.
        mesh: lengths of the axes that n stands for; () on a grid.
    """

    axes: tuple[str, ...]
    coordinates: Mapping[str, np.ndarray]
    num_times: int
    mesh: tuple[int, ...] = ()

    @property
    def gridded(self) -> bool:
        """Whether the points are a grid."""
        return "n" not in self.axes

    @property
    def spatial(self) -> tuple[str, ...]:
        """The axes without t, in the order of the file."""
        return tuple(axis for axis in self.axes if axis != "t")

    @property
    def place_shape(self) -> tuple[int, ...]:
        """Lengths of the axes without t, as they are stored."""
        return self.mesh or tuple(self.coordinates[axis].size for axis in self.spatial)

    def arrange(self, name: str, array: np.ndarray, *, one_frame: bool = False) -> np.ndarray:
        """Bring a field of the file to [T, n_x, n_y[, n_z]] or [T, n]; a view where it can be one.

        Args:
            name: name for the error message.
            array: the field as it is stored.
            one_frame: the field has no axis t although others have; it becomes [1, ...].

        Raises:
            PinnxError: a shape that does not fit the axes.
        """
        sizes = self._sizes(one_frame)
        axes = tuple(sizes)
        if _long([size for axis in axes for size in sizes[axis]]) != _long(array.shape):
            listed = ", ".join(f"{axis}: {' x '.join(map(str, size))}" for axis, size in sizes.items())
            wanted = [size for axis in axes for size in sizes[axis]]
            hint = STAGGERED if len(wanted) == array.ndim and _one_off(wanted, array.shape) else ""
            raise PinnxError(f"{name}: expected axes ({listed}), got shape {list(array.shape)}{hint}")
        wanted = tuple(axis for axis in ("t", "x", "y", "z", "n") if axis in axes)
        merged = array.reshape([int(np.prod(sizes[axis])) for axis in axes])
        arranged = merged.transpose([axes.index(axis) for axis in wanted])
        return arranged if "t" in wanted else arranged[np.newaxis]

    def axes_of(self, shape: Sequence[int], *, one_frame: bool = False) -> list[str | None]:
        """Name the axes of an array of a shape that `arrange` takes; None: of length one, which counts for nothing."""
        named = (axis for axis, sizes in self._sizes(one_frame).items() for size in sizes if size != 1)
        return [None if size == 1 else next(named) for size in shape]

    def _sizes(self, one_frame: bool) -> dict[str, tuple[int, ...]]:
        """Lengths by axis, in the order of the file; n may stand for several."""
        axes = self.spatial if one_frame else self.axes
        times = (self.num_times,)
        return {axis: times if axis == "t" else self.mesh or (self.coordinates[axis].size,) for axis in axes}


def find_layout(
    coordinates: Mapping[str, np.ndarray],
    num_times: int | None,
    field_shape: Sequence[int],
    axes: tuple[str, ...] | None,
    *,
    name: str = "axes",
) -> Layout:
    """Find the order of axes that fits the shapes, or check the given one.

    Args:
        coordinates: arrays by axis x, y[, z], as they stand in the file.
        num_times: number of times; None where the shapes say it.
        field_shape: shape of the field arrays.
        axes: the order, or None to take the only one that fits.
        name: what the error message is about.

    Raises:
        PinnxError: no order fits, several do and none is given, or the given one does not; the
            orders that fit are named.
    """
    fitting = [layout for layout in _fitting(coordinates, field_shape) if num_times in (None, layout.num_times)]
    chosen = [layout for layout in fitting if axes is None or _equivalent(layout, axes)]
    if len(chosen) == 1:
        return chosen[0]
    lengths = ", ".join(f"{axis} {list(array.shape)}" for axis, array in coordinates.items())
    times = "" if num_times in (None, 1) else f", t [{num_times}]"
    orders = " or ".join(str(layout.axes) for layout in fitting) or "none"
    asked = "an order that the shapes decide" if axes is None else str(axes)
    if fitting:
        remedy = f"; choose by data.axes, such as [{', '.join(fitting[0].axes)}]"
    else:
        remedy = _likely(coordinates, num_times, _long(field_shape))
    raise PinnxError(
        f"{name}: expected {asked}, got fields {list(field_shape)} with {lengths}{times}; what fits: {orders}{remedy}"
    )


def num_frames(coordinates: Mapping[str, np.ndarray], field_shape: Sequence[int]) -> int:
    """How many times fields have in every order of axes that fits; 1 where none does, or orders differ."""
    found = {layout.num_times for layout in _fitting(coordinates, field_shape)}
    return found.pop() if len(found) == 1 else 1


def _fitting(coordinates: Mapping[str, np.ndarray], field_shape: Sequence[int]) -> list[Layout]:
    return [layout for space in _spaces(coordinates) for layout in _with_times(space, _long(field_shape))]


def _likely(coordinates: Mapping[str, np.ndarray], num_times: int | None, shape: list[int]) -> str:
    """What is likely where nothing fits, with its remedy; "" where nothing is."""
    single = [axis for axis, array in coordinates.items() if array.size == 1]
    if single:
        return f"; {single[0]} has one point: leave {single[0]} and the velocity along it out"
    sizes = [array.size for array in coordinates.values()]
    if shape == [num_times] and set(sizes) == {num_times}:
        return "; this looks like a table, a row for each measurement: write a CSV, and name it by data.measurements"
    lengths = [*sizes, *([] if num_times in (None, 1) else [num_times])]
    staggered = len(lengths) == len(shape) and any(_one_off(order, shape) for order in permutations(lengths))
    return STAGGERED if staggered else ""


def _one_off(wanted: Sequence[int | None], found: Sequence[int]) -> bool:
    """Whether lengths differ, by one at most."""
    steps = {abs((one or 0) - other) for one, other in zip(wanted, found, strict=True)}
    return max(steps) == 1


def _monotonic(axis: str, line: np.ndarray) -> np.ndarray:
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
        rounded = bool((steps == 0).any()) and np.array_equal(line, line.astype(np.float32))
        raise PinnxError(
            f"{axis}: expected grid lines that rise or fall throughout, got {line[first]:.17g} "
            f"followed by {line[first + 1]:.17g} at index {first + 1}"
            + ("; values are equal after rounding to float32: store them as float64" if rounded else "")
        )
    return line


def places_of(axes: Sequence[str], layout: Layout) -> tuple[np.ndarray, tuple[int, ...] | None, tuple[int, ...]]:
    """Points, the shape of their grid, and which axes of an arranged field (time is 0) are to be turned round."""
    if not layout.gridded:
        return np.stack([layout.coordinates[axis] for axis in axes], axis=-1).reshape(-1, len(axes)), None, ()
    lines = [_monotonic(axis, layout.coordinates[axis]) for axis in axes]
    falling = tuple(1 + axis for axis, line in enumerate(lines) if line[0] > line[-1])
    points = grid_points([*map(np.sort, lines)])
    return points, tuple(line.size for line in lines), falling


def grid_points(lines: Sequence[np.ndarray]) -> np.ndarray:
    """The points [n, d] of a grid with coordinates [n_axis] along its d axes, in C order."""
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(lines))


def grid_lines(points: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, ...]:
    """The coordinates along each axis of a grid, [n_axis], from its points [n, d] in C order: as `grid_points` back."""
    columns = [points[:, axis].reshape(shape) for axis in range(len(shape))]
    # Along its own axis a coordinate varies, along the others its first value says it all.
    return tuple(np.moveaxis(column, axis, 0).reshape(shape[axis], -1)[:, 0] for axis, column in enumerate(columns))


def rising(arranged: np.ndarray, falling: tuple[int, ...]) -> np.ndarray:
    """An arranged field over coordinates that rise, in C order."""
    return np.ascontiguousarray(np.flip(arranged, axis=falling))


def _spaces(coordinates: Mapping[str, np.ndarray]) -> list[Layout]:
    """Every order of the axes of space that the coordinates allow, at one time."""
    lines, mesh_order = _lines_of(coordinates)
    found: list[Layout] = []
    if lines is not None and min(line.size for line in lines.values()) >= 2:
        orders = [mesh_order] if mesh_order else list(permutations(lines))
        found += [Layout(order, lines, 1) for order in orders]
    shapes = {np.squeeze(array).shape for array in coordinates.values()}
    if len(shapes) == 1 and not mesh_order:
        points = {axis: array.reshape(-1) for axis, array in coordinates.items()}
        found.append(Layout(("n",), points, 1, mesh=shapes.pop() or (1,)))
    return found


def _with_times(space: Layout, shape: list[int]) -> list[Layout]:
    """The layouts of fields of a shape (without axes of length one) over places that are laid out so."""
    places = _long(space.place_shape)
    found = [space] if shape == places else []
    for place in range(len(shape)):
        # The axes of a mesh stand together.
        if [*shape[:place], *shape[place + 1 :]] == places and (space.gridded or place in (0, len(places))):
            at = place if space.gridded else min(place, 1)
            axes = (*space.axes[:at], "t", *space.axes[at:])
            found.append(Layout(axes, space.coordinates, shape[place], space.mesh))
    return found


def _long(sizes: Sequence[int]) -> list[int]:
    return [size for size in sizes if size != 1]


def _equivalent(layout: Layout, asked: tuple[str, ...]) -> bool:
    return layout.axes == asked or (layout.num_times == 1 and layout.axes == tuple(a for a in asked if a != "t"))


def _lines_of(coordinates: Mapping[str, np.ndarray]) -> tuple[Lines | None, tuple[str, ...] | None]:
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
    lines: Lines = {}
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
