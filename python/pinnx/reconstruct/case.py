"""What is known of a flow, and where the answer is wanted.

Either snapshots of the whole field, from which the sensors are chosen (a study: the error can be told), or a CSV file
of measurements (a real case: nothing else exists).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from pinnx.config import Config
from pinnx.data.mapping import DataMapping
from pinnx.data.measurements import Measurements, read_measurements
from pinnx.data.readers import read_snapshots
from pinnx.data.snapshots import AXIS_NAMES, Snapshots
from pinnx.data.synthetic import periodic_flow
from pinnx.errors import PinnxError
from pinnx.physics.boundary import BoundaryCondition, boundary_conditions
from pinnx.sensors.sampling import add_noise, sample_velocity
from pinnx.sensors.selection import select_sensors
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["Case", "OutputPoints", "load_case", "load_snapshots"]

# Default number of grid points along the longest side, where a CSV file leaves the output grid open.
GRID_POINTS = {2: 128, 3: 48}
# Where the output of measurements at many different times would take more memory, it is refused before the training.
MAX_OUTPUT_GIB = 4.0


@dataclass(frozen=True, eq=False)
class OutputPoints:
    """Where and when the fields are wanted.

    Args:
        points: [n, d] float64.
        times: [T] float64; None where the flow is steady.
        grid_shape: of the points, in C order over x, y[, z]; None where they are scattered.
    """

    points: np.ndarray
    times: np.ndarray | None
    grid_shape: tuple[int, ...] | None

    def coordinates(self, frame: int) -> np.ndarray:
        """[n, D], the points at one time."""
        if self.times is None:
            return self.points
        return np.column_stack([np.full(len(self.points), self.times[frame]), self.points])

    @property
    def num_frames(self) -> int:
        """Number of times; 1 where the flow is steady."""
        return 1 if self.times is None else len(self.times)


@dataclass(frozen=True, eq=False)
class Case:
    """One reconstruction, before there is a network.

    Args:
        bounds: axis name -> (low, high) of the domain, "t" first where the flow has times.
        steady: no time coordinate.
        nu: kinematic viscosity, > 0.
        sensors: where was measured.
        coordinates: [k, D] float64, where and when: the network's inputs.
        velocity: [k, d] float64, what was measured.
        conditions: what is known at boundaries.
        output: where the fields are wanted.
        reference: the snapshots, to compare with; None for a CSV file.
        source: where the data came from; "synthetic: ..." for made data.
    """

    bounds: dict[str, tuple[float, float]]
    steady: bool
    nu: float
    sensors: SensorSet
    coordinates: np.ndarray
    velocity: np.ndarray
    conditions: tuple[BoundaryCondition, ...]
    output: OutputPoints
    reference: Snapshots | None
    source: str
    periods: dict[str, float] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Space dimensions, 2 or 3."""
        return int(self.velocity.shape[1])


def load_case(config: Config, progress: Callable[[str], None] = lambda text: None) -> Case:
    """Reads the data, chooses the sensors, and checks that everything fits together.

    Args:
        config: the sections data, domain, flow, boundaries and sensors are used.
        progress: called with a word on what is being done.

    Raises:
        PinnxError: one line that says what was wanted and what came.
    """
    if config.data.measurements is not None:
        progress(f"reading {config.data.measurements}")
        return _measured_case(config, read_measurements(config.data.measurements))
    snapshots = load_snapshots(config, progress)
    progress(f"choosing {config.sensors.count} sensors on {snapshots.num_points} points")
    chosen = config.sensors
    sensors = select_sensors(
        snapshots,
        chosen.count,
        method=chosen.method,
        modes=chosen.modes,
        seed=chosen.seed,
        positions=chosen.positions,
        min_distance=chosen.min_distance,
        margin=chosen.margin,
        subtract_mean=chosen.subtract_mean,
        scale_modes=chosen.scale_modes,
    )
    velocity = sample_velocity(snapshots, sensors)
    if chosen.noise > 0:
        velocity = add_noise(velocity, chosen.noise, chosen.seed)
    places = np.tile(sensors.positions, (snapshots.num_times, 1))
    times = None if snapshots.times is None else np.repeat(snapshots.times, len(sensors))
    return _case(
        config,
        sensors=sensors,
        coordinates=places if times is None else np.column_stack([times, places]),
        velocity=velocity.reshape(-1, snapshots.dim),
        output=OutputPoints(snapshots.points, snapshots.times, snapshots.grid_shape),
        data_bounds=snapshots.bounds,
        data_nu=snapshots.nu,
        reference=snapshots,
        source=snapshots.source,
    )


