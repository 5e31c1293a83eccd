"""Reads a case: snapshots, of which sensors are chosen (the error is known then), measurements, or the folder of a run.

In its folder a run has measurements, places, times and index sets in float64, as they were read, and the reference,
which only errors are taken against, in float32: it can be judged where its data file is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.data.fill_blocks import without_fill_blocks
from pinnx.data.mapping import DataMapping
from pinnx.data.measured_rows import Measurements
from pinnx.data.measurements import Columns, read_measurements
from pinnx.data.raw_arrays import RawArray
from pinnx.data.readers import read_snapshots
from pinnx.data.snapshots import AXIS_NAMES, Snapshots
from pinnx.data.synthetic import periodic_flow
from pinnx.errors import PinnxError, damage_named
from pinnx.jobs.cases.case import Case, make_case
from pinnx.jobs.cases.case_bodies import case_holes, in_bodies, prescribed_bodies
from pinnx.jobs.cases.output_points import output_grid, output_times
from pinnx.physics.expression import Expression
from pinnx.report.formatting import enumeration
from pinnx.runs.folder import RunFolder
from pinnx.sensors.sampling import add_noise, sample_velocity
from pinnx.sensors.selection import PIVOTED, select_sensors
from pinnx.sensors.sensor_set import SensorSet
from pinnx.train.ranks import ALONE, OneProcess

__all__ = [
    "data_limits",
    "data_mapping",
    "load_case",
    "load_snapshots",
    "measured_case",
    "sensor_weights",
    "started",
    "stored_case",
]


def load_case(config: Config, progress: Callable[[str], None] = lambda text: None, ranks: OneProcess = ALONE) -> Case:
    """Reads the data, chooses the sensors, finds the sides of ``solver.unknown``, and checks that everything fits.

    Of ranks that load the same case the first one chooses the sensors. ``progress`` takes a word on what is being done.

    Raises:
        PinnxError: one line that says what was wanted and what came.
    """
    case = _read_case(config, progress, ranks)
    if config.solver.unknown:
        from pinnx.jobs.cases.box_case import with_found_sides  # SciPy's sparse solvers, for these runs alone

        progress(f"finding the velocity along {enumeration(config.solver.unknown)} from the sensors")
        case = with_found_sides(config, case)
    return started(config, case)


def started(config: Config, case: Case) -> Case:
    """The case with the solver's field from which its network starts, as far as ``train.warm_start`` asks for one.

    Raises:
        PinnxError: a case that the solver does not solve, where a start must be.
    """
    in_a_stream = case.steady and case.bodies and any(known.condition == "free_stream" for known in case.slopes)
    wanted = config.train.warm_start
    if wanted == "none" or (wanted == "auto" and not in_a_stream):
        return case
    from pinnx.jobs.cases.box_case import with_start  # SciPy's sparse solvers, for these runs alone

    return with_start(config, case)


def _read_case(config: Config, progress: Callable[[str], None], ranks: OneProcess) -> Case:
    if config.data.measurements is not None:
        progress(f"reading {config.data.measurements.path}")
        columns = Columns(**config.data.measurements.model_dump(exclude={"path"}))
        spatial = config.domain.z is not None
        measured = read_measurements(config.data.measurements.path, columns, plane=False if spatial else None)
        return measured_case(config, measured)
    snapshots = load_snapshots(config, progress)
    progress(f"choosing {config.sensors.count} sensors on {snapshots.num_points} points")
    if config.evals.times is not None:
        said = "evals.times is not used: the fields are written at the times of the data, to be compared with them."
        snapshots = replace(snapshots, notes=(*snapshots.notes, said))
    chosen = config.sensors
    if chosen.method in PIVOTED and snapshots.num_times == 1:
        raise PinnxError(
            "sensors.method: expected interpolation, coverage, lattice or random for a single snapshot, whose one mode "
            f"cannot rank places, got {chosen.method}"
        )
    started = time.perf_counter()
    options = chosen.model_dump(exclude={"noise", "weight"}) | {"weights": sensor_weights(config, snapshots.points)}
    sensors = ranks.from_first(lambda: select_sensors(snapshots, **options))
    selection_s = time.perf_counter() - started
    progress(f"{len(sensors)} sensors chosen in {selection_s:.2g} s")
    velocity = sample_velocity(snapshots, sensors)
    if chosen.noise > 0:
        velocity = add_noise(velocity, chosen.noise, chosen.seed)
    places = np.tile(sensors.positions, (snapshots.num_times, 1))
    times = None if snapshots.times is None else np.repeat(snapshots.times, len(sensors))
    case = make_case(
        config,
        sensors=sensors,
        measured=Measurements(
            places if times is None else np.column_stack([times, places]),
            velocity.reshape(-1, snapshots.dim),
            source=snapshots.source,
            notes=snapshots.notes,
        ),
        reference=snapshots,
    )
    return replace(case, selection_s=selection_s)


def load_snapshots(config: Config, progress: Callable[[str], None] = lambda text: None) -> Snapshots:
    """Reads or makes the snapshots that a configuration names, cut to its window and times.

    Raises:
        PinnxError: as ``read_snapshots``.
    """
    data = config.data
    if data.synthetic is not None:
        progress("making a reference flow with the built-in solver")
        return periodic_flow(**data.synthetic.model_dump())
    assert data.path is not None
    progress(f"reading {data.path}")
    limits = data_limits(config)
    stride = {axis: step for axis, step in data.stride.model_dump().items() if step > 1}
    snapshots = read_snapshots(
        data.path,
        data_mapping(config),
        check_orientation=data.check_orientation,
        keep_gaps=True,
        limits=limits,
        stride=stride,
    )
    # What is missing outside the window does not count.
    part = without_fill_blocks(_without_bodies(config, snapshots), accepted=data.zeros_are_values).with_holes()
    part.validate()
    places, times = snapshots.whole or (part.num_points, part.num_times)
    counts = {"places": (part.num_points, places), "times": (part.num_times, times)}
    said = _window_notes(limits, counts, stride)
    return replace(part, notes=(*part.notes, *said))


def data_mapping(config: Config) -> DataMapping:
    """Which array of ``data.path`` is what."""
    data = config.data
    return DataMapping(
        **data.arrays.model_dump(),
        axes=data.axes,
        pressure_frame=data.pressure_frame,
        index_sets=data.index_sets,
        raw=tuple(RawArray(**array.model_dump()) for array in data.raw),
    )


def data_limits(config: Config) -> dict[str, tuple[float, float]]:
    """Axis name -> (low, high) of the data that are used; axes without limits are missing."""
    given = {**config.data.window.model_dump(), "t": config.data.times}
    return {axis: limit for axis, limit in given.items() if limit is not None}


def _without_bodies(config: Config, snapshots: Snapshots) -> Snapshots:
    """The snapshots without values inside bodies: simulations often store zeros there."""
    bounds = {axis: getattr(config.domain, axis) or extent for axis, extent in snapshots.bounds.items()}
    bodies = [*case_holes(config, bounds, snapshots.points).values(), *prescribed_bodies(config, snapshots.dim)]
    inside = in_bodies(snapshots.points, bodies, snapshots.bounds)
    if not inside.any():
        return snapshots
    return replace(snapshots, values=np.where(inside[:, None], np.nan, snapshots.values))


def _window_notes(
    limits: dict[str, tuple[float, float]], counts: dict[str, tuple[int, int]], stride: Mapping[str, int] | None = None
) -> list[str]:
    """What limits and strides left out, counted: (used, all) by what is counted."""
    used = [f"{part:,} of {whole:,} {name}" for name, (part, whole) in counts.items() if part < whole]
    if not used:
        return []
    names = {axis: "data.times" if axis == "t" else f"data.window.{axis}" for axis in limits}
    where = [f"{names[axis]} = [{low:.12g}, {high:.12g}]" for axis, (low, high) in limits.items()]
    inside = [f"inside {' and '.join(where)}"] if where else []
    inside += [f"with data.stride.{axis} = {step}" for axis, step in (stride or {}).items()]
    most = any(2 * part < whole for part, whole in counts.values())
    return [
        f"{'Most of the data is left out: only ' if most else ''}{' and '.join(used)} are used, {', '.join(inside)}."
    ]


def _chosen_rows(config: Config, measured: Measurements) -> Measurements:
    """The measurements inside data.window and data.times, as for snapshots."""
    if config.sensors.noise > 0:
        raise PinnxError(f"sensors.noise: expected 0, measurements have their own noise, got {config.sensors.noise:g}")
    names = (*(() if measured.steady else ("t",)), *AXIS_NAMES[: measured.dim])
    limits = data_limits(config)
    inside = np.ones(measured.num_rows, dtype=bool)
    for name, limit in limits.items():
        if name not in names:
            raise PinnxError(f"data.window: {measured.source} has no {name}; expected limits for {', '.join(names)}")
        column = measured.coordinates[:, names.index(name)]
        inside &= (column >= limit[0]) & (column <= limit[1])
    if not inside.any():
        raise PinnxError(f"{measured.source}: expected rows inside data.window and data.times, got none")
    part = measured.rows(inside)
    counts = {
        "rows": (part.num_rows, measured.num_rows),
        "sensors": (len(part.positions()), len(measured.positions())),
    }
    return replace(part, notes=(*part.notes, *_window_notes(limits, counts)))


def measured_case(config: Config, measured: Measurements) -> Case:
    """The case of measurements at sensors, of which those inside data.window and data.times are used.

    Raises:
        PinnxError: as ``load_case``.
    """
    measured = _chosen_rows(config, measured)
    places = measured.coordinates[:, -measured.dim :]
    bounds, times = {}, None
    if measured.steady and config.evals.times is not None:
        measured = replace(measured, notes=(*measured.notes, "evals.times is not used: the flow is steady."))
    if not measured.steady:
        distinct = np.unique(measured.coordinates[:, 0])
        bounds["t"] = (float(distinct[0]), float(distinct[-1]))
        times, notes = output_times(distinct, config.domain.t or bounds["t"], config.evals.times)
        measured = replace(measured, notes=(*measured.notes, *notes))
    for axis, column in zip(AXIS_NAMES[: measured.dim], places.T, strict=True):
        given = getattr(config.domain, axis)
        if given is None:
            raise PinnxError(
                f"domain.{axis}: expected [lo, hi], the extent in {axis} of the flow to reconstruct, got none "
                f"(the sensors lie in [{column.min():.12g}, {column.max():.12g}])"
                + ("; data.measurements.z=null takes the flow in the plane of x and y" if axis == "z" else "")
            )
        outside = np.flatnonzero((column < given[0]) | (column > given[1]))
        if outside.size:
            raise PinnxError(
                f"{measured.source}: expected sensors inside domain.{axis} = [{given[0]:.12g}, {given[1]:.12g}], "
                f"got {axis} = {column[outside[0]]:.12g}; widen domain.{axis}, or leave rows out by data.window.{axis}"
            )
        bounds[axis] = given
    return make_case(
        config,
        sensors=SensorSet(measured.positions(), indices=None, method="file"),
        measured=measured,
        output=output_grid(bounds, times, config.evals.grid),
        data_bounds=bounds,
    )


def sensor_weights(config: Config, points: np.ndarray) -> np.ndarray | None:
    """The weight of each place [n, d], float64, >= 0; None where all count alike.

    Raises:
        PinnxError: weights that are negative, all 0 or not finite; a formula with t.
    """
    text = config.sensors.weight
    if text is None:
        return None
    weights = Expression(text).values(dict(zip("xyz", points.T, strict=False)))
    if (weights < 0.0).any() or not weights.any():
        raise PinnxError(
            f"sensors.weight: expected weights >= 0 that are not all 0, got {weights.min():g} to {weights.max():g}"
        )
    return weights


def stored_case(config: Config, folder: RunFolder) -> Case:
    """The case of a run, without its data.

    Raises:
        PinnxError: the run has no fields.h5, or one that is damaged.
    """
    if not folder.fields.is_file():
        raise PinnxError(f"{folder.path}: expected the data of the run, or fields.h5 in its folder, found neither")
    with damage_named(folder.fields, "expected the fields of a run, got"), h5py.File(folder.fields, "r") as file:
        measured = _stored_measurements(file)
        if "reference" not in file:
            return measured_case(config, measured)
        snapshots = _stored_snapshots(file, measured.dim)
    return make_case(config, sensors=SensorSet.read_csv(folder.sensors), measured=measured, reference=snapshots)


def _stored_measurements(file: h5py.File) -> Measurements:
    group = file["sensors"]
    names = str(group.attrs["names"]).split(",")
    columns = dict(zip(names, group["measured"][()].T, strict=True))
    known = dict(zip(names, group["deviations"][()].T, strict=True)) if "deviations" in group else {}
    dim = sum(name in file for name in AXIS_NAMES)
    velocity = [columns.get(name, np.full(len(group["coordinates"]), np.nan)) for name in ("u", "v", "w")[:dim]]
    return Measurements(
        group["coordinates"][()],
        np.stack(velocity, axis=1),
        source=str(file.attrs["source"]),
        pressure=columns.get("p"),
        speed=columns.get("speed"),
        deviations=known,
    )


def _stored_snapshots(file: h5py.File, dim: int) -> Snapshots:
    """The reference; holes are where it has no number."""
    lines: list[NDArray[np.float64]] = [file[name][()] for name in AXIS_NAMES[:dim]]
    shape = tuple(len(line) for line in lines) if file.attrs["grid"] else None
    places = np.meshgrid(*lines, indexing="ij") if shape else lines
    points = np.stack([column.reshape(-1) for column in places], axis=1)
    times = file["t"][()] if "t" in file else None
    group: Any = file["reference"]
    velocity = np.stack([_frames(group[name], points) for name in ("u", "v", "w")[:dim]], axis=2)
    holes = np.isnan(velocity).any(axis=(0, 2))
    frames = None
    if "p" in group:
        frames = group["p_frames"][()] if "p_frames" in group else np.arange(1)
    return Snapshots(
        points,
        np.nan_to_num(velocity),
        times=times,
        pressure=None if frames is None else np.nan_to_num(_frames(group["p"], points)),
        pressure_frames=frames,
        nu=float(file.attrs["nu"]),
        grid_shape=shape,
        index_sets={name: item[()] for name, item in file.get("index_sets", {}).items()},
        holes=holes if holes.any() else None,
        source=str(file.attrs["source"]),
        units=(str(file.attrs.get("length_unit", "")), str(file.attrs.get("time_unit", ""))),
    )


def _frames(stored: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A field as [frames, n]."""
    return np.asarray(stored[()], dtype=np.float64).reshape(-1, len(points))
