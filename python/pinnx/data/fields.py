"""Fields of any quantity at fixed places: what a sensor may measure, when it is no velocity.

Layout: `points` [n, d], `values` [T, n, c]; d = 2 or 3, c the components that one sensor measures;
on a grid the points stand in C order over rising (x, y[, z]). `read_fields` reads them whole,
`open_fields` leaves them in their file until rows are asked for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.data.array_files import ArrayFile, open_arrays
from pinnx.data.layout import Layout, find_layout, monotonic
from pinnx.data.snapshots import AXIS_NAMES, Snapshots
from pinnx.data.stored_frames import StoredFrames
from pinnx.errors import PinnxError

__all__ = ["Fields", "open_fields", "read_fields"]

# Where coordinates are looked for when nobody names them: one array of points, else one for each axis.
POINT_ARRAYS = ("xy", "xyz", "points")


@dataclass(frozen=True, eq=False)
class Fields:
    """One or more quantities at fixed places, several times.

    Args:
        points: [n, d] float64.
        values: [T, n, c] float32 or float64, finite; or frames that are still in their file, which
            nobody has looked at yet.
        names: of the c components.
        grid_shape: numbers of points along x, y[, z]; None where the points are scattered.
        source: where they came from.
    """

    points: np.ndarray
    values: np.ndarray | StoredFrames
    names: tuple[str, ...]
    grid_shape: tuple[int, ...] | None
    source: str

    @classmethod
    def from_snapshots(cls, snapshots: Snapshots) -> Fields:
        """The velocity of a flow."""
        names = ("u", "v", "w")[: snapshots.dim]
        return cls(snapshots.points, snapshots.velocity, names, snapshots.grid_shape, snapshots.source)

    @property
    def num_times(self) -> int:
        """T."""
        return int(self.values.shape[0])

    @property
    def num_points(self) -> int:
        """n."""
        return int(self.values.shape[1])

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        """Lines of the grid along x, y[, z], or the coordinates [n] of scattered points."""
        if self.grid_shape is None:
            return tuple(self.points.T)
        grid = self.points.reshape(*self.grid_shape, -1)
        return tuple(
            np.moveaxis(grid[..., axis], axis, 0).reshape(size, -1)[:, 0] for axis, size in enumerate(self.grid_shape)
        )


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
        stored = [_real(name, file.read("variable", name)) for name in variables]
    layout = _layout(lines, gridded, _one_shape(variables, stored), None if axes is None else tuple(axes), variables[0])
    arranged = [layout.arrange(name, array) for name, array in zip(variables, stored, strict=True)]
    points, shape, falling = _places(lines, layout)
    values = np.flip(np.stack(arranged, axis=-1), axis=falling)
    return Fields(
        points=points,
        values=np.ascontiguousarray(values).reshape(-1, len(points), len(variables)),
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


def _places(lines: dict[str, np.ndarray], layout: Layout) -> tuple[np.ndarray, tuple[int, ...] | None, tuple[int, ...]]:
    """Points, the shape of their grid, and which axes of an arranged field are to be turned round."""
    if not layout.gridded:
        return np.stack([layout.coordinates[axis] for axis in lines], axis=-1), None, ()
    ordered = [monotonic(axis, layout.coordinates[axis]) for axis in lines]
    falling = tuple(1 + axis for axis, line in enumerate(ordered) if line[0] > line[-1])
    points = np.stack(np.meshgrid(*map(np.sort, ordered), indexing="ij"), axis=-1).reshape(-1, len(lines))
    return points, tuple(line.size for line in ordered), falling


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
    arrays = [_real(name, file.read("points", name)).astype(np.float64) for name in names]
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


def _real(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf" or not array.size:
        raise PinnxError(f"{name}: expected real numbers, got {array.dtype} of shape {list(array.shape)}")
    real = array if array.dtype == np.float32 else array.astype(np.float64)
    bad = real.size - int(np.count_nonzero(np.isfinite(real)))
    if bad:
        raise PinnxError(f"{name}: expected finite values, got {bad} of {real.size} that are NaN or infinite")
    return real
