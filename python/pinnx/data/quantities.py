"""Fields of any quantity out of files of arrays, by the names of the arrays (`file_formats` lists the files).

read_fields   read whole
open_fields   left in an HDF5 file until rows are read
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.data.array_files import ArrayFile
from pinnx.data.file_formats import HDF5, open_arrays
from pinnx.data.layout import Layout, find_layout, places_of, rising
from pinnx.data.odd_values import contradictions, refuse_marks
from pinnx.data.snapshots import AXIS_NAMES, Snapshots, require_finite
from pinnx.data.stored_frames import StoredFrames
from pinnx.errors import PinnxError

__all__ = ["open_fields", "read_fields"]

# Where coordinates are looked for when they are not named: one array of points, else one for each axis.
POINT_ARRAYS = ("xy", "xyz", "points")


def read_fields(
    path: str | os.PathLike[str],
    variables: Sequence[str],
    *,
    coordinates: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
) -> Snapshots:
    """Read quantities by name out of a .mat, .npz, .nc, .h5 or .hdf5 file.

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
        The fields, places that are NaN at all times as holes; float32 stays float32, all else becomes float64.

    Raises:
        PinnxError: a file or array that is missing or damaged, shapes that fit no or several orders
            of axes, values that are infinite or mark what is missing, or NaN at some times.
    """
    with open_arrays(path) as file:
        lines = _coordinates(file, coordinates)
        stored = [file.numbers("variable", name, single=True) for name in variables]
    for name, array in zip(variables, stored, strict=True):
        if np.isinf(array).any():
            raise PinnxError(f"{name}: expected finite values, got {int(np.isinf(array).sum())} that are infinite")
    layout = _layout(lines, variables, stored, axes)
    arranged = [layout.arrange(name, array) for name, array in zip(variables, stored, strict=True)]
    points, shape, falling = places_of(tuple(lines), layout)
    values = rising(np.stack(arranged, axis=-1), falling).reshape(-1, len(points), len(variables))
    for component, name in enumerate(variables):
        refuse_marks(name, values[..., component])
    return Snapshots(
        points=points,
        values=values,
        names=tuple(variables),
        grid_shape=shape,
        source=str(Path(path)),
        notes=(*file.notes, *([] if layout.gridded else contradictions(points, values))),
    ).with_holes()


@contextmanager
def open_fields(
    path: str | os.PathLike[str],
    variables: Sequence[str],
    *,
    coordinates: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
) -> Iterator[Snapshots]:
    """Open quantities of an HDF5 file, for the length of a with block; arguments as of `read_fields`.

    Places that are NaN in the first frame are holes; reading a block refuses NaN elsewhere, values there, and numbers
    that mark what is missing.

    Raises:
        PinnxError: as `read_fields`, but for values that are not finite; another kind of file, a name with
            an index, or an array whose first axis is not the time.
    """
    with open_arrays(path) as file:
        lines = _coordinates(file, coordinates)
        stored = [_dataset(file, name) for name in variables]
        layout = _layout(lines, variables, stored, axes)
        if layout.axes[0] != "t" or stored[0].shape[0] != layout.num_times:
            raise PinnxError(
                f"{variables[0]}: expected the time as the first axis, to be read in blocks, got {layout.axes}"
            )
        points, grid_shape, falling = places_of(tuple(lines), layout)
        frames = StoredFrames(stored, layout, falling, packings=[file.packing(name) for name in variables])
        found = Snapshots(
            points, frames[:1], tuple(variables), grid_shape=grid_shape, source=str(Path(path))
        ).with_holes()
        yield replace(found, values=frames.without(found.holes), notes=(*file.notes, *found.notes))


def _dataset(file: ArrayFile, name: str) -> h5py.Dataset:
    """A dataset as it stands in the file."""
    if file.path.suffix.lower() not in HDF5:
        raise PinnxError(
            f"{file.path.name}: expected {' or '.join(HDF5)}, to be read in blocks, got {file.path.suffix}"
        )
    found, index = file.named("variable", name)
    if index is not None:
        raise PinnxError(f"{name}: expected a whole array, to be read in blocks, got one with an index")
    dataset = file.arrays[found]
    if not isinstance(dataset, h5py.Dataset):
        raise PinnxError(f"{file.path.name}: expected HDF5, to be read in blocks, got netCDF 3")
    if not dataset.size:
        raise PinnxError(f"{name}: expected real numbers, got {dataset.dtype} of shape {list(dataset.shape)}")
    return dataset


def _layout(
    lines: dict[str, np.ndarray], names: Sequence[str], arrays: Sequence[Any], axes: Sequence[str] | None
) -> Layout:
    """The only layout that fits arrays of one shape, whatever the number of times."""
    if not arrays:
        raise PinnxError("variable: expected the name of an array, got none")
    shape: tuple[int, ...] = arrays[0].shape
    for name, array in zip(names, arrays, strict=True):
        if array.shape != shape:
            raise PinnxError(f"{name}: expected the shape of {names[0]}, {list(shape)}, got {list(array.shape)}")
    return find_layout(lines, None, shape, None if axes is None else tuple(axes), name=names[0])


def _coordinates(file: ArrayFile, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Coordinates by axis, as they are stored."""
    if names is None:
        listed = [name for name in POINT_ARRAYS if name in file.arrays][:1] or [
            a for a in AXIS_NAMES if a in file.arrays or a in file.others
        ]
        if not listed:
            raise PinnxError(
                f"points: expected an array named {', '.join(POINT_ARRAYS)} or x, y in {file.path.name}, "
                f"or its name; it holds {file}"
            )
        names = listed
    arrays = [file.numbers("points", name) for name in names]
    for name, array in zip(names, arrays, strict=True):
        require_finite(name, array)
    if len(arrays) == 1:
        array = np.squeeze(arrays[0])
        if array.ndim != 2 or array.shape[1] not in (2, 3):
            raise PinnxError(f"{names[0]}: expected points [n, 2] or [n, 3], got {list(arrays[0].shape)}")
        arrays = list(array.T)
    if len(arrays) not in (2, 3):
        raise PinnxError(f"points: expected arrays of x, y[, z], got {', '.join(names)}")
    return dict(zip(AXIS_NAMES, arrays, strict=False))
