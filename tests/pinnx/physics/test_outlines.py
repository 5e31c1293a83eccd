"""Bodies of every shape: signed distances, points of their lines, and what of them borders the flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.geometry import Circle, Side
from pinnx.physics.inner_points import InnerPoints
from pinnx.physics.outlines import Outline, exposed
from pinnx.physics.shapes import SHAPES, body_of, complement_of

PLANE = {"x": (0.0, 4.0), "y": (0.0, 2.0)}
BOX = {"t": (0.0, 1.0), **PLANE, "z": (0.0, 0.5)}
TRIANGLE = [[1.0, 0.5], [2.0, 0.5], [1.0, 1.5]]


def airfoil(folder: Path) -> str:
    """A diamond of thickness 0.2 in Selig's order: from the tail over the top to the nose and back."""
    (folder / "diamond.dat").write_text("DIAMOND\n1.0 0.0\n0.5 0.1\n0.0 0.0\n0.5 -0.1\n1.0 0.0\n")
    return str(folder / "diamond.dat")


def nodes_around_a_circle() -> np.ndarray:
    """Of a mesh whose cells grow from its wall, of 100 nodes, outwards."""
    angle = 2.0 * np.pi * np.arange(100) / 100
    radius = 0.5 + 0.04 * (1.25 ** np.arange(15) - 1.0)
    return np.stack([2.0 + np.outer(radius, np.cos(angle)), 1.0 + np.outer(radius, np.sin(angle))], axis=-1).reshape(
        -1, 2
    )


def given(folder: Path) -> dict[str, tuple[Any, float, tuple[float, float], tuple[float, float]]]:
    """Shape -> what is said of it, its area, a place inside, and one outside of it but in the box around it."""
    turned = {"center": [2.0, 1.0], "half_axes": [0.8, 0.2], "angle": 30.0}
    foil = {"path": airfoil(folder), "chord": 2.0, "nose": [1.0, 1.0], "angle": 0.0}
    return {
        "circle": ({"center": [2.0, 1.0], "radius": 0.5}, np.pi / 4, (2.3, 1.3), (2.4, 1.4)),
        "ellipse": (turned, np.pi * 0.16, (2.0 + 0.7 * np.cos(np.pi / 6), 1.35), (1.5, 1.2)),
        "rectangle": ({"x": [1.0, 2.0], "y": [0.5, 1.0]}, 0.5, (1.9, 0.6), (2.1, 0.6)),
        "polygon": (TRIANGLE, 0.5, (1.2, 0.7), (1.8, 1.3)),
        "airfoil": (foil, 0.4, (2.0, 1.15), (1.2, 1.15)),
        "expression": ("hypot(x - 2, y - 1) - 0.5", np.pi / 4, (2.3, 1.3), (2.4, 1.4)),
        "nodes": ((nodes_around_a_circle(), (2.0, 1.0)), np.pi / 4, (2.3, 1.3), (2.4, 1.4)),
    }


@pytest.mark.parametrize("kind", SHAPES)
def test_each_shape_has_its_area_its_sign_and_normals_into_the_flow(kind: str, tmp_path: Path, seed: int) -> None:
    say, area, inside, outside = given(tmp_path)[kind]
    body = body_of(kind, say, kind, PLANE)
    random = np.random.default_rng(seed).uniform([0.0, 0.0], [4.0, 2.0], (20_000, 2))
    share = body.contains(random, PLANE).mean()
    assert share * 8.0 == pytest.approx(area, abs=0.1)
    np.testing.assert_array_equal(body.contains(np.array([inside, outside]), PLANE), [True, False])
    signs = body.distance(random) < 0.0
    assert (signs == body.contains(random, PLANE)).all()
    line = body.at(np.linspace(0.0, 1.0, 400)[:, None], PLANE)
    assert np.abs(body.distance(line)).max() < 1e-9
    assert not body.contains(line, PLANE).any()
    away = body.off(line, np.full(len(line), 1e-3), PLANE)
    assert np.median(body.distance(away)) == pytest.approx(1e-3, rel=0.01)
    assert (body.distance(away) > 0.0).all()
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert steps.sum() == pytest.approx(body.perimeter, rel=0.01)
    solid = body.at(np.random.default_rng(seed).uniform(size=(50, 3)), BOX)
    assert np.abs(body.distance(solid[:, 1:3])).max() < 1e-9
    assert np.ptp(solid[:, 0]) > 0.5
    assert np.ptp(solid[:, 3]) > 0.2


