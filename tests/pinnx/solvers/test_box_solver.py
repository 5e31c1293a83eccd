"""The flow in a box: exact formulas, second order elsewhere, the literature's cavity; numbers found from sensors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tolerances
from box_flows import UNIT_BOX, cavity, grid_points, relative, walls_of
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from pinnx.errors import PinnxError
from pinnx.evals.exact import Kovasznay
from pinnx.physics.scales import Scales
from pinnx.solvers import (
    BoxProblem,
    NoSteadyFlowError,
    NotApplicableError,
    Profile,
    Study,
    Walls,
    fit_box,
    made_again,
    solve_box,
)

Array = NDArray[np.float64]
KOVASZNAY_BOX = {"x": (-0.5, 0.5), "y": (-0.5, 0.5)}
DATA = Path(os.environ.get("PINNX_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
SHARED = [name for name in ("ldc_re100", "ldc_re1000") if (DATA / f"{name}_converged.npz").is_file()]


def kovasznay(num_cells: int) -> Study:
    flow = Kovasznay(nu=1 / 40)
    walls = walls_of(lambda x, y: flow.velocity(0.0, x, y), KOVASZNAY_BOX)
    return solve_box(BoxProblem(KOVASZNAY_BOX, flow.nu, [walls], Scales()), num_cells)


@pytest.fixture(scope="module")
def cavity_1000() -> Study:
    return solve_box(cavity(1e-3), 72)


def test_a_velocity_that_is_linear_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Couette: psi is quadratic, for which every formula is exact, also at the sides."""
    monkeypatch.delattr(np, "trapezoid", raising=False)  # the oldest NumPy that is supported has none
    walls = walls_of(lambda x, y: np.column_stack([3.0 * y, 0 * y]), UNIT_BOX)
    study = solve_box(BoxProblem(UNIT_BOX, 0.1, [walls], Scales(1.0, 3.0)), 18)
    fine = study.grids[-1]
    np.testing.assert_allclose(fine.columns["u"], 3.0 * np.broadcast_to(fine.y, fine.columns["u"].shape), atol=1e-12)
    np.testing.assert_allclose(fine.columns["v"], 0.0, atol=1e-12)
    np.testing.assert_allclose(fine.columns["omega"][1:-1, 1:-1], -3.0, atol=1e-10)


def test_a_channel_has_its_pressure_gradient() -> None:
    """Poiseuille, in other units: u = 4 U (y/h) (1 - y/h), p_x = -8 nu U / h^2, and a force adds to it."""
    size, speed, nu = 1e-3, 0.2, 1e-6
    bounds = {"x": (2 * size, 4 * size), "y": (0.0, size)}
    walls = walls_of(lambda x, y: np.column_stack([4 * speed * y / size * (1 - y / size), 0 * y]), bounds)
    problem = BoxProblem(bounds, nu, [walls], Scales(size, speed))
    points = np.random.default_rng(0).uniform((2 * size, 0.0), (4 * size, size), (200, 2))
    found = solve_box(problem, 36).at(points)
    wanted = 4 * speed * points[:, 1] / size * (1 - points[:, 1] / size)
    slope = -8 * nu * speed / size**2
    assert relative(found[:, 0], wanted) < 5e-4
    assert relative(found[:, 2], slope * (points[:, 0] - 3 * size)) < 5e-3
    forced = solve_box(replace(problem, forcing=(slope, 0.0)), 36).at(points)
    np.testing.assert_array_equal(forced[:, :2], found[:, :2])
    assert relative(forced[:, 2], 2 * slope * (points[:, 0] - 3 * size)) < 5e-3


def test_errors_fall_with_the_square_of_the_cells_and_the_index_bounds_them() -> None:
    flow, errors, studies = Kovasznay(nu=1 / 40), [], []
    points = np.random.default_rng(1).uniform((-0.5, -0.5), (0.5, 0.5), (300, 2))
    velocity, pressure = flow.velocity(0.0, *points.T), flow.pressure(0.0, *points.T)
    for cells in (27, 54):
        study = kovasznay(cells)
        fields = [study.grids[-1].at(points), study.at(points)]
        pressures = [relative(f[:, 2] - f[:, 2].mean(), pressure - pressure.mean()) for f in fields]
        errors.append([relative(f[:, :2], velocity) for f in fields] + pressures)
        studies.append(study)
    (fine, extrapolated, _, _), (finer, better, fine_pressure, pressure_error) = errors
    order = np.log2(fine / finer)
    assert abs(order - 2.0) < tolerances.CONVERGENCE_ORDER
    assert studies[1].order == pytest.approx(2.0, abs=tolerances.CONVERGENCE_ORDER)
    assert better < finer / 10
    assert extrapolated < fine / 4
    assert pressure_error < fine_pressure / 10
    for study, error in zip(studies, (fine, finer), strict=True):
        assert error < study.gci < 4 * error


