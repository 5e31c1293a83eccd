"""Boundary conditions: points on their place, fresh and reproducible; targets; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from pinnx.errors import PinnxError
from pinnx.physics.boundary import BoundaryCondition, boundary_conditions
from pinnx.physics.geometry import SIDES, Circle, Side, axes_of
from pinnx.physics.point_sets import PointSet

SQUARE = {"x": (-1.0, 2.0), "y": (0.0, 1.0)}
UNSTEADY = {"t": (5.0, 9.0), **SQUARE}
BOX = {"x": (-1.0, 2.0), "y": (0.0, 1.0), "z": (2.0, 4.0)}
UNSTEADY_BOX = {"z": (2.0, 4.0), "t": (5.0, 9.0), "y": (0.0, 1.0), "x": (-1.0, 2.0)}
CLOUD = np.array([[0.5, 0.5], [0.0, 0.0], [1.0, 0.25], [-1.0, 1.0], [2.0, 1.0]])


def places(bounds: dict[str, tuple[float, float]]) -> list[object]:
    circle = Circle((0.5, 0.5), 0.25)
    cloud = CLOUD if "z" not in bounds else np.insert(CLOUD, 2, 3.0, axis=1)
    return [Side("left"), Side("top"), circle, PointSet(cloud)]


@pytest.mark.parametrize("bounds", [SQUARE, UNSTEADY, BOX, UNSTEADY_BOX])
def test_points_depend_on_seed_step_and_number_alone(bounds: dict) -> None:
    for place in places(bounds):
        condition = BoundaryCondition(place, {"u": 1.0}, bounds)
        points = condition.sampler(64, seed=3)(7)
        assert points.shape == (64, len(bounds))
        assert points.dtype == np.float64
        np.testing.assert_array_equal(points, condition.sampler(64, seed=3)(7))
        np.testing.assert_array_equal(points[:20], condition.sampler(20, seed=3)(7))
        rest = condition.sampler(44, seed=3, first_index=20)(7)
        np.testing.assert_array_equal(points[20:], rest)
        for other in ({"seed": 4, "step": 7}, {"seed": 3, "step": 8}):
            step = other.pop("step")
            assert not np.array_equal(points, condition.sampler(64, **other)(step))
        assert condition.sampler(0, seed=3)(7).shape == (0, len(bounds))


@pytest.mark.parametrize("bounds", [SQUARE, UNSTEADY, BOX, UNSTEADY_BOX])
@pytest.mark.parametrize("name", SIDES)
def test_side_is_its_face_and_covers_it(name: str, bounds: dict, seed: int) -> None:
    axis, end = SIDES[name]
    if axis not in bounds:
        with pytest.raises(PinnxError, match=f"side {name}: is on axis {axis}, but the domain"):
            BoundaryCondition(Side(name), {"u": 0.0}, bounds)
        return
    axes = axes_of(bounds)
    assert axes == tuple(a for a in "txyz" if a in bounds)
    condition = BoundaryCondition(Side(name), {"u": 0.0}, bounds)
    num = 4096
    points = condition.sampler(num, seed=seed)(0)
    regular = condition.validation_points(100)
    assert len(regular) >= 100
    for column, other in enumerate(axes):
        low, high = bounds[other]
        if other == axis:
            assert (points[:, column] == bounds[axis][end]).all()
            assert (regular[:, column] == bounds[axis][end]).all()
            continue
        unit = (points[:, column] - low) / (high - low)
        assert unit.min() >= 0.0
        assert unit.max() < 1.0
        assert abs(unit.mean() - 0.5) < tolerances.uniform_mean(num)
        assert regular[:, column].min() == low
        assert regular[:, column].max() == high


@pytest.mark.parametrize("bounds", [SQUARE, UNSTEADY_BOX])
def test_circle_is_uniform_in_angle(bounds: dict, seed: int) -> None:
    condition = BoundaryCondition(Circle((0.5, 0.5), 0.25), {"u": 0.0, "v": 0.0}, bounds)
    num = 4096
    points = condition.sampler(num, seed=seed)(1)
    x, y = (points[:, axes_of(bounds).index(axis)] - 0.5 for axis in ("x", "y"))
    np.testing.assert_allclose(np.hypot(x, y), 0.25, rtol=tolerances.CIRCLE_RADIUS)
    turns = np.arctan2(y, x) / (2 * np.pi) % 1.0
    assert abs(turns.mean() - 0.5) < tolerances.uniform_mean(num)
    if "z" in bounds:
        z = points[:, axes_of(bounds).index("z")]
        assert abs((z.mean() - 2.0) / 2.0 - 0.5) < tolerances.uniform_mean(num)


def test_points_of_an_index_set_are_those_and_all_of_them(seed: int) -> None:
    index_sets = {"wall": np.array([4, 0, 2])}
    for bounds in (SQUARE, UNSTEADY):
        (condition,) = boundary_conditions(
            [{"where": {"index": "wall"}, "u": 0.0}], bounds, points=CLOUD, index_sets=index_sets
        )
        wanted = {tuple(place) for place in CLOUD[[4, 0, 2]]}
        points = condition.sampler(200, seed=seed)(0)
        assert {tuple(place) for place in points[:, -2:]} == wanted
        regular = condition.validation_points(1)
        assert {tuple(place) for place in regular[:, -2:]} == wanted
        if bounds is UNSTEADY:
            assert points[:, 0].min() >= 5.0
            assert points[:, 0].max() < 9.0
            assert set(regular[:, 0]) == {5.0, 9.0}
            assert len(condition.validation_points(31)) >= 31


def test_expression_selects_data_points() -> None:
    where = {"side": None, "expression": "abs(x) <= 1 and y > 0.2"}
    (condition,) = boundary_conditions([{"where": where, "v": 2.0}], SQUARE, points=CLOUD)
    regular = condition.validation_points(1)
    np.testing.assert_array_equal(regular, CLOUD[[0, 2, 3]])


def test_expression_with_time_is_an_initial_condition() -> None:
    times = np.array([5.0, 7.0, 9.0])
    entry = {"where": {"expression": "t < 6 and x > 0.2"}, "u": "x * (t - 4)"}
    (condition,) = boundary_conditions([entry], UNSTEADY, points=CLOUD, times=times)
    regular = condition.validation_points(1)
    np.testing.assert_array_equal(regular, np.insert(CLOUD[[0, 2, 4]], 0, 5.0, axis=1))
    values, mask = condition.targets(regular)
    np.testing.assert_array_equal(values[:, 0], CLOUD[[0, 2, 4], 0])
    assert mask.tolist() == [True, False, False]


def test_targets_and_mask() -> None:
    condition = BoundaryCondition(Side("left"), {"u": "4*y*(1-y)", "v": 0, "w": None, "p": "2*t"}, UNSTEADY)
    points = condition.sampler(10, seed=0)(0)
    values, mask = condition.targets(points)
    assert mask.tolist() == [True, True, True]
    np.testing.assert_array_equal(values[:, 0], 4 * points[:, 2] * (1 - points[:, 2]))
    np.testing.assert_array_equal(values[:, 1], 0.0)
    np.testing.assert_array_equal(values[:, 2], 2 * points[:, 0])
    spatial = BoundaryCondition(Side("front"), {"w": 3.0}, BOX)
    values, mask = spatial.targets(spatial.sampler(4, seed=0)(0))
    assert mask.tolist() == [False, False, True, False]
    np.testing.assert_array_equal(values, [[0.0, 0.0, 3.0, 0.0]] * 4)


def test_a_wrong_field_misses_the_targets() -> None:
    """The largest error over the validation points sees a deviation at the very end of a side."""
    condition = BoundaryCondition(Side("top"), {"u": "1 - x**2"}, SQUARE)
    points = condition.validation_points(50)
    values, _ = condition.targets(points)
    x = points[:, 0]
    assert np.abs(1 - x**2 - values[:, 0]).max() == 0.0
    assert np.abs(1 - x**2 + 0.1 * (x == 2.0) - values[:, 0]).max() > 0.09


def test_conditions_draw_from_streams_of_their_own() -> None:
    entries = [{"where": {"side": name}, "u": 0.0} for name in ("left", "right")]
    left, right = boundary_conditions(entries, SQUARE)
    y_left = left.sampler(16, seed=0)(0)[:, 1]
    y_right = right.sampler(16, seed=0)(0)[:, 1]
    assert not np.isclose(y_left, y_right).any()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"where": {"side": "up"}, "u": 0.0}, "side: expected one of left, right, bottom, top"),
        ({"where": {"side": "front"}, "u": 0.0}, "side front: is on axis z, but the domain has"),
        ({"where": {"side": "left"}}, "left: expected a value for one of u, v, p, got none"),
        ({"where": {"side": "left"}, "w": 1.0}, "left: expected values for u, v, p; got 'w'"),
        ({"where": {"side": "left"}, "u": "z"}, "expression 'z': uses z, but the coordinates"),
        ({"where": {"side": "left"}, "u": "1/y"}, "expected finite values, got inf at x=-1, y=0"),
        ({"where": {"side": "left"}, "u": "y < 1"}, "expected a number, got a condition"),
        (
            {"where": {"circle": {"center": [0, 0.5], "radius": 0.6}}, "u": 0.0},
            "circle at (0, 0.5) of radius 0.6: expected to lie inside the domain, but it leaves y",
        ),
        (
            {"where": {"circle": {"center": [0, 0.5], "radius": 0}}, "u": 0.0},
            "circle: expected a radius > 0, got 0",
        ),
        (
            {"where": {"index": "wal"}, "u": 0.0},
            "index: expected the name of an index set (empty, wall), got 'wal'",
        ),
        ({"where": {"index": "empty"}, "u": 0.0}, "index empty: expected points [k, d], k >= 1"),
        (
            {"where": {"expression": "x > 99"}, "u": 0.0},
            "expression 'x > 99': expected to select points, got none of 5",
        ),
        ({"where": {"expression": "x"}, "u": 0.0}, "expected a condition"),
        ({"where": {"expression": "t < 1"}, "u": 0.0}, "uses t, but the coordinates are x, y"),
        ({"where": {"side": "left", "index": "wall"}, "u": 0.0}, "expected exactly one of side"),
        ({"where": {"edge": "left"}, "u": 0.0}, "expected side, section, circle, hole, index or expression"),
    ],
)
def test_refuses(entry: dict, message: str) -> None:
    index_sets = {"wall": np.array([1]), "empty": np.array([], dtype=np.int64)}
    good = {"where": {"side": "left"}, "u": 0.0}
    with pytest.raises(PinnxError) as caught:
        boundary_conditions([good, entry], SQUARE, points=CLOUD, index_sets=index_sets)
    assert str(caught.value).startswith("boundaries.1: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_points_without_data_and_wrong_columns() -> None:
    with pytest.raises(PinnxError, match="needs the points of a flow field"):
        boundary_conditions([{"where": {"index": "wall"}, "u": 0.0}], SQUARE)
    with pytest.raises(PinnxError, match=r"expected shape \[n, 2\] \(x, y\), got \[3, 3\]"):
        BoundaryCondition(Side("left"), {"u": 0.0}, SQUARE).targets(np.zeros((3, 3)))
    with pytest.raises(PinnxError, match="points with the columns x, y, z, got 2 columns"):
        BoundaryCondition(PointSet(CLOUD), {"u": 0.0}, BOX)
    with pytest.raises(PinnxError, match="bounds: expected x, y and perhaps z, t; got x"):
        BoundaryCondition(Side("left"), {"u": 0.0}, {"x": (0.0, 1.0)})
