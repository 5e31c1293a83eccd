"""Flows, and fields of any quantity, out of files: .mat (every version), .npz, .h5 and .hdf5.

    read_snapshots   a flow: a `DataMapping` says which array is what
    read_fields      quantities by name, read whole
    open_fields      the same, left in an HDF5 file until rows are read

Nothing is guessed that the shapes or the physics do not settle: an order of axes that fits a flow
by chance is caught by the divergence of the field it yields.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.data import orientation
from pinnx.data.array_files import ArrayFile, open_arrays
from pinnx.data.layout import Layout, find_layout, monotonic
from pinnx.data.mapping import DataMapping
from pinnx.data.snapshots import AXIS_NAMES, Fields, Snapshots
from pinnx.data.stored_frames import StoredFrames
from pinnx.errors import PinnxError

__all__ = ["open_fields", "read_fields", "read_snapshots"]

# Where coordinates are looked for when they are not named: one array of points, else one for each axis.
POINT_ARRAYS = ("xy", "xyz", "points")


def read_snapshots(path: str | os.PathLike[str], mapping: DataMapping, *, check_orientation: bool = True) -> Snapshots:
    """Read one flow, on a grid or on scattered points, steady or in time.

    On a grid, coordinates may be lines or meshgrid arrays, rising or falling; the result stands in
    C order over rising (x, y[, z]). Real and integer arrays of any precision become float64.

    Args:
        path: a .mat, .npz, .h5 or .hdf5 file.
        mapping: which array is what.
        check_orientation: compare the divergence of a gridded field with that of the same arrays
            in other orders of their axes (see `pinnx.data.orientation`). Scattered points have no
            order of axes to check.

    Returns:
        Validated snapshots; `source` is the path.

    Raises:
        PinnxError: a file or array that is missing or damaged, shapes that fit no or several orders
            of axes, axes in the wrong order, NaN, times that do not increase, or nu <= 0.
    """
    with open_arrays(path) as file:
        coordinates = {axis: _real(axis, file.read(axis, name)) for axis, name in mapping.coordinates.items()}
        times = None if mapping.t is None else _real("t", file.read("t", mapping.t)).reshape(-1)
        fields = {name: _real(name, file.read(name, reference)) for name, reference in mapping.components.items()}
        layout = find_layout(coordinates, None if times is None else times.size, fields["u"].shape, mapping.axes)
        velocity = np.stack([layout.arrange(name, array) for name, array in fields.items()], axis=-1)
        pressure, frames = _pressure(file, mapping, layout)
        index_sets = {
            name: _indices(name, file.read(name, reference), layout) for name, reference in mapping.index_sets.items()
        }
        nu = file.scalar("nu", mapping.nu) if isinstance(mapping.nu, str) else mapping.nu
    if layout.gridded and check_orientation and np.isfinite(velocity).all():
        lines = [monotonic(axis, layout.coordinates[axis]) for axis in mapping.spatial_axes]
        orientation.check_orientation(velocity, lines, mapping.axes or layout.axes)
    points, grid_shape, falling = _places(mapping.spatial_axes, layout)
    snapshots = Snapshots(
        points=points,
        velocity=_rising(velocity, falling).reshape(-1, *points.shape),
        times=times,
        pressure=None if pressure is None else _rising(pressure, falling).reshape(-1, len(points)),
        pressure_frames=frames,
        nu=None if nu is None else float(nu),
        grid_shape=grid_shape,
        index_sets={name: _renumber(indices, layout, falling) for name, indices in index_sets.items()},
        source=str(Path(path)),
    )
    snapshots.validate()
    return snapshots


def read_fields(
    path: str | os.PathLike[str],
    variables: Sequence[str],
    *,
    coordinates: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
) -> Fields:
    """Read quantities by name out of a .mat, .npz, .h5 or .hdf5 file.

    Args:
        path: the file.
        variables: names of the arrays, c of them, all of one shape; each may carry an index, as in
            "velocity[..., 0]". Axes are found from the shapes: [T, n] or [T, n_y, n_x], in any
            order, T = 1 where there is no such axis.
        coordinates: one name of an array [n, d], or names of d arrays, x, y[, z]: grid lines,
            meshgrid arrays, or one value for each point. None: xy, xyz, points, or x, y[, z],
            whichever the file has.
        axes: the order of the axes, slowest first, such as ("t", "y", "x") or ("t", "n"), where
            the shapes leave it open.

    Returns:
        The fields; float32 stays float32, all else becomes float64.

    Raises:
        PinnxError: a file or array that is missing or damaged, shapes that fit no or several orders
            of axes, values that are not real and finite.
    """
    with open_arrays(path) as file:
        lines, gridded = _coordinates(file, coordinates)
        stored = [_finite(name, _real(name, file.read("variable", name), single=True)) for name in variables]
    layout = _layout(lines, gridded, _one_shape(variables, stored), None if axes is None else tuple(axes), variables[0])
    arranged = [layout.arrange(name, array) for name, array in zip(variables, stored, strict=True)]
    points, shape, falling = _places(lines, layout)
    return Fields(
        points=points,
        values=_rising(np.stack(arranged, axis=-1), falling).reshape(-1, len(points), len(variables)),
        names=tuple(variables),
        grid_shape=shape,
        source=str(Path(path)),
    )


@contextmanager
def open_fields(
    path: str | os.PathLike[str],
    variables: Sequence[str],
    *,
    coordinates: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
) -> Iterator[Fields]:
    """Open quantities of an HDF5 file, for the length of a with block; arguments as of `read_fields`.

    Raises:
        PinnxError: as `read_fields`, but for values that are not finite; another kind of file, a name with
            an index, or an array whose first axis is not the time.
    """
    with open_arrays(path) as file:
        lines, gridded = _coordinates(file, coordinates)
        stored = [_dataset(file, name) for name in variables]
        shape = _one_shape(variables, stored)
        layout = _layout(lines, gridded, shape, None if axes is None else tuple(axes), variables[0])
        if layout.axes[0] != "t" or shape[0] != layout.num_times:
            raise PinnxError(
                f"{variables[0]}: expected the time as the first axis, to be read in blocks, got {layout.axes}"
            )
        points, grid_shape, falling = _places(lines, layout)
        frames = StoredFrames(stored, layout, falling)
        yield Fields(points, frames, tuple(variables), grid_shape, str(Path(path)))


def _dataset(file: ArrayFile, name: str) -> h5py.Dataset:
    """A dataset as it stands in the file."""
    dataset = file.arrays.get(name)
    if dataset is None and "[" in name:
        raise PinnxError(f"{name}: expected a whole array, to be read in blocks, got one with an index")
    if dataset is None:
        raise PinnxError(f"variable: no array {name!r} in {file.path.name}; it holds {file}")
    if not isinstance(dataset, h5py.Dataset) or file.reversed_axes:
        raise PinnxError(f"{file.path.name}: expected .h5 or .hdf5, to be read in blocks, got {file.path.suffix}")
    if dataset.dtype.kind not in "biuf" or not dataset.size:
        raise PinnxError(f"{name}: expected real numbers, got {dataset.dtype} of shape {list(dataset.shape)}")
    return dataset


def _one_shape(names: Sequence[str], arrays: Sequence[Any]) -> tuple[int, ...]:
    if not arrays:
        raise PinnxError("variable: expected the name of an array, got none")
    shape: tuple[int, ...] = arrays[0].shape
    for name, array in zip(names, arrays, strict=True):
        if array.shape != shape:
            raise PinnxError(f"{name}: expected the shape of {names[0]}, {list(shape)}, got {list(array.shape)}")
    return shape


def _pressure(file: ArrayFile, mapping: DataMapping, layout: Layout) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the pressure [F, ...] and its frames [F], or (None, None) where it is not given."""
    if mapping.p is None:
        return None, None
    stored = _real("p", file.read("p", mapping.p))
    if mapping.pressure_frame is None:
        try:
            pressure = layout.arrange("p", stored)
        except PinnxError as error:
            hint = "; if it is given at one frame, name that by pressure_frame"
            raise PinnxError(f"{error}{hint if layout.num_times > 1 else ''}") from None
        return pressure, np.arange(layout.num_times, dtype=np.int64)
    frame: float = (
        file.scalar("pressure_frame", mapping.pressure_frame, owner=mapping.p)
        if isinstance(mapping.pressure_frame, str)
        else mapping.pressure_frame
    )
    if frame != int(frame) or not 0 <= frame < layout.num_times:
        raise PinnxError(f"pressure_frame: expected a frame from 0 to {layout.num_times - 1}, got {frame:g}")
    return layout.arrange("p", stored, one_frame=True), np.array([int(frame)], dtype=np.int64)


