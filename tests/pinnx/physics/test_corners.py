"""Corners where two sides disagree: found where they are, and only there; weights."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from pinnx.errors import PinnxError
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.corners import Corner, corner_distance, corner_weights, discontinuity_corners

SQUARE = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
WALLS = [{"where": {"side": side}, "u": 0.0, "v": 0.0} for side in ("left", "right", "bottom")]


def corners_of(lid: float | str, bounds: dict) -> tuple[Corner, ...]:
    entries = [*WALLS, {"where": {"side": "top"}, "u": lid, "v": 0.0}]
    return discontinuity_corners(boundary_conditions(entries, bounds), bounds)


def test_the_lid_meets_the_walls_in_two_corners() -> None:
    assert corners_of(1.0, SQUARE) == (
        Corner(("x", "y"), (0.0, 1.0), 1.0, owner=0),
        Corner(("x", "y"), (1.0, 1.0), 1.0, owner=1),
    )


@pytest.mark.parametrize("lid", [0.0, "16 * x**2 * (1 - x)**2", "sin(pi * x)"])
def test_a_lid_that_starts_from_zero_has_none(lid: float | str) -> None:
    assert corners_of(lid, SQUARE) == ()


def test_a_lid_that_starts_to_move_disagrees_at_some_time() -> None:
    assert len(corners_of("t", {"t": (0.0, 2.0), **SQUARE})) == 2


def test_components_that_only_one_side_prescribes_do_not_disagree() -> None:
    entries = [{"where": {"side": "left"}, "u": 1.0}, {"where": {"side": "top"}, "v": 2.0}]
    assert discontinuity_corners(boundary_conditions(entries, SQUARE), SQUARE) == ()


def test_edges_of_a_box() -> None:
    bounds = {**SQUARE, "z": (-1.0, 1.0)}
    entries = [{"where": {"side": "front"}, "u": 1.0}, {"where": {"side": "bottom"}, "u": 0.0}]
    (edge,) = discontinuity_corners(boundary_conditions(entries, bounds), bounds)
    assert edge == Corner(("y", "z"), (0.0, 1.0), 1.0, owner=0)
    points = np.array([[0.2, 0.3, 0.6], [0.9, 0.3, 0.6]])
    np.testing.assert_array_equal(corner_distance(points, (edge,), ("x", "y", "z")), [0.5, 0.5])


def test_weights_rise_smoothly_from_the_corner_to_the_radius() -> None:
    corners = corners_of(1.0, SQUARE)
    radius = 0.2
    r = np.linspace(0.0, 0.4, 401)
    points = np.stack([r * 0.6, 1.0 - r * 0.8], axis=1)
    weights = corner_weights(points, corners, ("x", "y"), radius)
    q = np.minimum(corner_distance(points, corners, ("x", "y")) / radius, 1.0)
    np.testing.assert_array_equal(weights, q * q * (3 - 2 * q))
    np.testing.assert_allclose(corner_distance(points, corners, ("x", "y")), r, atol=1e-15)
    assert weights[0] == 0.0
    assert (np.diff(weights) >= 0.0).all()
    assert (weights[r > radius] == 1.0).all()
    # The slope, at most 1.5 / R, never jumps: second differences stay at w'' h^2 <= 6 (h / R)^2.
    second = np.abs(np.diff(weights, n=2)).max()
    assert second < 6 * (0.001 / radius) ** 2 * (1 + tolerances.SECOND_DIFFERENCE)


def test_time_does_not_count_in_the_distance() -> None:
    corners = corners_of(1.0, {"t": (0.0, 2.0), **SQUARE})
    points = np.array([[0.0, 0.3, 0.6], [2.0, 0.3, 0.6]])
    distance = corner_distance(points, corners, ("t", "x", "y"))
    np.testing.assert_array_equal(distance, [0.5, 0.5])


def test_without_corners_all_points_count() -> None:
    points = np.array([[0.0, 1.0], [0.5, 0.5]])
    assert np.isinf(corner_distance(points, (), ("x", "y"))).all()
    np.testing.assert_array_equal(corner_weights(points, (), ("x", "y"), 0.1), [1.0, 1.0])


def test_refuses_a_radius_of_zero() -> None:
    with pytest.raises(PinnxError, match="corner_radius: expected a number > 0, got 0"):
        corner_weights(np.zeros((1, 2)), (), ("x", "y"), 0.0)


def test_points_of_a_corner_lie_on_its_edge() -> None:
    bounds = {"t": (0.0, 2.0), **SQUARE}
    corner = corners_of(1.0, bounds)[1]
    parameters = np.array([[0.0, 0.3, 0.9], [0.5, 0.1, 0.2]])
    np.testing.assert_array_equal(corner.points(parameters, bounds), [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
