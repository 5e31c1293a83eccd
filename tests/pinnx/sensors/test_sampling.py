"""What sensors see, exact on data points and between them for linear fields; sets of them, bit-exact through a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tolerances

from pinnx.data import Snapshots
from pinnx.errors import PinnxError
from pinnx.sensors import SensorSet, add_noise, sample_velocity

LINES = (np.linspace(-1.0, 2.0, 7), np.linspace(0.0, 1.0, 6) ** 2, np.linspace(3.0, 4.0, 5))


def linear(points: np.ndarray, num_times: int = 3) -> np.ndarray:
    """Velocities that are linear in space, other ones at each time and in each component."""
    d = points.shape[1]
    slopes = np.arange(1.0, num_times * d * d + 1).reshape(num_times, d, d) / 7.0
    return np.einsum("tij,nj->tni", slopes, points) + 0.25


def on_grid(dim: int) -> Snapshots:
    mesh = np.stack(np.meshgrid(*LINES[:dim], indexing="ij"), axis=-1)
    points = mesh.reshape(-1, dim)
    return Snapshots(
        points=points,
        values=linear(points),
        times=np.arange(3.0),
        grid_shape=mesh.shape[:-1],
    )


def scattered(rng: np.random.Generator, dim: int) -> Snapshots:
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    points = np.concatenate([corners, rng.uniform(0.0, 1.0, size=(300, dim))])
    return Snapshots(points=points, values=linear(points), times=np.arange(3.0))


def ring() -> Snapshots:
    """Points around a body of radius 0.5, as a mesh around a cylinder has them."""
    radius, angle = np.meshgrid(0.5 + np.linspace(0.0, 1.5, 31), np.linspace(0, 2 * np.pi, 60, endpoint=False))
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2)
    return Snapshots(points=points, values=linear(points, 1))


def at(places: object) -> SensorSet:
    return SensorSet(np.array(places, dtype=float), indices=None, method="positions")


def test_sensors_with_indices_read_their_points(rng: np.random.Generator) -> None:
    flow = scattered(rng, 2)
    sensors = SensorSet(flow.points[[7, 3]], np.array([7, 3]), "qr")
    np.testing.assert_array_equal(sample_velocity(flow, sensors), flow.velocity[:, [7, 3]])


@pytest.mark.parametrize("dim", [2, 3])
def test_a_place_on_a_point_sees_its_value_unchanged(rng: np.random.Generator, dim: int) -> None:
    for flow in (on_grid(dim), scattered(rng, dim)):
        places = flow.points[[11, 4]].astype(np.float32)  # as a file keeps them
        np.testing.assert_array_equal(sample_velocity(flow, at(places)), flow.velocity[:, [11, 4]])


@pytest.mark.parametrize("dim", [2, 3])
def test_linear_fields_are_exact_between_points(rng: np.random.Generator, dim: int) -> None:
    for flow in (on_grid(dim), scattered(rng, dim)):
        low, high = flow.points.min(axis=0), flow.points.max(axis=0)
        places = rng.uniform(low + 0.05, high - 0.05, size=(9, dim))
        seen = sample_velocity(flow, at(places))
        assert seen.shape == (3, 9, dim)
        expected = linear(places)
        size = np.abs(expected).max()
        assert np.abs(seen - expected).max() < tolerances.LINEAR_INTERPOLATION * size
        # A place that is a little off sees something else, by more than the tolerance.
        off = sample_velocity(flow, at(places + 1e-3))
        assert np.abs(off - expected).max() > 100 * tolerances.LINEAR_INTERPOLATION * size


def test_the_error_between_points_falls_with_the_square_of_the_spacing() -> None:
    errors = []
    for num in (17, 33):
        line = np.linspace(0.0, 1.0, num)
        points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        velocity = np.sin(3 * points)[None]
        flow = Snapshots(points=points, values=velocity, grid_shape=(num, num))
        middle = 0.5 + 0.5 / (num - 1)
        seen = sample_velocity(flow, at([[middle, middle]]))
        errors.append(np.abs(seen[0, 0] - np.sin(3 * middle)).max())
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_refuses_places_outside(rng: np.random.Generator) -> None:
    message = r"sensor 2 at \(2.1, 0.5\): expected to lie inside x in \[-1, 2\], y in \[0, 1\]"
    with pytest.raises(PinnxError, match=message):
        sample_velocity(on_grid(2), at([[0.0, 0.0], [2.1, 0.5]]))
    with pytest.raises(PinnxError, match="sensors: expected 2 coordinates each, got 3"):
        sample_velocity(on_grid(2), at([[0.0, 0.0, 0.0]]))
    with pytest.raises(PinnxError, match="expected indices below 42, got 42"):
        sample_velocity(on_grid(2), SensorSet(np.zeros((1, 2)), np.array([42]), "qr"))


def test_refuses_places_in_a_body_and_in_the_corners_of_the_box() -> None:
    assert sample_velocity(ring(), at([[0.7, 0.1]])).shape == (1, 1, 2)
    with pytest.raises(PinnxError, match=r"sensor 1 at \(0, 0.01\).*a hole between them"):
        sample_velocity(ring(), at([[0.0, 0.01]]))
    with pytest.raises(PinnxError, match=r"sensor 1 at \(1.9, 1.9\): expected to lie inside the"):
        sample_velocity(ring(), at([[1.9, 1.9]]))
    with pytest.raises(PinnxError, match=r"inside the hull of the data points"):
        sample_velocity(ring(), at([[1.45, 1.45]]))


def test_noise_has_the_size_that_was_asked_for(seed: int) -> None:
    velocity = np.full((200, 50, 2), 3.0)
    noisy = add_noise(velocity, 0.1, seed)
    num = velocity.size
    spread = (noisy - velocity).std()
    assert spread == pytest.approx(0.3, rel=tolerances.normal_spread(num))
    np.testing.assert_array_equal(noisy, add_noise(velocity, 0.1, seed))
    assert not np.array_equal(noisy, add_noise(velocity, 0.1, seed + 1))
    np.testing.assert_array_equal(add_noise(velocity, 0.0, seed), velocity)
    with pytest.raises(PinnxError, match=r"sensors\.noise: expected a number >= 0, got -1"):
        add_noise(velocity, -1, seed)


@pytest.mark.parametrize("dim", [2, 3])
def test_csv_round_trip_is_exact(tmp_path: Path, rng: np.random.Generator, dim: int) -> None:
    sensors = SensorSet(rng.normal(size=(5, dim)) * 1e-7, indices=None, method="positions")
    path = tmp_path / "sensors.csv"
    sensors.write_csv(path)
    assert path.read_text().splitlines()[0] == ("rank,x,y" if dim == 2 else "rank,x,y,z")
    assert [line.split(",")[0] for line in path.read_text().splitlines()[1:]] == list("12345")
    back = SensorSet.read_csv(path)
    np.testing.assert_array_equal(back.positions, sensors.positions)
    assert back.indices is None
    assert back.method == "file"
    assert list(tmp_path.iterdir()) == [path]


def test_is_frozen_and_takes_copies() -> None:
    positions, indices = np.eye(2), np.array([3, 4])
    sensors = SensorSet(positions, indices, "qr")
    positions[:] = 7.0
    np.testing.assert_array_equal(sensors.positions, np.eye(2))
    assert (len(sensors), sensors.dim) == (2, 2)
    for array in (sensors.positions, sensors.indices):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("positions", "indices", "message"),
    [
        (np.zeros((0, 2)), None, "expected positions [k, 2] or [k, 3], k >= 1; got [0, 2]"),
        (np.zeros((2, 4)), None, "expected positions [k, 2] or [k, 3], k >= 1; got [2, 4]"),
        ([[0.0, 1.0], [np.nan, 0.0]], None, "sensor 2: expected finite coordinates"),
        ([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], None, "sensor 3: expected a place of its own"),
        ([[0.0, 1.0]], [1, 2], "sensors: expected 1 indices, got [2]"),
    ],
)
def test_refuses(positions: object, indices: object, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        SensorSet(positions, indices, "positions")  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the header rank,x,y or rank,x,y,z, got ''"),
        ("x,y\n0,1\n", "expected the header rank,x,y or rank,x,y,z, got 'x,y'"),
        ("rank,x,y\n", "expected sensors below the header, got none"),
        ("rank,x,y\n1,0,0\n3,1,1\n", "line 3: expected rank 2, got 3"),
        ("rank,x,y\n1,0,nan\n", "line 2, column y: expected a finite number, got 'nan'"),
        ("rank,x,y\n1,0\n", "line 2: expected 3 values (rank,x,y) separated by commas, got 2"),
        ("rank,x,y\n1,a,0\n", "line 2, column x: expected a finite number, got 'a'"),
    ],
)
def test_read_refuses(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sensors.csv"
    path.write_text(text)
    with pytest.raises(PinnxError) as caught:
        SensorSet.read_csv(path)
    assert str(caught.value).endswith(message)


def test_read_needs_the_file(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match="no such file"):
        SensorSet.read_csv(tmp_path / "none.csv")
