"""Points of the equations: out of bodies, denser at walls, in a window of the time; each by its own number."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.physics import BoundaryCondition, Circle, Side
from pinnx.physics.inner_points import InnerPoints, growing_window, walls_of

PLANE = {"x": (0.0, 4.0), "y": (-1.0, 1.0)}
BOX = {"t": (2.0, 6.0), "x": (0.0, 4.0), "y": (-1.0, 1.0), "z": (0.0, 0.5)}
CYLINDER = Circle((1.0, 0.0), 0.8)


def whole(points: InnerPoints, step: int) -> np.ndarray:
    return points.draw(step, range(points.num))


def from_body(points: np.ndarray, bounds: dict) -> np.ndarray:
    x, y = (points[:, list(bounds).index(axis)] for axis in "xy")
    return np.hypot(x - 1.0, y)


def test_without_anything_they_are_uniform_points_of_the_box() -> None:
    for bounds in (PLANE, BOX):
        low, high = np.array(list(bounds.values())).T
        np.testing.assert_array_equal(
            whole(InnerPoints(bounds, 50, seed=4), 9), uniform_points(low, high, 50, seed=4, step=9)
        )


@pytest.mark.parametrize("sampling", ["uniform", "latin_hypercube", "sobol"])
@pytest.mark.parametrize("bounds", [PLANE, BOX])
def test_none_is_inside_a_body(bounds: dict, sampling: str, seed: int) -> None:
    given = {"seed": seed, "sampling": sampling}
    beside, through = (InnerPoints(bounds, 2000, **given, bodies=bodies) for bodies in ([CYLINDER], []))
    points, before = whole(beside, 3), whole(through, 3)
    inside = from_body(before, bounds) < 0.8
    assert inside.mean() == pytest.approx(np.pi * 0.64 / 8, abs=0.03), "a body's share of the box: it would show"
    assert (from_body(points, bounds) >= 0.8 * (1 - 1e-6)).all()
    np.testing.assert_array_equal(points[~inside], before[~inside])
    # Those drawn again are spread over all that is left: right of the body as much as its share.
    share = 2.2 * 2 / (8 - np.pi * 0.64)
    again = points[inside][:, list(bounds).index("x")]
    assert (again > 1.8).mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / inside.sum()))
    assert beside.in_flow(beside.candidates(3, 500)).all()


@pytest.mark.parametrize("sampling", ["uniform", "latin_hypercube", "sobol"])
def test_each_point_depends_on_its_number_alone(sampling: str) -> None:
    def make() -> InnerPoints:
        walls = (Side("bottom"), CYLINDER)
        given = {"bodies": [CYLINDER], "walls": walls, "wall_share": 0.4, "wall_layer": 0.2}
        return InnerPoints(BOX, 101, seed=1, sampling=sampling, **given, window=lambda step: 0.5)

    points = make()
    parts = [points.draw(5, rows) for rows in (range(90, 101), range(0), range(30), range(30, 90))]
    np.testing.assert_array_equal(np.concatenate([parts[2], parts[3], parts[1], parts[0]]), whole(make(), 5))


@pytest.mark.parametrize("bounds", [PLANE, BOX])
def test_points_of_walls_are_in_their_layer_and_denser_towards_them(bounds: dict, seed: int) -> None:
    walls = (Side("bottom"), Side("top"), CYLINDER)
    points = InnerPoints(bounds, 4000, seed=seed, walls=walls, wall_share=0.3, wall_layer=0.1)
    drawn, without = whole(points, 2), whole(InnerPoints(bounds, 4000, seed=seed), 2)
    np.testing.assert_array_equal(drawn[:2800], without[:2800])
    y = drawn[:, list(bounds).index("y")]
    distances = [y[2800:3200] + 1.0, 1.0 - y[3200:3600], from_body(drawn[3600:], bounds) - 0.8]
    for distance in distances:
        assert distance.min() > -1e-12
        assert distance.max() < 0.1
        # distance = 0.1 U^2: a median of a quarter of the layer, where uniform points have half.
        assert np.median(distance) == pytest.approx(0.025, abs=0.008)
    low, high = np.array(list(bounds.values())).T
    assert ((drawn >= low) & (drawn <= high)).all()
    for column in range(len(bounds)):  # along the wall they are uniform
        if list(bounds)[column] in "txz":
            unit = (drawn[2800:3600, column] - low[column]) / (high - low)[column]
            assert unit.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 800))


def test_the_window_of_the_time_grows() -> None:
    shares = [growing_window(step, windows=4, last_step=60.0) for step in (0, 19, 20, 39, 40, 59, 60, 1000)]
    assert shares == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0]
    walls = {"walls": [Side("bottom")], "wall_share": 0.5, "wall_layer": 0.1}
    points = InnerPoints(BOX, 400, seed=0, window=lambda step: 0.25 if step < 5 else 1.0, **walls)
    for step, last in ((4, 3.0), (5, 6.0)):
        for drawn in (whole(points, step)[:200], whole(points, step)[200:], points.candidates(step, 200)):
            assert last - 0.2 * (last - 2.0) < drawn[:, 0].max() <= last
            assert drawn[:, 0].min() >= 2.0


def test_walls_are_what_no_flow_crosses() -> None:
    def condition(where: Side | Circle, values: dict, **more: float) -> BoundaryCondition:
        return BoundaryCondition(where, values, PLANE, **more)

    stream = condition(Side("bottom"), {"u": 1.0, "v": 0.0}, weight=0.01)
    assert stream.rough
    lid = condition(Side("top"), {"u": 1.0, "v": 0.0})
    inlet, outlet = condition(Side("left"), {"u": "1 - y*y", "v": 0.0}), condition(Side("right"), {"p": 0.0})
    symmetry, body = condition(Side("bottom"), {"v": 0.0}), condition(CYLINDER, {"u": "-y", "v": "x - 1"})
    assert walls_of([lid, inlet, outlet, symmetry, body, stream]) == (CYLINDER, Side("top"))


def test_what_leaves_no_points_is_refused() -> None:
    with pytest.raises(PinnxError, match="walls: expected a side or circle with a velocity that does not cross"):
        InnerPoints(PLANE, 10, seed=0, wall_share=0.1)
    with pytest.raises(PinnxError, match="bodies: expected room for the flow beside them, got none"):
        InnerPoints(PLANE, 10, seed=0, bodies=[Circle((2.0, 0.0), 3.0)])
    for num in (0, -3, 2.5):
        with pytest.raises(PinnxError, match=f"points: expected an integer >= 1 of them in a step, got {num}"):
            InnerPoints(PLANE, num, seed=0)
    with pytest.raises(PinnxError, match=r"bounds of x: expected finite low < high, got 1.0 and 0.0"):
        InnerPoints({"x": (1.0, 0.0)}, 10, seed=0)