def test_no_point_of_the_equations_is_in_a_body_of_any_shape(tmp_path: Path) -> None:
    for kind, (say, area, _, _) in given(tmp_path).items():
        body = body_of(kind, say, kind, BOX)
        points = InnerPoints(BOX, 500, seed=0, bodies=[body], walls=[body], wall_share=0.5, wall_layer=0.1)
        drawn = points.draw(3, range(500))
        assert not body.contains(drawn, BOX).any()
        free = InnerPoints(BOX, 500, seed=0).draw(3, range(500))
        assert body.contains(free, BOX).mean() == pytest.approx(area / 8.0, abs=0.05), "without it they would be"
        near = np.abs(body.distance(drawn[:, 1:3])) < 0.1
        assert near.mean() > 0.45


def test_of_a_step_only_what_borders_the_flow_is_a_wall() -> None:
    step = body_of("rectangle", {"x": [-1.0, 2.0], "y": [1.0, 3.0]}, "step", PLANE)
    entries = [
        {"where": {"hole": "step"}, "u": 0.0, "v": 0.0},
        {"where": {"side": "left"}, "u": 1.0, "v": 0.0},
        {"where": {"side": "top"}, "u": 0.0, "v": 0.0},
        {"where": {"side": "bottom", "range": [1.0, 3.0]}, "u": 0.0},
    ]
    wall, left, top, bottom = (
        condition.validation_points(500) for condition in boundary_conditions(entries, PLANE, holes={"step": step})
    )
    on_face, on_tread = np.abs(wall[:, 0] - 2.0) < 1e-3, np.abs(wall[:, 1] - 1.0) < 1e-3
    assert (on_face | on_tread).all()
    assert wall.min() > -1e-3
    assert on_face.sum() == pytest.approx(len(wall) / 3, abs=2), "uniform along 1 of 3 units of length"
    for points, column, ends in ((left, 1, (0.0, 1.0)), (top, 0, (2.0, 4.0)), (bottom, 0, (1.0, 3.0))):
        assert (points[:, column].min(), points[:, column].max()) == pytest.approx(ends, abs=1e-4)
    with pytest.raises(PinnxError, match=r"left: expected a part that borders the flow, got none"):
        exposed(Side("left"), [body_of("rectangle", {"x": [-1.0, 1.0], "y": [-1.0, 3.0]}, "all", PLANE)], PLANE)


def test_a_union_of_boxes_leaves_the_rest_as_one_body() -> None:
    boxes = [{"x": (0.0, 2.0), "y": (0.0, 1.0)}, {"x": (1.0, 4.0), "y": (0.0, 2.0)}]
    left = complement_of(boxes, "shape", PLANE)
    assert left is not None
    assert left.area == pytest.approx(1.0)
    inside = left.contains(np.array([[0.5, 1.5], [1.0 - 1e-3, 1.001], [0.5, 0.5], [1.5, 1.5]]), PLANE)
    np.testing.assert_array_equal(inside, [True, True, False, False])
    assert complement_of([PLANE], "shape", PLANE) is None
    # Two steps of different length: cells beside one another are one body, without a line between them.
    stairs = complement_of([*boxes, {"x": (0.5, 4.0), "y": (0.0, 1.5)}], "shape", PLANE)
    assert stairs is not None
    assert stairs.contains(np.array([[0.25, 1.5], [0.75, 1.75], [0.75, 1.25]]), PLANE).tolist() == [True, True, False]
    assert stairs.perimeter == pytest.approx(4.0)


