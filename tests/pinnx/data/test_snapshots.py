"""Snapshots: what is derived from them, windows, and one failing case for each check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pinnx.data import Snapshots
from pinnx.errors import PinnxError


def grid_snapshots(*sizes: int, num_times: int = 5) -> Snapshots:
    """A grid whose velocity and pressure say where and when they stand."""
    lines = [np.linspace(0.0, 1.0 + axis, size) for axis, size in enumerate(sizes)]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(sizes))
    times = np.linspace(2.0, 3.0, num_times)
    velocity = times[:, None, None] + points[None]
    return Snapshots(
        points=points,
        values=velocity,
        times=times,
        pressure=points[None, :, 0] * times[[1, 3], None],
        pressure_frames=np.array([1, 3]),
        nu=0.01,
        grid_shape=sizes,
        index_sets={"low": np.flatnonzero(points[:, 0] == 0), "all": np.arange(len(points))},
        source="made in a test",
    )


def test_properties():
    flow = grid_snapshots(4, 3)
    flow.validate()
    assert (flow.dim, flow.num_points, flow.num_times, flow.steady) == (2, 12, 5, False)
    assert flow.axis_names == ("x", "y")
    assert list(flow.bounds.items()) == [("t", (2.0, 3.0)), ("x", (0.0, 1.0)), ("y", (0.0, 2.0))]


@pytest.mark.parametrize("sizes", [(4, 3), (4, 3, 2)])
def test_grid_lines_rebuild_the_points(sizes: tuple[int, ...]):
    flow = grid_snapshots(*sizes)
    assert [line.size for line in flow.grid_lines] == list(sizes)
    mesh = np.stack(np.meshgrid(*flow.grid_lines, indexing="ij"), axis=-1)
    assert np.array_equal(mesh.reshape(flow.points.shape), flow.points)
    assert replace(flow, grid_shape=None).grid_lines is None


def test_steady_flow_has_no_time_bounds():
    flow = grid_snapshots(4, 3)
    steady = Snapshots(points=flow.points, values=flow.velocity[:1])
    steady.validate()
    assert steady.steady
    assert steady.num_times == 1
    assert "t" not in steady.bounds
    with pytest.raises(PinnxError, match=r"expected limits for x, y, got 't'"):
        steady.window(t=(0, 1))


@pytest.mark.parametrize("sizes", [(5, 6), (5, 6, 4)])
def test_window_keeps_a_grid_and_renumbers(sizes: tuple[int, ...]):
    flow = grid_snapshots(*sizes)
    part = flow.window(x=(0.25, 0.75), y=(0.0, 1.2), t=(2.4, 3.0))
    part.validate()
    assert part.grid_shape == (3, 4, *sizes[2:])
    assert part.bounds["x"] == (0.25, 0.75)  # both limits are included
    assert np.array_equal(part.times, [2.5, 2.75, 3.0])
    # Values still stand at their own place and time.
    assert np.array_equal(part.velocity, part.times[:, None, None] + part.points[None])
    assert np.array_equal(part.pressure_frames, [1])
    assert np.array_equal(part.pressure, part.points[None, :, 0] * part.times[1])
    assert np.array_equal(part.index_sets["all"], np.arange(part.num_points))
    assert "low" not in part.index_sets  # nothing of it is left, so asking for it must fail


def test_window_renumbers_a_partial_index_set():
    flow = grid_snapshots(5, 6)
    part = flow.window(x=(0.0, 0.5), y=(1.0, 2.0))
    assert np.array_equal(part.points[part.index_sets["low"], 0], np.zeros(3))


def test_window_limits_hold_up_to_rounding_and_no_further():
    flow = grid_snapshots(5, 6)
    assert flow.points[:, 1].max() == 2.0
    assert 0.4 * 3 > 1.2  # the grid line that is meant by 1.2
    assert flow.window(y=(0.0, 1.2)).bounds["y"] == (0.0, pytest.approx(1.2))
    assert flow.window(y=(0.0, 1.2 - 1e-6)).bounds["y"] == (0.0, pytest.approx(0.8))


def test_window_far_from_zero_takes_no_neighbour():
    """In Unix seconds the rounding of float32 is minutes."""
    flow = grid_snapshots(5, 6)
    late = replace(flow, times=1.7e9 + flow.times)
    assert late.window(t=(1.7e9 + 2.4, 1.7e9 + 3.0)).num_times == flow.window(t=(2.4, 3.0)).num_times < flow.num_times


def test_window_without_limits_changes_nothing():
    flow = grid_snapshots(4, 3)
    same = flow.window()
    assert np.array_equal(same.velocity, flow.velocity)
    assert same.grid_shape == flow.grid_shape
    assert np.array_equal(same.pressure_frames, flow.pressure_frames)


def test_window_drops_what_is_no_longer_there():
    flow = grid_snapshots(5, 6)
    line = flow.window(x=(0.5, 0.5), t=(2.0, 2.1))
    line.validate()
    assert line.grid_shape is None  # one line of points is no grid
    assert line.pressure is None
    assert line.pressure_frames is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"x": (5, 6)}, r"nothing is inside x=\(5, 6\); the data has t in \[2, 3\]"),
        ({"t": (2.1, 2.2)}, "nothing is inside"),
        ({"x": (1, 0)}, r"expected low <= high for x, got \(1, 0\)"),
        ({"z": (0, 1)}, "expected limits for t, x, y, got 'z'"),
    ],
)
def test_window_errors(limits: dict[str, tuple[float, float]], message: str):
    with pytest.raises(PinnxError, match=message):
        grid_snapshots(5, 6).window(**limits)


def spoiled(array: np.ndarray, *places: int) -> np.ndarray:
    copy = array.copy()
    copy.flat[list(places)] = np.nan
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"points": s.points[:, :1]}, r"points: expected shape \[n, 2\] or \[n, 3\]"),
        (lambda s: {"points": s.points[:0]}, "points: expected shape"),
        (lambda s: {"points": spoiled(s.points, 3)}, "points: expected finite values, got 1 of 24"),
        (
            lambda s: {"points": s.points.astype(np.float32)},
            "points: expected float64, got float32",
        ),
        (lambda s: {"points": s.points[::-1].copy()[[1, 0, *range(2, 12)]]}, "no such grid"),
        (lambda s: {"values": s.velocity[..., :1]}, r"velocity: expected shape \[T, 12, 2\]"),
        (
            lambda s: {"values": spoiled(s.velocity, 0, 7)},
            "velocity: .* got 2 of 120 that are NaN",
        ),
        (lambda s: {"values": s.velocity / 0.0}, "velocity: .* NaN or infinite"),
        (lambda s: {"values": s.velocity[:2]}, r"times: expected shape \[2\]"),
        (lambda s: {"times": s.times[::-1].copy()}, "times: .* 3 followed by 2.75 at index 1"),
        (lambda s: {"times": s.times[[0, 1, 1, 2, 3]]}, "2.25 followed by 2.25 at index 2"),
        (lambda s: {"times": spoiled(s.times, 0)}, "times: expected finite"),
        (lambda s: {"times": None}, "expected 1 frame without times, got 5"),
        (lambda s: {"pressure": s.pressure[:1]}, r"pressure: expected shape \[2, 12\]"),
        (lambda s: {"pressure": spoiled(s.pressure, 1)}, "pressure: expected finite"),
        (lambda s: {"pressure": None}, "expected pressure and pressure_frames together"),
        (lambda s: {"pressure_frames": np.array([3, 1])}, "increasing indices from 0 to 4"),
        (lambda s: {"pressure_frames": np.array([1, 5])}, "increasing indices from 0 to 4"),
        (lambda s: {"pressure_frames": np.array([1.0, 3.0])}, "expected int64"),
        (lambda s: {"nu": 0.0}, "nu: expected a viscosity > 0, got 0.0"),
        (lambda s: {"nu": -1.0}, "nu: expected"),
        (lambda s: {"nu": float("nan")}, "nu: expected"),
        (lambda s: {"grid_shape": (3, 4)}, "no such grid"),
        (lambda s: {"grid_shape": (12, 1)}, "grid_shape: expected 2 numbers >= 2"),
        (lambda s: {"grid_shape": (4, 4)}, "grid_shape: .* product 12"),
        (lambda s: {"index_sets": {"w": np.array([12])}}, "w: expected indices from 0 to 11"),
        (lambda s: {"index_sets": {"w": np.array([-1])}}, "w: expected indices from 0 to 11"),
        (lambda s: {"index_sets": {"w": np.array([0.5])}}, "w: expected int64 indices"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_validate_names_what_is_wrong(change: Callable[[Snapshots], dict[str, object]], message: str):
    flow = grid_snapshots(4, 3)
    flow.validate()
    with pytest.raises(PinnxError, match=message) as raised:
        replace(flow, **change(flow)).validate()
    assert "\n" not in str(raised.value)
