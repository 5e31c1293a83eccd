"""The picture of a choice of sensors: what is drawn, and what its caption and its text for screen readers say."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.report.panels import to_pixels, to_png
from pinnx.report.sensor_maps import draw_placement

X, Y, Z = np.linspace(0.0, 2.0, 7), np.linspace(0.0, 1.0, 5), np.linspace(0.0, 1.0, 3)


def drawn(picture: object) -> np.ndarray:
    """What the colours stand for."""
    ax = picture.figure.axes[0]
    (mesh,) = (*ax.images, *ax.collections)[:1]  # an image on an even grid, else a mesh
    return np.asarray(mesh.get_array()).ravel()


def test_draws_the_standard_deviation_of_a_grid(rng: np.random.Generator) -> None:
    values = rng.normal(size=(6, 35, 1)).astype(np.float32)
    sensors = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 0.5]])
    picture = draw_placement((X, Y), values, sensors, ("T",), grid=True)
    np.testing.assert_allclose(drawn(picture), values[..., 0].astype(float).std(axis=0).reshape(7, 5).T.ravel())
    assert [text.get_text() for text in picture.figure.axes[0].texts] == ["1", "2", "3"]
    assert "standard deviation of T over 6 snapshots" in picture.caption.replace("\u00a0", " ")
    assert "2 at (2, 1)" in picture.alt
    assert to_png(to_pixels(picture.figure, 30), 30).startswith(b"\x89PNG")


def test_draws_the_only_snapshot_with_its_sign(rng: np.random.Generator) -> None:
    values = rng.normal(size=(1, 35, 1))
    picture = draw_placement((X, Y), values, np.array([[1.0, 0.5]]), ("T",), grid=True)
    np.testing.assert_array_equal(drawn(picture), values[0, :, 0].reshape(7, 5).T.ravel())
    vector = draw_placement((X, Y), rng.normal(size=(1, 35, 2)), np.array([[1.0, 0.5]]), ("u", "v"), grid=True)
    assert (drawn(vector) >= 0.0).all()
    assert "|(u, v)|" in vector.caption


@pytest.mark.parametrize("grid", [True, False])
def test_three_dimensions_are_drawn_in_a_plane(rng: np.random.Generator, grid: bool) -> None:
    axes = (X, Y, Z) if grid else tuple(rng.uniform(size=(3, 500)))
    values = rng.normal(size=(4, 105 if grid else 500, 3))
    picture = draw_placement(axes, values, rng.uniform(size=(5, 3)), ("u", "v", "w"), grid=grid)
    assert "z\u00a0=" in picture.caption
    assert to_png(to_pixels(picture.figure, 30), 30).startswith(b"\x89PNG")


def test_blocks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    values = rng.normal(size=(4, 35, 2))
    whole = drawn(draw_placement((X, Y), values, np.array([[1.0, 0.5]]), ("u", "v"), grid=True))
    monkeypatch.setattr("pinnx.report.sensor_maps._BLOCK", 4)
    parts = drawn(draw_placement((X, Y), values, np.array([[1.0, 0.5]]), ("u", "v"), grid=True))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(whole, np.sqrt(values.var(axis=0).sum(axis=1)).reshape(7, 5).T.ravel())