def test_mass_and_momentum_are_conserved_and_a_field_that_is_no_solution_shows() -> None:
    study = kovasznay(27)
    assert study.grids[-1].mass < 1e-13
    assert study.grids[-1].momentum < 1e-11
    problem = cavity(1e-2)
    flow = problem.on_grid(18)
    solved = flow.newton(None, 1e-2, np.ones(1), tol=1e-8)
    assert problem.fields(flow, solved).momentum < 1e-13
    bent = replace(solved, state=solved.state * (1 + 1e-6))
    assert problem.fields(flow, bent).momentum > 1e-9


def test_the_cavity_is_that_of_the_literature(cavity_1000: Study) -> None:
    """Botella and Peyret, Computers & Fluids 27 (1998) 421-433, spectral, on both middle lines."""
    line = np.linspace(0.0, 1.0, 2001)
    u = cavity_1000.at(np.column_stack([0 * line + 0.5, line]))[:, 0]
    v = cavity_1000.at(np.column_stack([line, 0 * line + 0.5]))[:, 1]
    assert u.min() == pytest.approx(-0.3885698, abs=5e-4)
    assert line[u.argmin()] == pytest.approx(0.1717, abs=2e-3)
    assert v.max() == pytest.approx(0.3769447, abs=5e-4)
    assert v.min() == pytest.approx(-0.5270771, abs=1e-3)
    assert line[v.argmin()] == pytest.approx(0.9092, abs=2e-3)
    assert cavity_1000.grids[-1].columns["psi"].min() == pytest.approx(-0.1189366, abs=2e-3)


@pytest.mark.skipif(not SHARED, reason="no converged cavities: set PINNX_DATA")
@pytest.mark.parametrize("name", SHARED or ["none"])
def test_it_agrees_with_converged_fields(name: str, cavity_1000: Study) -> None:
    with np.load(DATA / f"{name}_converged.npz") as file:
        truth = {key: file[key].astype(np.float64) for key in file.files}
    study = cavity_1000 if name == "ldc_re1000" else solve_box(cavity(1e-2), 54)
    found = study.at(grid_points(truth["x"], truth["y"])).reshape(*truth["u"].shape, 3)
    inside = (slice(4, -4), slice(4, -4))  # next to the lid's corners the velocity jumps
    wanted = np.stack([truth["u"], truth["v"]], axis=-1)[inside]
    assert relative(found[inside][..., :2], wanted) < 2.5e-3
    assert relative(study.grids[-1].at(grid_points(truth["x"], truth["y"]))[:, 0], truth["u"].ravel()) > 5e-3


def test_units_do_not_matter() -> None:
    """The same cavity in millimetres, at the same Reynolds number."""
    one, other = solve_box(cavity(1e-2), 18), solve_box(cavity(2e-6, lid=0.2, size=1e-3), 18)
    np.testing.assert_allclose(other.grids[-1].columns["u"] / 0.2, one.grids[-1].columns["u"], atol=1e-12)
    np.testing.assert_allclose(other.grids[-1].columns["p"] / 0.04, one.grids[-1].columns["p"], atol=1e-10)
    assert other.gci == pytest.approx(one.gci)


def test_what_flows_in_must_flow_out() -> None:
    filling = walls_of(lambda x, y: np.column_stack([np.where(x == 0.0, 1.0, 0.9), 0 * y]), UNIT_BOX)
    with pytest.raises(NotApplicableError, match=r"of what flows through the sides 5\.3% flows in and not out"):
        solve_box(BoxProblem(UNIT_BOX, 0.1, [filling], Scales()), 18)
    closed = solve_box(BoxProblem(UNIT_BOX, 0.1, [filling], Scales(), close=True), 18)
    assert closed.grids[-1].mass < 1e-13


