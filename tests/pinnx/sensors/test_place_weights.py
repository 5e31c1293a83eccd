"""Areas of points: they add up to the domain, on grids, scattered, with holes and at every size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.sensors import cell_areas, place_weights
from pinnx.sensors.place_weights import areas_and_inner_walls


def lattice(*lines: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(lines))


UNEVEN = np.linspace(0.0, 1.0, 21) ** 2


SOLID = (np.linspace(0.0, 1.0, 9) ** 1.5, np.linspace(0.0, 1.0, 6), np.linspace(-1.0, 2.0, 16))


@pytest.mark.parametrize("lines", [(UNEVEN, UNEVEN[:11]), SOLID], ids=len)
def test_grids_and_the_same_points_scattered(lines: tuple[np.ndarray, ...]) -> None:
    points, shape = lattice(*lines), tuple(line.size for line in lines)
    box = float(np.prod([np.ptp(line) for line in lines]))
    on_grid, scattered = cell_areas(points, shape), cell_areas(points)
    assert on_grid.sum() == pytest.approx(box)
    assert scattered.sum() == pytest.approx(box, rel=1e-3)
    inside = ((points > points.min(axis=0)) & (points < points.max(axis=0))).all(axis=1)
    ratio = scattered[inside] / on_grid[inside]
    # Where corners of a box are on one sphere, any of several triangulations is Delaunay's.
    assert (0.6 if len(lines) == 2 else 0.3) < ratio.min() <= ratio.max() < (1.5 if len(lines) == 2 else 2.1)


def test_points_at_one_place_share_theirs(rng: np.random.Generator) -> None:
    x = rng.uniform(size=(300, 2))
    once, twice = cell_areas(x), cell_areas(np.concatenate([x, x[:100]]))
    np.testing.assert_allclose(twice[:100], once[:100] / 2)
    np.testing.assert_array_equal(twice[:100], twice[300:])
    assert (once > 0).all()


def test_strips_agree_with_the_whole(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = lattice(np.linspace(0.0, 3.0, 91), np.linspace(0.0, 1.0, 31))
    inside = ((x > 0.0) & (x < [3.0, 1.0])).all(axis=1)
    x[inside] += rng.uniform(-0.01, 0.01, size=(int(inside.sum()), 2))
    whole = cell_areas(x)
    monkeypatch.setattr(place_weights, "STRIP_POINTS", 500)
    monkeypatch.setattr(place_weights, "OVERLAP_POINTS", 250)
    np.testing.assert_allclose(cell_areas(x), whole, rtol=1e-12)


def test_a_ring_of_flat_cells_has_a_hole() -> None:
    """A hundred times as long as high at the wall, which is no hole; the body inside is one."""
    radius = 0.5 + 2.0 * (1.12 ** np.arange(60) - 1.0) / (1.12**59 - 1.0)
    angle = np.linspace(0.0, 2.0 * np.pi, 120, endpoint=False)
    ring = np.stack([np.outer(radius, np.cos(angle)), np.outer(radius, np.sin(angle))], axis=-1).reshape(-1, 2)
    assert cell_areas(ring).sum() == pytest.approx(np.pi * (2.5**2 - 0.5**2), rel=2e-3)
    walls = areas_and_inner_walls(ring)[1]
    np.testing.assert_allclose(np.linalg.norm(ring[walls], axis=1), 0.5)
    assert walls.sum() == 120
    stretched = lattice(np.linspace(0.0, 6.0, 31), np.tanh(3.0 * np.linspace(-1.0, 1.0, 101)) / np.tanh(3.0))
    assert not areas_and_inner_walls(stretched)[1].any()


def test_real_meshes(data_dir: Path) -> None:
    step = np.load(data_dir / "backward_step_re100.npz")
    points = np.stack([step["x"], step["y"]], axis=1)
    assert cell_areas(points).sum() == pytest.approx(6.0, rel=1e-3)  # 4 x 2 without 2 x 1
    walls = points[areas_and_inner_walls(points)[1]]
    assert (walls.min(axis=0) >= [0.0, 1.0]).all()
    assert walls[:, 0].max() <= 2.0
    steady = np.load(data_dir / "steady_cylinder_re40.npz")
    points = np.stack([steady["x"], steady["y"]], axis=1)
    walls = points[areas_and_inner_walls(points)[1]]
    assert len(walls) == 80
    np.testing.assert_allclose(np.linalg.norm(walls, axis=1), 0.5, atol=1e-6)


def test_what_has_no_area_counts_alike() -> None:
    line = np.stack([np.linspace(0.0, 1.0, 7) ** 2, np.zeros(7)], axis=1)
    for points in (line, line[:1], line[:2]):
        np.testing.assert_array_equal(cell_areas(points), np.ones(len(points)))
    for wrong in (np.zeros((3, 4)), np.zeros(3), np.zeros((0, 2))):
        with pytest.raises(PinnxError, match=r"points: expected shape \[n, 2\] or \[n, 3\]"):
            cell_areas(wrong)
