"""What is read from fields.h5 for a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pinnx.report.run_data import open_fields

Reported = Callable[[str], Path]


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("steady_grid", 0),
        ("unsteady_scattered", 3),  # the one at which the pressure is known; the middle is 2
        ("synthetic_unsteady_grid", 2),
        ("measurements_only", 0),
    ],
)
def test_main_frame(name: str, frame: int, reported: Reported) -> None:
    with open_fields(reported(name) / "fields.h5") as fields:
        assert fields.main_frame() == frame


def test_what_is_known_up_to_a_constant_has_mean_zero(reported: Reported) -> None:
    path = reported("unsteady_scattered") / "fields.h5"
    with open_fields(path) as fields, h5py.File(path) as file:
        assert fields.reference_frames("p") == [3]
        assert fields.reference_frames("speed") == [0, 1, 2, 3, 4]
        for got, stored in (
            (fields.picture("p", 3, reference=True), file["reference/p"][0]),
            (fields.picture("p", 3), file["p"][3]),
            (fields.series("p")[3], file["p"][3]),
        ):
            np.testing.assert_array_equal(got, stored - np.mean(stored))
        np.testing.assert_array_equal(fields.picture("u", 3), file["u"][3])


def test_speed_is_the_length_of_all_components(reported: Reported) -> None:
    path = reported("grid_3d") / "fields.h5"
    with open_fields(path) as fields, h5py.File(path) as file:
        parts = [file[name][1, :, :, 3] for name in "uvw"]  # the plane in the middle of seven
        speed = np.sqrt(sum(part**2 for part in parts))
        np.testing.assert_allclose(fields.picture("speed", 1), speed, rtol=1e-15)
        assert "0.5" in fields.plane_note


def test_scattered_points_in_space_are_drawn_near_the_middle(reported: Reported) -> None:
    path = reported("scattered_3d") / "fields.h5"
    with open_fields(path) as fields, h5py.File(path) as file:
        drawn = fields.picture("u", 0)
        z = file["z"][...]
        nearest = np.argsort(np.abs(z - (z.min() + z.max()) / 2))[: drawn.size]
        assert 200 <= drawn.size < 300
        assert set(drawn) == set(file["u"][0][nearest])


def test_large_grids_are_thinned(tmp_path: Path) -> None:
    path = tmp_path / "fields.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"steady": True, "grid": True, "names": "a,b", "residual_names": ""})
        file["x"], file["y"] = np.linspace(0, 1, 1500), np.linspace(0, 1, 9)
        for name in ("a", "b"):
            file[name] = np.zeros((1500, 9))
    with open_fields(path) as fields:
        assert fields.picture("a", 0).shape == (500, 9)
        assert fields.series("b").shape == (1, 13500)
        assert not fields.has_reference
        assert fields.residual_names == ()
        assert (fields.main, fields.quantities) == ("a", ("a", "b"))