def test_corners_belong_to_the_first_side() -> None:
    profiles = cavity(1e-2).walls[0].profiles
    line = np.linspace(0.0, 1.0, 5)
    for order, speed in ((("left", "right", "bottom", "top"), 0.0), (("top", "left", "right", "bottom"), 1.0)):
        assert Walls(profiles, order).velocity(line, line)[0, -1, 0] == speed


def test_messages() -> None:
    with pytest.raises(PinnxError, match=r"solver\.cells: expected 18 or more, got 9"):
        solve_box(cavity(1e-2), 9)
    with pytest.raises(NoSteadyFlowError, match="expected a steady flow, and Newton's method found none at nu = "):
        solve_box(cavity(1e-7), 18)


STEP = {"x": (0.0, 4.0), "y": (0.0, 2.0)}
BLOCK = ((0.0, 2.0), (1.0, 2.0))


def step(*, blocks: Sequence[Any] = (BLOCK,), right: Profile | None = None) -> BoxProblem:
    """A channel of height 1 that widens to 2 at x = 2; None: the flow leaves on the right at a constant pressure."""

    def rest(along: Array) -> Array:
        return np.zeros((len(along), 2))

    def inlet(y: Array) -> Array:
        return np.column_stack([np.where(y < 1, 4 * y * (1 - y), 0.0), 0 * y])

    sides = {"left": inlet, "bottom": rest, "top": rest} | ({} if right is None else {"right": right})
    return BoxProblem(STEP, 0.01, [Walls(sides)], Scales(2.0, 1.0), close=right is not None, blocks=blocks)


def test_a_flow_over_a_step_leaves_in_parallel_and_is_balanced() -> None:
    study = solve_box(step(), 36)
    fine = study.grids[-1]
    assert fine.mass < 1e-14
    assert fine.momentum < 1e-12
    inside = np.logical_and.outer(fine.x < 2, fine.y > 1)
    assert not fine.columns["u"][inside].any()
    flux = trapezoid(fine.columns["u"], fine.y, axis=1)
    np.testing.assert_allclose(flux, 2 / 3, atol=0.02)  # by trapezoids over 18 cells
    np.testing.assert_array_equal(fine.columns["v"][-1], 0.0)
    pressure = fine.columns["p"]
    assert np.ptp(pressure[-1]) < 0.05 * np.ptp(pressure)
    assert fine.columns["u"][:, fine.y > 1].min() < -0.01  # behind the step it flows back
    # Without the block there is no step.
    assert np.abs(solve_box(step(blocks=()), 36).at(np.array([[1.9, 1.1]]))[0, 0]) > 0.01


@pytest.mark.skipif(not (DATA / "backward_step_re100.npz").is_file(), reason="no backward step: set PINNX_DATA")
def test_it_agrees_with_the_finite_elements_behind_a_step() -> None:
    """Given the velocity of the file on the right; at a constant pressure there (which it has not) as far as x < 3."""
    with np.load(DATA / "backward_step_re100.npz") as file:
        places, wanted = (np.column_stack([file[name] for name in names]).astype(float) for names in ("xy", "uv"))
    places = np.clip(places, [0, 0], [4, 2])
    at_end = places[:, 0] > 4 - 1e-6
    order = np.argsort(places[at_end, 1])
    y, u = places[at_end, 1][order], wanted[at_end, 0][order]
    given = solve_box(step(right=lambda s: np.column_stack([np.interp(s, y, u), 0 * s])), 54)
    error = relative(given.at(places)[:, :2], wanted)
    assert error < 0.01 < given.gci < 0.06
    before = places[:, 0] < 3
    found = solve_box(step(), 54).at(places[before])[:, :2]
    assert relative(found, wanted[before]) < 0.02


def test_a_block_on_a_side_that_something_crosses_is_refused() -> None:
    with pytest.raises(NotApplicableError, match="blocks that touch a side through which nothing flows there"):
        solve_box(step(blocks=(((0.0, 1.0), (0.0, 0.5)),)), 18)