def _indices(name: str, array: np.ndarray, layout: Layout) -> np.ndarray:
    """Return zero-based point indices out of indices or a boolean mask, in the file's order."""
    num_points = int(np.prod([layout.size(axis) for axis in layout.spatial]))
    if array.dtype.kind == "b":
        if array.size != num_points:
            raise PinnxError(f"{name}: expected a mask of {num_points} points, got {array.size}")
        return np.flatnonzero(array)
    whole = array.reshape(-1).astype(np.int64)
    if not np.array_equal(whole, array.reshape(-1)):
        raise PinnxError(f"{name}: expected whole numbers, got {array.dtype}")
    if whole.size and not (whole.min() >= 0 and whole.max() < num_points):
        raise PinnxError(f"{name}: expected zero-based indices below {num_points}, got {whole.min()} to {whole.max()}")
    return whole


def _renumber(indices: np.ndarray, layout: Layout, falling: tuple[int, ...]) -> np.ndarray:
    """Carry indices over from the file's order of points to C order over rising (x, y[, z])."""
    if not layout.gridded:
        return indices
    old_shape = [layout.size(axis) for axis in layout.spatial]
    places = list(np.unravel_index(indices, old_shape))
    order = sorted(range(len(places)), key=lambda place: layout.spatial[place])
    places = [places[place] for place in order]
    shape = [old_shape[place] for place in order]
    for axis in falling:
        places[axis - 1] = shape[axis - 1] - 1 - places[axis - 1]
    return np.ravel_multi_index(tuple(places), shape).astype(np.int64)