@pytest.mark.parametrize("num", [7, 40, 700])
def test_the_nearest_piece_is_that_of_a_comparison_with_all(num: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    angle = np.sort(2.0 * np.pi * draw.uniform(size=num) ** 3)  # pieces of very different lengths
    line = [2.0, 1.0] + draw.uniform(0.4, 0.8, (num, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    body = Outline((line,), "star")
    places = np.concatenate(
        [draw.uniform([0.0, 0.0], [4.0, 2.0], (500, 2)), body.at(draw.uniform(size=(500, 1)), PLANE)]
    )
    from_start, piece = places[:, None] - line, np.roll(line, -1, axis=0) - line
    share = np.clip((from_start * piece).sum(axis=2) / np.square(piece).sum(axis=1), 0.0, 1.0)
    to_pieces = np.linalg.norm(from_start - share[..., None] * piece, axis=2)
    # Both subtract places near 1: a few roundings of 2e-16.
    np.testing.assert_allclose(np.abs(body.distance(places)), to_pieces.min(axis=1), rtol=0, atol=1e-14)
    (y0, y1), (x, y) = (line[:, 1], np.roll(line[:, 1], -1)), places.T[..., None]
    crossed = ((y0 <= y) != (y1 <= y)) & (line[:, 0] + (y - y0) / piece[:, 1] * piece[:, 0] > x)
    inside = (crossed.sum(axis=1) % 2 == 1) & (to_pieces.min(axis=1) > 1e-6 * body.size)
    np.testing.assert_array_equal(body.contains(places, PLANE), inside)
    assert 0 < inside.sum() < 500


def test_a_hole_in_a_body_is_flow() -> None:
    square = np.array([[1.0, 0.5], [2.0, 0.5], [2.0, 1.5], [1.0, 1.5]])
    ring = Outline((square, 0.5 * (square - [1.5, 1.0]) + [1.5, 1.0]), "ring")
    assert ring.contains(np.array([[1.1, 1.0], [1.5, 1.0]]), PLANE).tolist() == [True, False]
    inner = ring.at(np.array([[0.7], [0.9]]), PLANE)
    assert (np.linalg.norm(ring.off(inner, np.full(2, 0.1), PLANE) - [1.5, 1.0], axis=1) < 0.25).all()


@pytest.mark.parametrize(
    ("kind", "say", "message"),
    [
        ("polygon", [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], "expected corners around an area"),
        ("rectangle", {"x": [5.0, 6.0], "y": [0.0, 1.0]}, "expected to be in the domain, but it is outside"),
        ("expression", "x + 9", "negative in a part of the domain, got none"),
        ("expression", "x - t", "expected a distance in x and y, got one in x, t"),
        ("airfoil", {"path": "/no/such.dat", "chord": 1.0, "nose": [0, 0], "angle": 0.0}, "expected an airfoil file"),
    ],
)
def test_refuses_what_is_no_body(kind: str, say: Any, message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        body_of(kind, say, "it", PLANE)


def test_both_formats_of_airfoils_are_one_shape(tmp_path: Path) -> None:
    lednicer = "DIAMOND\n3. 3.\n\n0.0 0.0\n0.5 0.1\n1.0 0.0\n\n0.0 0.0\n0.5 -0.1\n1.0 0.0\n"
    (tmp_path / "other.dat").write_text(lednicer)
    say = {"chord": 2.0, "nose": [1.0, 1.0], "angle": 10.0}
    one = body_of("airfoil", {**say, "path": airfoil(tmp_path)}, "foil", PLANE)
    two = body_of("airfoil", {**say, "path": str(tmp_path / "other.dat")}, "foil", PLANE)
    assert isinstance(one, Outline)
    assert isinstance(two, Outline)
    assert one.area == pytest.approx(two.area)
    tail = np.array([1.0 + 2.0 * np.cos(np.deg2rad(10.0)), 1.0 - 2.0 * np.sin(np.deg2rad(10.0))])
    for foil in (one, two):
        assert np.abs(foil.distance(tail[None])).max() < 1e-9, "the nose up, the tail down"


def test_a_circle_that_leaves_the_domain_is_a_body_with_a_part_of_its_line() -> None:
    body = body_of("circle", {"center": [2.0, 0.0], "radius": 0.5}, "hill", PLANE)
    hill = exposed(body, [body], PLANE)
    assert isinstance(hill, Circle)
    points = hill.at(np.linspace(0.0, 1.0, 200)[:, None], PLANE)
    assert points[:, 1].min() > -1e-4
    np.testing.assert_allclose(np.hypot(points[:, 0] - 2.0, points[:, 1]), 0.5)