def plate(length: float) -> BoxProblem:
    """A plate between y = 0.3 and 0.4 of a channel of height 1, which it parts in gaps of 0.3 and 0.6."""

    def rest(along: Array) -> Array:
        return np.zeros((len(along), 2))

    def inlet(y: Array) -> Array:
        return np.column_stack([6 * y * (1 - y), 0 * y])

    sides = {"left": inlet, "bottom": rest, "top": rest}
    bounds = {"x": (0.0, length + 4.0), "y": (0.0, 1.0)}
    return BoxProblem(bounds, 1.0, [Walls(sides)], Scales(), blocks=(((2.0, length + 2.0), (0.3, 0.4)),))


def test_a_block_that_touches_no_side_has_one_pressure_all_around() -> None:
    """Of creeping flow the narrow gap takes (0.3 / 0.6)^3 of what the wide one does, but for the ends of the plate."""
    beyond = []
    for length in (6.0, 12.0):
        problem = plate(length)
        fine = solve_box(problem, 27).grids[-1]
        assert fine.mass < 1e-14
        assert fine.momentum < 1e-10
        again = made_again(problem, fine.x, fine.y, fine.columns["psi"], fine.columns["omega"])
        assert (again.mass, again.momentum) == (
            pytest.approx(fine.mass, abs=1e-14),
            pytest.approx(fine.momentum, abs=1e-10),
        )
        for name, values in fine.columns.items():
            np.testing.assert_allclose(again.columns[name], values, atol=1e-10 * np.abs(values).max(), err_msg=name)
        inside = np.argmin(np.abs(fine.x - length / 2 - 2)), np.argmin(np.abs(fine.y - 0.35))
        assert fine.columns["u"][inside] == 0.0
        beyond.append(fine.columns["psi"][inside] * 9 - 1)
    assert beyond[1] == pytest.approx(beyond[0] / 2, rel=0.1)
    assert 0.01 < beyond[1] < 0.04
    flow = problem.on_grid(27)
    solved = flow.newton(flow.newton(None, 1.0, np.ones(1), tol=1e-3), 1.0, np.ones(1), tol=1e-8)
    moved = solved.state.copy()
    moved[len(moved) // 2 - 1] += 1e-6  # the constant of the plate: the pressure then depends on the way around it
    assert problem.fields(flow, replace(solved, state=moved)).momentum > 1e-6


def test_a_blunt_inlet_on_a_coarse_grid_has_the_flow_of_the_fine_one() -> None:
    """From rest at once, Newton's method finds another solution of the equations on 32 x 8 cells, six times as fast."""

    def blunt(y: Array) -> Array:
        return np.column_stack([1 - np.abs(2 * y - 1) ** 8, 0 * y])

    def rest(along: Array) -> Array:
        return np.zeros((len(along), 2))

    bounds = {"x": (0.0, 4.0), "y": (0.0, 1.0)}
    sides = Walls({"left": blunt, "bottom": rest, "top": rest})
    study = solve_box(BoxProblem(bounds, 0.01, [sides], Scales(1.5, 1.3)), 36)
    at = np.array([[2.0, 0.5], [4.0, 0.5]])
    np.testing.assert_allclose(study.at(at)[:, 0], [1.264, 1.320], atol=0.01)
    assert np.abs(study.grids[0].columns["u"]).max() < 1.5


def cylinder(**more: Any) -> BoxProblem:
    """A body of size 1 in a stream at Re 40, in a box that reaches 8 and 16 sizes farther."""
    bounds = {"x": (-8.5, 16.5), "y": (-8.5, 8.5)}
    stream = dict.fromkeys(("left", "bottom", "top"), lambda s: np.column_stack([np.ones(len(s)), 0 * s]))
    walls = [Walls(stream, slip=("bottom", "top"))]
    return BoxProblem(bounds, 0.025, walls, Scales(), blocks=(((-0.5, 0.5), (-0.5, 0.5)),), far=True, **more)


def test_a_round_body_is_made_of_cells() -> None:
    """The wake at Re 40 is 2.13 to 2.35 diameters long (Coutanceau and Bouard 1977; Dennis and Chang 1970)."""
    lengths = []
    for inside in (lambda places: np.hypot(*places.T) < 0.5, lambda places: np.ones(len(places), dtype=bool), None):
        study = solve_box(cylinder(inside=inside), 36)
        fine = study.grids[-1]
        assert fine.mass < 1e-14
        assert fine.momentum < 1e-10
        assert study.smooth == (inside is None)
        along = np.linspace(0.6, 6.0, 541)
        u = fine.at(np.column_stack([along, 0 * along]), ("u",))[:, 0]
        lengths.append(along[(u < 0).nonzero()[0].max()] - 0.5)
        beside = fine.columns["u"][:, [1, -2]]
        np.testing.assert_allclose(beside[:, 0], beside[:, 1], atol=1e-6)
    assert 2.0 < lengths[0] < 2.4
    assert lengths[1] == lengths[2] > lengths[0], "a square of the same size holds back more"


@pytest.mark.skipif(not (DATA / "steady_cylinder_re40.npz").is_file(), reason="no cylinder: set PINNX_DATA")
def test_it_agrees_with_the_spectral_elements_around_a_cylinder() -> None:
    with np.load(DATA / "steady_cylinder_re40.npz") as file:
        places, wanted = (np.column_stack([file[name] for name in names]).astype(float) for names in ("xy", "uv"))
    near = (np.abs(places[:, 0]) < 4) & (np.abs(places[:, 1]) < 3)
    found = solve_box(cylinder(inside=lambda places: np.hypot(*places.T) < 0.5), 36).at(places[near])
    assert 0.005 < relative(found[:, :2], wanted[near]) < 0.04


PLACES = np.random.default_rng(3).uniform(0.1, 0.9, (12, 2))
NU, CELLS = 1 / 400, 36


@pytest.fixture(scope="module")
def truth() -> Study:
    return solve_box(cavity(NU), CELLS)


def test_viscosity_and_lid_are_found_from_a_wrong_guess(truth: Study) -> None:
    velocity = truth.at(PLACES)[:, :2]
    velocity[3, 0] = np.nan  # a component that was not measured
    fit = fit_box(cavity(1 / 100, unknown_lid=True), PLACES, velocity, learn_nu=True, guess=[0.6], num_cells=CELLS)
    assert fit.study.nu == pytest.approx(NU, rel=0.02)
    assert fit.study.a[1] == pytest.approx(1.0, rel=5e-3)
    everywhere = grid_points(np.linspace(0.05, 0.95, 30), np.linspace(0.05, 0.95, 30))
    wanted = truth.at(everywhere)[:, :2]
    assert relative(fit.study.at(everywhere)[:, :2], wanted) < 5e-3
    # Without the search the guess is another flow.
    assert relative(solve_box(cavity(1 / 100), CELLS).at(everywhere)[:, :2], wanted) > 0.1


def test_another_viscosity_in_the_data_is_another_answer() -> None:
    velocity = solve_box(cavity(1 / 200), CELLS).at(PLACES)[:, :2]
    fit = fit_box(cavity(NU), PLACES, velocity, learn_nu=True, num_cells=CELLS)
    assert fit.study.nu == pytest.approx(1 / 200, rel=0.02)
    assert fit.misfit < 0.01


def test_noise_gives_a_spread_that_covers_the_truth(truth: Study, seed: int) -> None:
    clean = truth.at(PLACES)[:, :2]
    noisy = clean + 0.01 * np.random.default_rng(seed).normal(size=clean.shape)
    fit = fit_box(cavity(NU, unknown_lid=True), PLACES, noisy, learn_nu=True, guess=[1.0], num_cells=CELLS)
    assert fit.errors.shape == (2,)
    assert abs(fit.study.a[1] - 1.0) < 5 * fit.errors[0] < 0.2
    assert abs(np.log(fit.study.nu / NU)) < 5 * fit.errors[1] < 1.5


def test_messages_of_a_fit(truth: Study) -> None:
    velocity = truth.at(PLACES)[:, :2]
    with pytest.raises(PinnxError, match="got 0 numbers and 24 measurements"):
        fit_box(cavity(NU), PLACES, velocity, learn_nu=False)
    with pytest.raises(PinnxError, match="got 2 numbers and 0 measurements"):
        fit_box(cavity(NU, unknown_lid=True), PLACES, np.nan * velocity, learn_nu=True, guess=[1.0])
    with pytest.raises(PinnxError, match=r"solver\.cells"):
        fit_box(replace(cavity(NU)), PLACES, velocity, learn_nu=True, num_cells=3)