def _coordinates(file: ArrayFile, names: Sequence[str] | None) -> tuple[dict[str, np.ndarray], bool | None]:
    """Coordinates by axis, as they are stored, and whether they are lines of a grid (None: not known yet)."""
    if names is None:
        listed = [name for name in POINT_ARRAYS if name in file.arrays][:1] or [
            a for a in AXIS_NAMES if a in file.arrays
        ]
        if not listed:
            raise PinnxError(f"points: expected an array named {', '.join(POINT_ARRAYS)} or x, y in {file.path.name}, "
                             f"or its name; it holds {file}")  # fmt: skip
        names = listed
    arrays = [_finite(name, _real(name, file.read("points", name))) for name in names]
    # Points or meshgrid arrays have one value for each place; arrays of one axis may be either.
    one_for_each = len(arrays) == 1 or max(np.squeeze(array).ndim for array in arrays) > 1
    if len(arrays) == 1:
        array = np.squeeze(arrays[0])
        if array.ndim != 2 or array.shape[1] not in (2, 3):
            raise PinnxError(f"{names[0]}: expected points [n, 2] or [n, 3], got {list(arrays[0].shape)}")
        arrays = list(array.T)
    if len(arrays) not in (2, 3):
        raise PinnxError(f"points: expected arrays of x, y[, z], got {', '.join(names)}")
    return dict(zip(AXIS_NAMES, arrays, strict=False)), False if one_for_each else None


def _layout(
    lines: dict[str, np.ndarray], gridded: bool | None, shape: tuple[int, ...], axes: tuple[str, ...] | None, name: str
) -> Layout:
    """The only layout that fits, whatever the number of times; ``gridded`` None: the shapes tell."""
    listed = ", ".join(f"{axis} {list(array.shape)}" for axis, array in lines.items())
    num_scattered = lines["x"].size
    num_grid = int(np.prod([array.size for array in lines.values()]))
    long_axes = Counter(size for size in shape if size > 1)
    if gridded is None:
        fits_grid = Counter(array.size for array in lines.values()) <= long_axes
        same_size = len({array.size for array in lines.values()}) == 1
        fits_scattered = same_size and num_scattered in long_axes and long_axes.total() <= 2
        if axes is not None:
            fits_grid, fits_scattered = "n" not in axes, "n" in axes
        if fits_grid and fits_scattered:
            raise PinnxError(
                f"{name}: expected a shape that is either a grid or scattered points, got {list(shape)} on {listed}, "
                "which may be both; say data.axes, such as [t, n] or [y, x]"
            )
        gridded = fits_grid
    num_points = num_grid if gridded else num_scattered
    num_times, rest = divmod(int(np.prod(shape)), num_points)
    if rest or not num_times:
        raise PinnxError(f"{name}: expected a field on {listed}, got shape {list(shape)}")
    return find_layout(lines, num_times, shape, axes)


def _places(axes: Sequence[str], layout: Layout) -> tuple[np.ndarray, tuple[int, ...] | None, tuple[int, ...]]:
    """Points, the shape of their grid, and which axes of an arranged field (time is 0) are to be turned round."""
    if not layout.gridded:
        return np.stack([layout.coordinates[axis] for axis in axes], axis=-1).reshape(-1, len(axes)), None, ()
    lines = [monotonic(axis, layout.coordinates[axis]) for axis in axes]
    falling = tuple(1 + axis for axis, line in enumerate(lines) if line[0] > line[-1])
    points = np.stack(np.meshgrid(*map(np.sort, lines), indexing="ij"), axis=-1).reshape(-1, len(axes))
    return points, tuple(line.size for line in lines), falling


def _rising(arranged: np.ndarray, falling: tuple[int, ...]) -> np.ndarray:
    """An arranged field over coordinates that rise, in C order."""
    return np.ascontiguousarray(np.flip(arranged, axis=falling))


def _real(name: str, array: np.ndarray, *, single: bool = False) -> np.ndarray:
    """Real numbers as float64; float32 stays where ``single`` says so."""
    if array.dtype.kind not in "biuf" or not array.size:
        raise PinnxError(f"{name}: expected real numbers, got {array.dtype} of shape {list(array.shape)}")
    return array if single and array.dtype == np.float32 else array.astype(np.float64)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise PinnxError(f"{name}: expected finite values, got {bad} of {array.size} that are NaN or infinite")
    return array
