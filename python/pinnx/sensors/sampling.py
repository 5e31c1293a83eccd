"""What sensors see of a flow: the velocity at their places, at every time.

    on a data point      the value itself
    between grid lines   multilinear interpolation            error O(h^2)
    between scattered    linear on the Delaunay triangles     error O(h^2)
    points

A place counts as a data point within 1e-6 of the box's diagonal: float32 coordinates are known to
1e-7. A place in a hole of scattered points (inside a body) is outside the domain, although a
Delaunay triangle spans it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.interpolate import LinearNDInterpolator, RegularGridInterpolator
from scipy.spatial import cKDTree

from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.sensors.place_weights import in_hole
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["add_noise", "require_inside", "sample_velocity"]

SNAP_FRACTION = 1e-6


def sample_velocity(snapshots: Snapshots, sensors: SensorSet) -> np.ndarray:
    """Return the velocity at the sensors at every time of the data.

    Args:
        snapshots: the flow.
        sensors: k sensors; those with indices are read at these points.

    Returns:
        [T, k, d] float64, columns u, v[, w].

    Raises:
        PinnxError: a sensor outside the domain (its rank and position are named).
    """
    if sensors.indices is not None:
        beyond = sensors.indices[(sensors.indices < 0) | (sensors.indices >= snapshots.num_points)]
        if beyond.size:
            raise PinnxError(f"sensors: expected indices below {snapshots.num_points}, got {beyond[0]}")
        return snapshots.velocity[:, sensors.indices]
    require_inside(snapshots, sensors)
    if snapshots.holes is not None:
        snapshots = replace(snapshots, values=np.where(snapshots.holes[:, None], np.nan, snapshots.values))
    distance, nearest = cKDTree(snapshots.points).query(sensors.positions)
    seen = snapshots.velocity[:, nearest]
    between = distance > SNAP_FRACTION * _diagonal(snapshots)
    if between.any():
        seen[:, between] = _interpolate(snapshots, sensors.positions[between])
    domain = "the hull of the data points" + (
        ", not in or beside a hole of them" if snapshots.holes is not None else ""
    )
    for row in np.flatnonzero(np.isnan(seen).any(axis=(0, 2))).tolist():
        raise _outside(sensors, row, domain)
    return seen


def require_inside(snapshots: Snapshots, sensors: SensorSet) -> None:
    """Check that each sensor is in the domain of the data.

    Raises:
        PinnxError: other dimensions, or a sensor outside the box, or in a hole of scattered data.
    """
    if sensors.dim != snapshots.dim:
        raise PinnxError(f"sensors: expected {snapshots.dim} coordinates each, got {sensors.dim}")
    slack = SNAP_FRACTION * _diagonal(snapshots)
    bounds = [snapshots.bounds[axis] for axis in snapshots.axis_names]
    low, high = np.transpose(bounds)
    inside = ((sensors.positions >= low - slack) & (sensors.positions <= high + slack)).all(axis=1)
    for row in np.flatnonzero(~inside).tolist():
        box = ", ".join(f"{axis} in [{a:g}, {b:g}]" for axis, (a, b) in zip(snapshots.axis_names, bounds, strict=True))
        raise _outside(sensors, row, box)
    if snapshots.grid_shape is None:
        for row in np.flatnonzero(in_hole(snapshots.points, sensors.positions)).tolist():
            raise _outside(sensors, row, "the data points: it is in a hole between them")


def add_noise(velocity: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Add Gaussian noise to what sensors see.

    The standard deviation is fraction * rms, rms the root mean square of all entries.

    Args:
        velocity: [T, k, d] float64.
        fraction: >= 0; 0 returns the velocity unchanged.
        seed: names the noise.

    Returns:
        [T, k, d] float64, a new array.

    Raises:
        PinnxError: a negative fraction.
    """
    if not fraction >= 0:
        raise PinnxError(f"sensors.noise: expected a number >= 0, got {fraction}")
    deviation = fraction * np.sqrt(np.mean(velocity**2))
    # Its own stream: the same seed may have chosen the sensors.
    generator = np.random.default_rng([seed, 1])
    return velocity + deviation * generator.standard_normal(velocity.shape)


def _interpolate(snapshots: Snapshots, places: np.ndarray) -> np.ndarray:
    """Return [T, k, d]; NaN outside the hull of scattered points."""
    num_times, n, d = snapshots.velocity.shape
    values = snapshots.velocity.transpose(1, 0, 2)
    if snapshots.grid_shape is None:
        low = snapshots.points.min(axis=0)  # far from zero, triangles are lost to rounding
        seen = LinearNDInterpolator(snapshots.points - low, values.reshape(n, -1))(places - low)
    else:
        lines = snapshots.grid_lines
        assert lines is not None
        on_grid = values.reshape(*snapshots.grid_shape, num_times * d)
        clipped = np.clip(places, [a[0] for a in lines], [a[-1] for a in lines])
        seen = RegularGridInterpolator(lines, on_grid, method="linear")(clipped)
    return seen.reshape(len(places), num_times, d).transpose(1, 0, 2)


def _diagonal(snapshots: Snapshots) -> float:
    return float(np.linalg.norm(np.ptp(snapshots.points, axis=0)))


def _outside(sensors: SensorSet, row: int, domain: str) -> PinnxError:
    position = ", ".join(f"{value:g}" for value in sensors.positions[row])
    return PinnxError(f"sensor {row + 1} at ({position}): expected to lie inside {domain}")
