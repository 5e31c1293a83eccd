"""A flow out of files of arrays (`file_formats` lists them); a `DataMapping` says which array is what.

Nothing is guessed that the shapes or the physics do not settle: an order of axes that fits a flow
by chance is caught by the divergence of the field it yields.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pinnx.data import orientation
from pinnx.data.array_files import ArrayFile
from pinnx.data.file_formats import open_arrays
from pinnx.data.fill_blocks import without_fill_blocks
from pinnx.data.index_sets import extent, point_indices
from pinnx.data.layout import Layout, find_layout, num_frames, places_of, rising
from pinnx.data.mapping import DataMapping
from pinnx.data.odd_values import contradictions, frames_twice, values_out_of_scale
from pinnx.data.part_of_flow import Part, part_of
from pinnx.data.series import files_of, joined
from pinnx.data.snapshots import Snapshots
from pinnx.data.table_cells import shortened
from pinnx.data.units import factors_to_one_system, units_of_flow
from pinnx.data.vector_marks import LIKE_MARKS, MARKS
from pinnx.errors import PinnxError

__all__ = ["open_flow", "read_snapshots"]

# Where a reference says how far it is from the truth.
OWN_ERROR = "reference_error"
# Largest number of a flow: its square must be a float32. Larger ones mark what is missing.
LARGEST = 1e18


def read_snapshots(
    path: str | os.PathLike[str],
    mapping: DataMapping,
    *,
    check_orientation: bool = True,
    keep_gaps: bool = False,
    zeros_are_values: bool = False,
    limits: Mapping[str, tuple[float, float]] | None = None,
    stride: Mapping[str, int] | None = None,
) -> Snapshots:
    """Read one flow, on a grid or on scattered points, steady or in time.

    On a grid, coordinates may be lines or meshgrid arrays, rising or falling; the result stands in
    C order over rising (x, y[, z]), in float64.

    Args:
        path: a file of arrays, a folder of .npy files or a Zarr store; with * in its name several, joined in time in
            the order of their numbers.
        mapping: which array is what.
        check_orientation: compare the divergence of a gridded field with that of the same arrays
            in other orders of their axes (see `pinnx.data.orientation`).
        keep_gaps: leave NaN where values are missing, so that a window and bodies can come first; then call
            `without_fill_blocks`, `Snapshots.with_holes` and `Snapshots.validate`.
        zeros_are_values: blocks of zeros are fluid at rest, and those of -1 a uniform stream.
        limits: (low, high) by axis name, as of `Snapshots.window`; of a grid nothing outside is read.
        stride: axis -> k: every k-th line of the grid, or frame, from the first inside the limits on.

    Returns:
        Validated snapshots; `source` is the path, `notes` what was converted.

    Raises:
        PinnxError: a file or array that is missing or damaged, shapes that fit no or several orders
            of axes, axes in the wrong order, NaN at some times, blocks of zeros, times that do not increase, or
            nu <= 0.
    """
    read = _series if "*" in Path(path).name else _one_file
    snapshots = read(path, mapping, limits or {}, stride or {}, check_orientation)
    if keep_gaps:
        return snapshots
    snapshots = without_fill_blocks(snapshots, accepted=zeros_are_values).with_holes()
    snapshots.validate()
    return snapshots


def _one_file(
    path: str | os.PathLike[str],
    mapping: DataMapping,
    limits: Mapping[str, tuple[float, float]],
    stride: Mapping[str, int],
    check_orientation: bool,
) -> Snapshots:
    """A flow with gaps, of which nothing outside the limits is left."""
    with open_arrays(path, mapping.raw) as file:
        factors, times, part = open_flow(file, mapping, limits, stride)
        layout = part.layout
        velocity = _velocity(file, mapping, part, factors)
        pressure, frames = _pressure(file, mapping, part, factors)
        points, grid_shape, falling = places_of(mapping.spatial_axes, layout)
        index_sets = _index_sets(file, mapping, part)
        nu = file.scalar("nu", mapping.nu) if isinstance(mapping.nu, str) else mapping.nu
        known = mapping.error or (OWN_ERROR if OWN_ERROR in file.arrays else None)
        own_error = file.scalar("error", known) if isinstance(known, str) else known
        marks, units = _marks(file, mapping), units_of_flow(file, mapping, factors)
    notes = marks + _odd(mapping, layout, velocity, pressure, times, factors)
    if grid_shape is not None and check_orientation:
        lines = [layout.coordinates[axis] for axis in mapping.spatial_axes]
        notes += orientation.check_orientation(velocity, lines, mapping.axes or layout.axes)
    snapshots = Snapshots(
        points=points,
        values=rising(velocity, falling).reshape(-1, *points.shape),
        times=times,
        pressure=None if pressure is None else rising(pressure, falling).reshape(-1, len(points)),
        pressure_frames=frames,
        nu=None if nu is None else float(nu),
        error=own_error,
        grid_shape=grid_shape,
        index_sets=index_sets,
        source=str(Path(path)),
        notes=(*file.notes, *(extent(name, points, indices) for name, indices in index_sets.items()), *notes),
        whole=(len(part.kept(())), part.whole.num_times),
        units=units,
        factor=factors.get("u", 1.0),
    )
    left = {axis: limit for axis, limit in limits.items() if axis not in part.slices}
    return snapshots.window(**left) if left else snapshots


def _series(
    path: str | os.PathLike[str],
    mapping: DataMapping,
    limits: Mapping[str, tuple[float, float]],
    stride: Mapping[str, int],
    check_orientation: bool,
) -> Snapshots:
    """Several files as one flow with gaps; each is cut in space before the next is read, and the flow in time."""
    files = files_of(path, mapping.t)
    in_space = {axis: limit for axis, limit in limits.items() if axis != "t"}
    steps = {axis: step for axis, step in stride.items() if axis != "t"}
    options: dict[str, Any] = {"limits": in_space, "stride": steps, "check_orientation": check_orientation}
    flow = joined(path, files, [read_snapshots(file, mapping, keep_gaps=True, **options) for file in files], mapping.t)
    return (flow.window(t=limits["t"]) if "t" in limits else flow).every(stride.get("t", 1))


def open_flow(
    file: ArrayFile, mapping: DataMapping, limits: Mapping[str, tuple[float, float]], stride: Mapping[str, int]
) -> tuple[dict[str, float], np.ndarray | None, Part]:
    """Return what arrays are multiplied by, by role, the times of a part of a flow, and the part; no field is read.

    Raises:
        PinnxError: as `read_snapshots`.
    """
    factors = factors_to_one_system(file, mapping)
    coordinates = {axis: _scaled(file, axis, name, factors) for axis, name in mapping.coordinates.items()}
    times = _scaled(file, "t", mapping.t, factors).reshape(-1) if isinstance(mapping.t, str) else None
    layout = _flow_layout(file, mapping, coordinates, times, file.shape("u", mapping.u))
    if isinstance(mapping.t, int | float):
        times = mapping.t * np.arange(layout.num_times)
    part = part_of(layout, times, limits, stride)
    return factors, None if times is None else times[part.frames.start : part.frames.stop : part.frames.step], part


def _index_sets(file: ArrayFile, mapping: DataMapping, part: Part) -> dict[str, np.ndarray]:
    """The index sets, counted over the part; one of which nothing is left is left out."""
    if not mapping.index_sets:
        return {}
    falling = places_of(mapping.spatial_axes, part.whole)[2]
    inside = part.kept(falling)
    number, found = np.cumsum(inside) - 1, {}
    for name, reference in mapping.index_sets.items():
        indices = point_indices(name, file.read(name, reference), part.whole, falling, matlab=file.matlab)
        kept = number[indices[inside[indices]]].astype(np.int64)
        if kept.size or not indices.size:
            found[name] = kept
    return found


def _scaled(
    file: ArrayFile, role: str, reference: str, factors: dict[str, float], part: tuple[slice, ...] | None = None
) -> np.ndarray:
    """An array, or a part of it, in the units of the flow.

    Raises:
        PinnxError: values that are infinite or far too large.
    """
    array = file.numbers(role, reference, part=part)
    largest = float(np.max(np.abs(array), where=~np.isnan(array), initial=0.0))
    if largest > LARGEST and role != "t":
        raise PinnxError(
            f"{role}: expected finite values below {LARGEST:g}, got {largest:g}; if it marks what is missing, "
            "store NaN there, or name an array of 0 and 1 by data.arrays.mask"
            + "; or state the other byte order by data.raw"
            * file.stated
        )
    return array * factors[role] if factors.get(role, 1.0) != 1.0 else array


def _flow_layout(
    file: ArrayFile,
    mapping: DataMapping,
    coordinates: dict[str, np.ndarray],
    times: np.ndarray | None,
    shape: tuple[int, ...],
) -> Layout:
    """The layout of the velocity; where times are not named, the error says what would name them."""
    axes, frames = mapping.axes, file.frames(mapping.u)
    if frames is not None and axes is not None and "t" not in axes:
        axes = ("t", *axes)
    if isinstance(mapping.t, int | float):
        numbers = [] if frames is None else list(frames)
        if numbers and np.ptp(numbers) != len(numbers) - 1:
            raise PinnxError(f"t: expected an array of times, as the numbers of {mapping.u} have gaps, got a step")
        return find_layout(coordinates, None, shape, axes)
    try:
        return find_layout(coordinates, 1 if times is None else times.size, shape, axes)
    except PinnxError:
        if times is not None:
            raise
        if (count := num_frames(coordinates, shape)) == 1:
            raise
        named = [name for name, array in file.arrays.items() if array.size == count and max(array.shape) == count]
        known = ", ".join(f"data.arrays.t={name}" for name in named if name not in mapping.coordinates.values())
        raise PinnxError(
            f"t: expected the times of {count} frames, as fields {list(shape)} have, got none; name them"
            + (f": {known} fits" if known else " by data.arrays.t, or give the time step, such as data.arrays.t=0.1")
        ) from None


def _velocity(file: ArrayFile, mapping: DataMapping, part: Part, factors: dict[str, float]) -> np.ndarray:
    """The velocity of arranged fields, components last; NaN where a mask says that it is missing."""
    components = []
    for name, reference in mapping.components.items():
        stored = part.stored(name, file.shape(name, reference))
        components.append(part.layout.arrange(name, _scaled(file, name, reference, factors, stored)))
    velocity = np.stack(components, axis=-1)
    if mapping.mask is not None:
        velocity[_masked(file, mapping.mask, part)] = np.nan
        left = velocity[~np.isnan(velocity)]
        if not left.size or np.ptp(left) == 0.0:
            other = mapping.mask.removeprefix("~") if mapping.mask.startswith("~") else f"~{mapping.mask}"
            raise PinnxError(
                f"mask: expected {mapping.mask} to leave values of a flow, got {left.size:,} that do not "
                f"differ; if it means the opposite, try data.arrays.mask={other}"
            )
    return velocity


def _masked(file: ArrayFile, reference: str, part: Part) -> np.ndarray:
    """Where a mask says that the velocity is missing: bool, of the shape of arranged fields."""
    opposite = reference.startswith("~")
    name = reference.removeprefix("~")
    shape = file.shape("mask", name)
    try:
        part.whole.arrange("mask", np.broadcast_to(0.0, shape))
        one_frame = False
    except PinnxError:
        one_frame = True
    values = file.numbers("mask", name, part=part.stored("mask", shape, one_frame=one_frame))
    arranged = part.layout.arrange("mask", values, one_frame=one_frame)
    missing = ((arranged == 0) | np.isnan(arranged)) != opposite
    file.note("Missing, by the mask", f"{int(missing.sum()):,} of {missing.size:,} values of {reference}")
    return np.broadcast_to(missing, (part.layout.num_times, *missing.shape[1:]))


def _marks(file: ArrayFile, mapping: DataMapping) -> list[str]:
    """A sentence about arrays that may mark bad vectors, where no mask is named."""
    used = {reference.partition("[")[0] for reference in mapping.index_sets.values()}
    names = {} if mapping.mask else {name: name.rpartition("/")[2] for name in file.arrays if name not in used}
    like = [name for name, last in names.items() if last.casefold() in MARKS or LIKE_MARKS.search(last)]
    shown = shortened(", ".join(like), 100)
    return [f"Look at {shown}: if it is 0 where nothing was measured, name it by data.arrays.mask."] if like else []


def _odd(
    mapping: DataMapping,
    layout: Layout,
    velocity: np.ndarray,
    pressure: np.ndarray | None,
    times: np.ndarray | None,
    factors: dict[str, float],
) -> list[str]:
    """Sentences about what is odd in arranged fields, which are those of the file times the factors."""
    notes = values_out_of_scale(",".join(mapping.components), velocity, factors.get("u", 1.0))
    notes += frames_twice(velocity, times)
    if pressure is not None:
        notes += values_out_of_scale("p", pressure[..., np.newaxis], factors.get("p", 1.0))
    if not layout.gridded:
        points = np.stack([layout.coordinates[axis] for axis in mapping.spatial_axes], axis=-1)
        notes += contradictions(points, velocity)
    return notes


def _pressure(
    file: ArrayFile, mapping: DataMapping, part: Part, factors: dict[str, float]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the pressure [F, ...] and its frames [F], or (None, None) where the part has none."""
    if mapping.p is None:
        return None, None
    shape, layout = file.shape("p", mapping.p), part.whole
    if mapping.pressure_frame is None:
        try:
            layout.arrange("p", np.broadcast_to(0.0, shape))
        except PinnxError as error:
            hint = "; if it is given at one frame, name that by pressure_frame"
            raise PinnxError(f"{error}{hint if layout.num_times > 1 else ''}") from None
        pressure = part.layout.arrange("p", _scaled(file, "p", mapping.p, factors, part.stored("p", shape)))
        return pressure, np.arange(part.layout.num_times, dtype=np.int64)
    frame: float = (
        file.scalar("pressure_frame", mapping.pressure_frame, owner=mapping.p)
        if isinstance(mapping.pressure_frame, str)
        else mapping.pressure_frame
    )
    if frame != int(frame) or not 0 <= frame < layout.num_times:
        raise PinnxError(f"pressure_frame: expected a frame from 0 to {layout.num_times - 1}, got {frame:g}")
    if frame not in part.frames:
        return None, None
    stored = _scaled(file, "p", mapping.p, factors, part.stored("p", shape, one_frame=True))
    return part.layout.arrange("p", stored, one_frame=True), np.array([part.frames.index(frame)], dtype=np.int64)
