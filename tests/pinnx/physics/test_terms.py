"""The terms of a flow: the points that they draw, what they prescribe there, and the numbers of their checks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import (
    BoundaryCondition,
    BoundaryValues,
    EquationTerm,
    MeasuredValues,
    NavierStokes,
    Share,
    Side,
    Term,
)

BOUNDS = {"t": (0.0, 2.0), "x": (-1.0, 1.0), "y": (0.0, 1.0)}
CHECK = {"num_points": 50, "seed": 0}


def network(values: tuple[float, float, float] | None = None) -> FourierNetwork:
    """A random network, or one that gives the same fields everywhere."""
    frequencies = random_frequencies((0.5, 0.5, 1.0), 0.5, 6, seed=0)
    made = FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, dtype=torch.float64)
    if values is not None:
        with torch.no_grad():
            made.weights[-1].zero_()
            made.biases[-1].copy_(torch.tensor(values))
    return made


def equations(**changes: object) -> EquationTerm:
    given = NavierStokes(2, steady=False, nu=0.1, dtype=torch.float64, **changes)
    return EquationTerm(given, bounds=BOUNDS, num_points=8, seed=0)


def boundary(*conditions: BoundaryCondition, radius: float = 0.0) -> BoundaryValues:
    return BoundaryValues(conditions, 200, bounds=conditions[0].bounds, seed=11, check_radius=radius)


def numbers(term: Term, made: FourierNetwork, **check: int) -> dict[str, float | None]:
    return {item.gate: item.value for item in term.measure(made, **{**CHECK, **check})}


@pytest.mark.parametrize("timed", [False, True])
def test_boundary_points_are_the_draws_of_their_conditions(timed: bool) -> None:
    """Numbers and formulas, fixed corners and edges in time: each row as the condition by itself has it."""
    bounds = {"t": (1.0, 3.0)} if timed else {}
    bounds |= {"x": (0.0, 2.0), "y": (-1.0, 1.0)}
    values = {"left": {"u": "1 - y*y", "v": 0.0}, "top": {"u": 3.0, "v": 0.0}, "right": {"p": 0.0}}
    conditions = [BoundaryCondition(Side(name), values[name], bounds, stream=1 + i) for i, name in enumerate(values)]
    term, d = boundary(*conditions), len(bounds)
    (corner,) = term.corners
    assert corner.owner == 0, "the corner belongs to the wall, listed first"
    for step in (4, 0, 9):
        drawn = term.draw(step)
        along = uniform_points(np.zeros(d), np.ones(d), 2, seed=11, step=step, stream=(1 << 20) + 1)
        parts = [(c, c.points(200, seed=11, step=step)) for c in conditions]
        parts.append((conditions[0], corner.points(along, bounds)))
        np.testing.assert_array_equal(drawn["x"], np.concatenate([at for _, at in parts]))
        wanted = [condition.targets(at)[0] for condition, at in parts]
        np.testing.assert_array_equal(drawn["values"], np.concatenate(wanted))
        masks = [np.tile(condition.mask, (len(at), 1)) for condition, at in parts]
        np.testing.assert_array_equal(drawn["mask"], np.concatenate(masks))
        half = [term.draw(step, Share(part, 2))["x"] for part in range(2)]
        np.testing.assert_array_equal(np.concatenate(half), drawn["x"])


def test_a_share_of_the_measurements_is_drawn_anew_each_step() -> None:
    rng = np.random.default_rng(0)
    places, values = rng.uniform(size=(6, 3)), rng.normal(size=(6, 2))
    term, seen = MeasuredValues(places, values, num_points=3), set()
    for step in range(20):
        drawn = term.draw(step)
        assert drawn["x"].shape == (3, 3)
        for point, value in zip(drawn["x"], drawn["values"], strict=True):
            (row,) = np.flatnonzero((places == point).all(axis=1))
            np.testing.assert_array_equal(value, values[row])
            seen.add(int(row))
    assert seen == set(range(6))
    np.testing.assert_array_equal(MeasuredValues(places, values, num_points=60).draw(0)["x"], places)


@pytest.mark.parametrize(
    ("places", "values", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 2)), "coordinates: expected shape [k, D], k >= 1, got [0, 3]"),
        (np.zeros((6, 3)), np.zeros((5, 2)), "measurements: expected shape [6, d], got [5, 2]"),
        (np.zeros((6, 3)), np.full((6, 2), np.nan), "measurements: expected finite numbers, got NaN or infinity"),
        (np.full((6, 3), np.inf), np.zeros((6, 2)), "measurements: expected finite numbers, got NaN or infinity"),
    ],
)
def test_measurements_that_do_not_fit_are_refused(places: np.ndarray, values: np.ndarray, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        MeasuredValues(places, values)
    assert str(caught.value) == message


def test_residual_norms_are_root_mean_squares_at_points_of_their_own() -> None:
    """A body force on a constant flow is the whole residual: its length is the norm."""
    pushed, still = equations(forcing=(3.0, -4.0)), network((1.0, 0.0, 0.0))
    assert numbers(pushed, still) == {"pde_residual_l2": 5.0, "conservation": 0.0}
    assert numbers(equations(), still) == {"pde_residual_l2": 0.0, "conservation": 0.0}
    wrong = numbers(equations(), network())
    assert min(wrong.values()) > 1e-3, "a random network obeys no equation"
    assert wrong == numbers(equations(), network())
    assert wrong != numbers(equations(), network(), seed=1)


def test_boundary_error_is_the_largest_of_the_prescribed() -> None:
    made = network((1.0, 0.25, 100.0))
    lid = BoundaryCondition(Side("top"), {"u": 1.0}, BOUNDS, stream=1)
    wall = BoundaryCondition(Side("left"), {"u": "y", "v": 0.0}, BOUNDS, stream=2)
    assert numbers(boundary(lid), made) == {"boundary_error_max": 0.0}
    assert numbers(boundary(lid, wall), made) == {"boundary_error_max": 1.0}, "u at the wall's foot, an end of the side"


def test_only_the_corner_where_sides_disagree_is_left_out() -> None:
    made = network((1.0, 0.0, 0.0))
    wall = BoundaryCondition(Side("left"), {"u": "y"}, BOUNDS, stream=1)
    bottom = BoundaryCondition(Side("bottom"), {"u": 1.0}, BOUNDS, stream=2)
    (whole,), (part,) = (boundary(wall, bottom, radius=r).measure(made, **CHECK) for r in (0.0, 0.6))
    assert whole.value > part.value > 0.0, "what is wrong beside the corner still counts"
    assert part.note == "without r <= 0.6 of 1 corners where sides disagree"
    with pytest.raises(PinnxError, match=r"expected points of .* away from the corners"):
        boundary(wall, bottom, radius=9.0).measure(made, **CHECK)


def test_a_network_of_nan_has_no_error_of_zero() -> None:
    wall = BoundaryCondition(Side("left"), {"u": 0.0}, BOUNDS, stream=1)
    right = BoundaryCondition(Side("right"), {"v": 0.0}, BOUNDS, stream=2)
    made = network((math.nan, 0.0, 0.0))
    for conditions in ((wall, right), (right, wall)):
        assert math.isnan(numbers(boundary(*conditions), made)["boundary_error_max"])
    assert math.isnan(numbers(equations(), made)["pde_residual_l2"])


def test_the_misfit_at_the_sensors_is_relative() -> None:
    made, places = network((1.0, 0.0, 5.0)), np.zeros((4, 3))
    assert numbers(MeasuredValues(places, np.tile([1.0, 0.0], (4, 1))), made) == {"sensor_misfit": 0.0}
    assert numbers(MeasuredValues(places, np.tile([0.8, 0.0], (4, 1))), made)["sensor_misfit"] == pytest.approx(0.25)
    assert numbers(MeasuredValues(places, np.zeros((4, 2))), made) == {"sensor_misfit": None}, "nothing to compare"


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(PinnxError, match="equations: expected at least one point to check, got 0"):
        equations().measure(network(), num_points=0, seed=0)
    with pytest.raises(PinnxError, match="boundary: expected at least one boundary condition, got none"):
        BoundaryValues((), 9, bounds=BOUNDS, seed=0)
