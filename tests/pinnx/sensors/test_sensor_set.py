"""Sensor sets: bit-exact through a file, and nothing half right is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.sensors import SensorSet


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