def load_snapshots(config: Config, progress: Callable[[str], None] = lambda text: None) -> Snapshots:
    """Reads or makes the snapshots of a configuration, cut to its window and times.

    Args:
        config: the section data is used; it names snapshots, not measurements.
        progress: called with a word on what is being done.

    Raises:
        PinnxError: as ``read_snapshots``.
    """
    data = config.data
    if data.synthetic is not None:
        progress("making a reference flow with the built-in solver")
        return periodic_flow(**data.synthetic.model_dump())
    assert data.path is not None
    progress(f"reading {data.path}")
    mapping = DataMapping(
        **data.arrays.model_dump(),
        axes=data.axes,
        pressure_frame=data.pressure_frame,
        index_sets=data.index_sets,
    )
    snapshots = read_snapshots(data.path, mapping, check_orientation=data.check_orientation)
    limits = {axis: limit for axis, limit in data.window.model_dump().items() if limit is not None}
    if data.times is not None:
        limits["t"] = data.times
    return snapshots.window(**limits) if limits else snapshots


def _chosen_rows(config: Config, measured: Measurements) -> Measurements:
    """The measurements inside data.window and data.times, as for snapshots."""
    if config.sensors.noise > 0:
        raise PinnxError(f"sensors.noise: expected 0, measurements have their own noise, got {config.sensors.noise:g}")
    names = (*(() if measured.steady else ("t",)), *AXIS_NAMES[: measured.dim])
    limits = {**config.data.window.model_dump(), "t": config.data.times}
    inside = np.ones(measured.num_rows, dtype=bool)
    for name, limit in limits.items():
        if limit is None:
            continue
        if name not in names:
            raise PinnxError(f"data.window: {measured.source} has no {name}; expected limits for {', '.join(names)}")
        column = measured.coordinates[:, names.index(name)]
        inside &= (column >= limit[0]) & (column <= limit[1])
    if not inside.any():
        raise PinnxError(f"{measured.source}: expected rows inside data.window and data.times, got none")
    return replace(measured, coordinates=measured.coordinates[inside], velocity=measured.velocity[inside])


def _measured_case(config: Config, measured: Measurements) -> Case:
    measured = _chosen_rows(config, measured)
    places = measured.coordinates[:, -measured.dim :]
    bounds = {} if measured.steady else {"t": _extent(measured.coordinates[:, 0])}
    for axis, column in zip(AXIS_NAMES[: measured.dim], places.T, strict=True):
        given = getattr(config.domain, axis)
        if given is None:
            raise PinnxError(
                f"domain.{axis}: expected [lo, hi], the extent in {axis} of the flow to reconstruct, got none "
                f"(the sensors lie in [{column.min():g}, {column.max():g}])"
            )
        outside = np.flatnonzero((column < given[0]) | (column > given[1]))
        if outside.size:
            raise PinnxError(
                f"{measured.source}: expected sensors inside domain.{axis} = [{given[0]:g}, {given[1]:g}], "
                f"got {axis} = {column[outside[0]]:g}"
            )
        bounds[axis] = given
    return _case(
        config,
        sensors=SensorSet(measured.positions(), indices=None, method="file"),
        coordinates=measured.coordinates,
        velocity=measured.velocity,
        output=_output_grid(bounds, None if measured.steady else np.unique(measured.coordinates[:, 0]), config),
        data_bounds=bounds,
        data_nu=None,
        reference=None,
        source=measured.source,
    )


