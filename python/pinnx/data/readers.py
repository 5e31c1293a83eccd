"""Snapshots out of files: .mat (every version), .npz, .h5 and .hdf5.

A `DataMapping` says which array is what. Nothing is guessed that the shapes or the physics do not
settle: an order of axes that fits by chance is caught by the divergence of the field it yields.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pinnx.data import orientation
from pinnx.data.array_files import ArrayFile, open_arrays
from pinnx.data.layout import Layout, find_layout, monotonic
from pinnx.data.mapping import DataMapping
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError

__all__ = ["read_snapshots"]


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
    if layout.gridded:
        lines = [monotonic(axis, layout.coordinates[axis]) for axis in mapping.spatial_axes]
        if check_orientation and np.isfinite(velocity).all():
            orientation.check_orientation(velocity, lines, mapping.axes or layout.axes)
        falling = [axis for axis, line in enumerate(lines) if line[0] > line[-1]]
        lines = [np.sort(line) for line in lines]
        points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
        velocity = np.flip(velocity, axis=tuple(1 + axis for axis in falling))
        if pressure is not None:
            pressure = np.flip(pressure, axis=tuple(1 + axis for axis in falling))
        index_sets = {name: _renumber(indices, layout, falling) for name, indices in index_sets.items()}
    else:
        points = np.stack([layout.coordinates[axis] for axis in mapping.spatial_axes], axis=-1)

    dim = len(mapping.spatial_axes)
    points = points.reshape(-1, dim)
    snapshots = Snapshots(
        points=points,
        velocity=np.ascontiguousarray(velocity).reshape(-1, len(points), dim),
        times=times,
        pressure=None if pressure is None else np.ascontiguousarray(pressure).reshape(-1, len(points)),
        pressure_frames=frames,
        nu=None if nu is None else float(nu),
        grid_shape=tuple(line.size for line in lines) if layout.gridded else None,
        index_sets=index_sets,
        source=str(Path(path)),
    )
    snapshots.validate()
    return snapshots


def _real(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf" or not array.size:
        raise PinnxError(f"{name}: expected real numbers, got {array.dtype} of shape {list(array.shape)}")
    return array.astype(np.float64)


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


def _renumber(indices: np.ndarray, layout: Layout, falling: list[int]) -> np.ndarray:
    """Carry indices over from the file's order of points to C order over rising (x, y[, z])."""
    old_shape = [layout.size(axis) for axis in layout.spatial]
    places = list(np.unravel_index(indices, old_shape))
    order = sorted(range(len(places)), key=lambda place: layout.spatial[place])
    places = [places[place] for place in order]
    shape = [old_shape[place] for place in order]
    for axis in falling:
        places[axis] = shape[axis] - 1 - places[axis]
    return np.ravel_multi_index(tuple(places), shape).astype(np.int64)
