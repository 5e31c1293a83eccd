"""The terms of a flow: the points that they draw, what they prescribe there, and the numbers of their checks."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, verify
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import (
    WHOLE,
    BoundaryCondition,
    BoundaryValues,
    Circle,
    Corner,
    EquationTerm,
    Measured,
    MeasuredValues,
    NavierStokes,
    Share,
    Side,
    Term,
)
from pinnx.physics.concentration import concentration

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
    given = NavierStokes(2, steady=False, dtype=torch.float64, **{"nu": 0.1, **changes})
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
        parts = [(c, c.sampler(200, seed=11)(step)) for c in conditions]
        parts.append((conditions[0], corner.at(along, bounds)))
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
        (np.zeros((6, 3)), np.zeros((5, 2)), "measurements: expected shape [6, c], got [5, 2]"),
        (
            np.zeros((6, 3)),
            np.full((6, 2), np.nan),
            "measurements: expected a finite number in each row, got one of NaN",
        ),
        (np.zeros((6, 3)), np.full((6, 2), np.inf), "measurements: expected finite numbers, got NaN or infinity"),
        (np.full((6, 3), np.inf), np.zeros((6, 2)), "measurements: expected finite numbers, got NaN or infinity"),
    ],
)
def test_measurements_that_do_not_fit_are_refused(places: np.ndarray, values: np.ndarray, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        MeasuredValues(places, values)
    assert str(caught.value).startswith(message)


def test_residual_norms_are_root_mean_squares_at_points_of_their_own() -> None:
    """A body force on a constant flow is the whole residual: its length is the norm."""
    pushed, still = equations(forcing=(3.0, -4.0)), network((1.0, 0.0, 0.0))
    nothing = {"conservation": 0.0, "viscosity_misfit": None}
    assert numbers(pushed, still) == {"pde_residual_l2": 5.0, **nothing}
    assert numbers(equations(), still) == {"pde_residual_l2": 0.0, **nothing}
    wrong = numbers(equations(), network())
    assert min(wrong.values()) > 1e-3, "a random network obeys no equation"
    assert wrong == numbers(equations(), network())
    assert wrong != numbers(equations(), network(), seed=1)


def test_a_flow_without_a_viscous_force_tells_no_viscosity() -> None:
    def verdict(flow: FourierNetwork) -> Check:
        checks = verify(equations(nu=1.0).measure(flow, **CHECK))
        return next(item for item in checks if item.name == "viscosity_misfit")

    still, random = verdict(network((1.0, 0.0, 0.0))), verdict(network())
    assert (still.status, still.passed) == ("not checked", False)
    assert still.note.startswith("any value has the same flow")
    assert random.status != "not checked"


def test_a_viscosity_far_off_may_be_the_units() -> None:
    def note(nu: float) -> str:
        found = equations(nu=nu).measure(network(), num_points=1, seed=3)
        return next(item.note for item in found if item.gate == "viscosity_misfit")

    assert note(1.0) == "what the fields ask for, over what is used: 0.668"
    assert note(1e-3) == "what the fields ask for, over what is used: 668; wrong viscosity or units"


def test_boundary_error_is_the_largest_of_the_prescribed() -> None:
    made = network((1.0, 0.25, 100.0))
    lid = BoundaryCondition(Side("top"), {"u": 1.0}, BOUNDS, stream=1)
    wall = BoundaryCondition(Side("left"), {"u": "y", "v": 0.0}, BOUNDS, stream=2)
    assert numbers(boundary(lid), made) == {"boundary_error_max": 0.0}
    assert numbers(boundary(lid, wall), made) == {"boundary_error_max": 1.0}, "u at the wall's foot, an end of the side"
    (found,) = boundary(lid, wall).measure(made, **CHECK)
    assert (found.worst, found.worst_at) == (1.0, (-1.0, 0.0, 0.0)), "x, y, then the time"
    said = re.fullmatch(
        r"It is learned at points, as a penalty\. Without the worst 5 % of the points it is ([\d.]+)\. "
        r"Largest at: left 1, top 0\.",
        found.why,
    )
    assert said is not None, found.why
    assert 0.8 < float(said[1]) < 1.0, "of the wall's points 10 % are below y = 0.1, of all points half as many"


def test_only_the_corner_where_sides_disagree_is_left_out() -> None:
    made = network((1.0, 0.0, 0.0))
    wall = BoundaryCondition(Side("left"), {"u": "y"}, BOUNDS, stream=1)
    bottom = BoundaryCondition(Side("bottom"), {"u": 1.0}, BOUNDS, stream=2)
    (whole,), (part,) = (boundary(wall, bottom, radius=r).measure(made, **CHECK) for r in (0.0, 0.6))
    assert whole.value > part.value > 0.0, "what is wrong beside the corner still counts"
    assert part.everywhere == whole.everywhere == 1.0, "both figures are shown"
    assert np.hypot(part.worst_at[0] + 1.0, part.worst_at[1]) > 0.6 > np.hypot(whole.worst_at[0] + 1, whole.worst_at[1])
    assert part.note == "without points within 0.6 of the corner where two sides disagree"
    with pytest.raises(PinnxError, match=r"expected points of .* away from the corners"):
        boundary(wall, bottom, radius=9.0).measure(made, **CHECK)


def test_residuals_near_such_a_corner_are_shown_and_not_judged() -> None:
    made, given = network(), NavierStokes(2, steady=False, nu=0.1, dtype=torch.float64)
    corner = Corner(("x", "y"), (-1.0, 0.0), jump=1.0, owner=0)

    def judged(radius: float) -> list[Measured]:
        term = EquationTerm(given, bounds=BOUNDS, num_points=8, seed=0, corners=(corner,), check_radius=radius)
        return term.measure(made, **CHECK)

    plain = equations().measure(made, **CHECK)
    for item, whole in zip(judged(0.8)[:2], plain, strict=False):
        assert item.everywhere == whole.value != item.value > 0.0
        assert item.note == "without points within 0.8 of the corner where two sides disagree"
        assert (whole.everywhere, whole.note) == (None, "")
        assert whole.worst >= item.worst >= item.value, "the largest of the numbers that count"
        x, y, time = item.worst_at
        assert np.hypot(x + 1.0, y) > 0.8
        assert [low <= at <= high for at, (low, high) in zip((time, x, y), BOUNDS.values(), strict=True)] == [True] * 3
    assert judged(0.8)[2].value != plain[2].value
    assert [item.value for item in judged(9.0)] == [None] * 3, "nothing was left to check"


def test_a_residual_says_where_it_is() -> None:
    """Few points beside a side, a time or a body; or all over. A place that many of all points are near is none."""
    places = dict(zip(BOUNDS, uniform_points(*np.array(list(BOUNDS.values())).T, 1000, seed=3, step=0).T, strict=True))
    body = Circle((0.0, 0.5), 0.2)
    beside = {
        "the right side": places["x"] > 0.95,
        "the first time": places["t"] < 0.05,
        "the circle at (0, 0.5) of radius 0.2": np.abs(np.hypot(places["x"], places["y"] - 0.5) - 0.2) < 0.02,
    }
    for name, rows in beside.items():
        said = concentration(1e-6 + 1.0 * rows, places, BOUNDS, [body])
        assert said.startswith("5 % of the points hold "), said
        assert re.search(rf"\. Of these points are .*\d % beside {re.escape(name)}[.,]", said), said
    even = concentration(np.ones(1000), places, BOUNDS)
    assert even == "5 % of the points hold 5 % of its square; without them it is 1. They are spread over the domain."
    few = concentration(np.where(np.arange(1000) < 50, 100.0, 1e-4), places, BOUNDS)
    assert few.startswith("5 % of the points hold 100 % of its square; without them it is 0.01. ")
    assert concentration(np.zeros(1000), places, BOUNDS) == ""
    (momentum, mass, _) = equations().measure(network(), **CHECK)
    for item in (momentum, mass):
        assert item.why.startswith("It is the network's own, whose derivatives are exact: no grid adds to it. 5 % of ")


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


def test_the_largest_misfit_at_the_sensors_has_a_place() -> None:
    """It counts as the norm does: four equal misfits have the size of the norm, one of four is twice as large."""
    made, places = network((1.0, 0.0, 5.0)), np.arange(12.0).reshape(4, 3)
    values = np.tile([1.0, 0.0], (4, 1))
    values[2, 0] = 0.5
    (found,) = MeasuredValues(places, values, axes=("t", "x", "y")).measure(made, **CHECK)
    size = np.sqrt(3.25)
    assert (found.value, found.worst) == (pytest.approx(0.5 / size), pytest.approx(0.5 * 2.0 / size))
    assert found.worst_at == (7.0, 8.0, 6.0), "x, y, then the time"
    (found,) = MeasuredValues(places, np.tile([0.8, 0.0], (4, 1))).measure(made, **CHECK)
    assert (found.worst, found.worst_at) == (pytest.approx(found.value), None), "nothing names the axes"
    pressures = np.column_stack([values, [NAN, 1.0, NAN, 5.0]])  # worse than the velocity, and known at two places
    (found,) = MeasuredValues(places, pressures, vector=2, axes=("t", "x", "y")).measure(made, **CHECK)
    assert found.worst == pytest.approx(4.0 * np.sqrt(2.0 / 26.0))
    assert found.worst_at == (4.0, 5.0, 3.0)
    with torch.no_grad():
        made.biases[-1].fill_(NAN)
    (found,) = MeasuredValues(places, values, axes=("t", "x", "y")).measure(made, **CHECK)
    assert math.isnan(found.value)


NAN = math.nan


def loss_of(term: MeasuredValues, made: FourierNetwork, step: int, share: Share = WHOLE) -> torch.Tensor:
    drawn = term.draw(step, share)
    points = {name: torch.from_numpy(array) for name, array in (drawn | {"x": made.inputs(drawn["x"])}).items()}
    return term.loss(made, points, torch.ones(1, dtype=torch.float64)).total


@pytest.mark.parametrize("num_points", [None, 2])
@pytest.mark.parametrize(
    ("values", "lengths", "squares"),
    [
        ([[1.0, NAN], [3.0, NAN], [2.0, NAN]], None, [4.0, 0.0, 1.0]),  # u alone
        ([[1.0, 2.0], [NAN, 4.0], [3.0, 6.0]], None, [4.0 + 4.0, 0.0, 0.0 + 4.0]),  # one component is missing once
        ([[NAN, NAN]] * 3, [5.0, 7.0, 5.5], [0.0, 4.0, 0.25]),  # speed alone
        ([[NAN, NAN, 9.0], [3.0, 4.0, NAN], [NAN, NAN, 7.0]], None, [4.0, 0.0, 0.0]),  # pressure at some places
        ([[NAN, NAN, 9.0], [NAN] * 3, [3.0, 4.0, 7.0]], [NAN, 4.0, NAN], [4.0, 1.0, 0.0]),  # of everything something
    ],
)
def test_what_was_not_measured_does_not_count(
    values: list[list[float]], lengths: list[float] | None, squares: list[float], num_points: int | None
) -> None:
    """The network is (3, 4, 7) everywhere: a speed of 5."""
    made, places = network((3.0, 4.0, 7.0)), np.arange(9.0).reshape(3, 3) / 9
    behind = None if lengths is None else np.array(lengths)
    term = MeasuredValues(places, np.array(values), lengths=behind, vector=2, num_points=num_points)
    numbers = (~np.isnan(np.column_stack([values, *([] if behind is None else [behind])]))).sum()
    for step in range(3):
        drawn = term.draw(step)
        rows = [int(np.flatnonzero((places == x).all(1))[0]) for x in drawn["x"]]
        wanted = sum(squares[row] for row in rows) / (numbers * len(rows) / 3)
        assert loss_of(term, made, step).item() == pytest.approx(wanted, rel=1e-12)
        assert set(drawn) == {"x", "values", "mask"}


def test_shares_of_what_was_measured_add_up() -> None:
    made, places = network(), np.random.default_rng(3).uniform(size=(5, 3))
    values = np.array([[1.0, NAN, NAN], [NAN, 2.0, NAN], [0.5, 0.5, NAN], [NAN, NAN, 3.0], [NAN, NAN, NAN]])
    term = MeasuredValues(places, values, lengths=np.array([NAN, NAN, 1.0, NAN, 2.0]), vector=2, num_points=4)

    parts = [loss_of(term, made, 7, Share(part, 3)).item() for part in range(3)]
    assert sum(parts) == pytest.approx(loss_of(term, made, 7).item(), rel=1e-12)


def test_a_speed_at_rest_has_a_gradient() -> None:
    """The length of a vector has none at zero, where a network may begin."""
    made = network((0.0, 0.0, 0.0))
    term = MeasuredValues(np.zeros((1, 3)), np.full((1, 2), NAN), lengths=np.array([1.0]))
    loss_of(term, made, 0).backward()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


def test_the_misfit_of_a_pressure_is_relative_to_pressures() -> None:
    made, places = network((3.0, 4.0, 1000.0)), np.zeros((2, 3))
    values = np.array([[3.0, NAN, 1000.0], [NAN, NAN, NAN]])
    term = MeasuredValues(places, values, lengths=np.array([NAN, 4.0]), vector=2)
    assert numbers(term, made)["sensor_misfit"] == pytest.approx(1.0 / 5.0), (
        "a speed of 5 beside 4, sqrt(3^2 + 4^2) = 5"
    )
    values[0, 2] = 2000.0
    assert numbers(MeasuredValues(places[:1], values[:1], vector=2), made)["sensor_misfit"] == pytest.approx(0.5)
    for pressure, note in ((2000.0, "of p"), (1001.0, "")):
        values[0] = 4.0, NAN, pressure
        term = MeasuredValues(places[:1], values[:1], vector=2, fields=("u", "v", "p"))
        (item,) = term.measure(made, num_points=1, seed=0)
        assert item.note == note, "of which the misfit is, where it is not the velocity"


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(PinnxError, match="equations: expected at least one point to check, got 0"):
        equations().measure(network(), num_points=0, seed=0)
    with pytest.raises(PinnxError, match="boundary: expected at least one boundary condition, got none"):
        BoundaryValues((), 9, bounds=BOUNDS, seed=0)


def test_values_that_guide_fade_and_are_not_checked() -> None:
    certain = BoundaryCondition(Side("left"), {"u": 1.0}, BOUNDS)
    guiding = BoundaryCondition(Side("top"), {"u": 3.0}, BOUNDS, weight=0.25, until=0.5)
    term = BoundaryValues((certain, guiding), 10, bounds=BOUNDS, seed=0, steps=100)
    for step, weight in ((0, 0.25), (25, 0.125), (50, 0.0), (99, 0.0)):
        squares = np.square(term.draw(step)["mask"][:, 0])
        np.testing.assert_allclose(squares[:10], 1.0)
        np.testing.assert_allclose(squares[10:20], weight, atol=1e-15)
    (found,) = term.measure(network((1.0, 0.0, 0.0)), **CHECK)
    assert found.value == 0.0
    assert "without 1 that are known roughly" in found.note
    (alone,) = BoundaryValues((guiding,), 10, bounds=BOUNDS, seed=0).measure(network((1.0, 0.0, 0.0)), **CHECK)
    assert alone.value == pytest.approx(2.0), "a check that found nothing to check would have failed"