def _case(
    config: Config,
    *,
    sensors: SensorSet,
    coordinates: np.ndarray,
    velocity: np.ndarray,
    output: OutputPoints,
    data_bounds: dict[str, tuple[float, float]],
    data_nu: float | None,
    reference: Snapshots | None,
    source: str,
) -> Case:
    nu = config.flow.nu if config.flow.nu is not None else data_nu
    if nu is None:
        raise PinnxError("flow.nu: expected the kinematic viscosity, > 0; the data has none, got none")
    if reference is not None and not reference.velocity.any():
        raise PinnxError(f"{source}: expected a flow, got a velocity of zero at every point and time")
    steady = "t" not in data_bounds
    if config.flow.steady is not None and config.flow.steady != steady:
        raise PinnxError(
            f"flow.steady: expected {str(steady).lower()} as the data {'has no' if steady else 'has'} times, "
            f"got {str(config.flow.steady).lower()}"
        )
    bounds = _domain(config, data_bounds)
    return Case(
        bounds=bounds,
        steady=steady,
        nu=nu,
        sensors=sensors,
        coordinates=coordinates,
        velocity=velocity,
        conditions=boundary_conditions(
            [entry.model_dump() for entry in config.boundaries],
            bounds,
            points=None if reference is None else reference.points,
            times=None if reference is None else reference.times,
            index_sets=None if reference is None else reference.index_sets,
        ),
        output=output,
        reference=reference,
        source=source,
        periods={axis: bounds[axis][1] - bounds[axis][0] for axis in config.domain.periodic},
    )


def _domain(config: Config, data_bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The box of the equations: as configured, else that of the data."""
    bounds = {}
    for axis, (low, high) in data_bounds.items():
        given = getattr(config.domain, axis)
        if given is None and low == high:
            raise PinnxError(
                f"domain.{axis}: expected data at two or more values of {axis}, got {axis} = {low:g} alone"
                + ("; leave the times out where the flow is steady" if axis == "t" else "")
            )
        if given is None and axis in config.domain.periodic:
            if config.data.synthetic is None:
                raise PinnxError(
                    f"domain.{axis}: expected [lo, hi] of one whole period, as {axis} is periodic, got none "
                    f"(the data spans [{low:g}, {high:g}])"
                )
            given = (0.0, config.data.synthetic.length)
        given = given or (low, high)
        slack = 1e-6 * (high - low)  # coordinates that were stored in float32
        if low < given[0] - slack or high > given[1] + slack:
            raise PinnxError(
                f"domain.{axis}: expected an extent around the data's [{low:g}, {high:g}], got {list(given)}; "
                f"use data.{'times' if axis == 't' else 'window'} to leave data out"
            )
        if not given[0] < given[1]:
            raise PinnxError(f"domain.{axis}: expected [lo, hi] with lo < hi, got {list(given)}")
        bounds[axis] = given
    for axis in ("t", "z"):
        if axis not in data_bounds and (getattr(config.domain, axis) is not None or axis in config.domain.periodic):
            raise PinnxError(f"domain.{axis}: the data has no {axis}; expected none, got one")
    return bounds


def _extent(column: np.ndarray) -> tuple[float, float]:
    return float(column.min()), float(column.max())


def _output_grid(bounds: dict[str, tuple[float, float]], times: np.ndarray | None, config: Config) -> OutputPoints:
    """A regular grid over the domain, its ends included."""
    extents = [bounds[axis] for axis in AXIS_NAMES if axis in bounds]
    longest = max(high - low for low, high in extents)
    num = config.evals.grid or GRID_POINTS[len(extents)]
    shape = tuple(max(2, round(num * (high - low) / longest)) for low, high in extents)
    num_frames = 1 if times is None else len(times)
    # Fields and residuals in float64, gathered and then stored: about three copies at the peak.
    needed_gib = 3 * 8 * 2 * (len(extents) + 1) * num_frames * math.prod(shape) / 2**30
    if needed_gib > MAX_OUTPUT_GIB:
        raise PinnxError(
            f"evals.grid: expected an output of at most {MAX_OUTPUT_GIB:g} GiB of memory, got {needed_gib:.1f} GiB for "
            f"{' x '.join(map(str, shape))} points at {num_frames} times; set evals.grid to less than {num}"
        )
    lines = [np.linspace(*extent, size) for extent, size in zip(extents, shape, strict=True)]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(extents))
    return OutputPoints(points, times, shape)
