"""The classical solver beside the network: what it finds, which of them to believe, and where it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from box_files import BOX, EXACT, U, exact_fields
from flow_files import TINY
from same_runs import Tiny
from scipy.integrate import trapezoid

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.box_case import solve_case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging.second_opinion import SecondOpinion, second_opinion
from pinnx.solvers import NoSteadyFlowError

Ask = Callable[..., SecondOpinion]
Box = Callable[..., Config]
FOUR_SIDES = (
    "it needs the velocity along all four sides, or an outflow on the right, or a free_stream on the other three, "
    "and there is no"
)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """The configuration of the exact flow, with overrides."""
    x, y = np.linspace(-0.5, 0.5, 17), np.linspace(-0.5, 0.5, 16)
    u, v, p = exact_fields(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)).T.reshape(3, 17, 16)
    np.savez(tmp_path / "flow.npz", x=x, y=y, u=u, v=v, p=p, nu=EXACT.nu)
    (tmp_path / "box.yaml").write_text(BOX)
    source = ("data.path", str(tmp_path / "flow.npz"))
    return lambda *overrides: load_config(tmp_path / "box.yaml", [*TINY, source, "solver.polish=false", *overrides])


def beside(config: Config, predict: Callable[[np.ndarray], np.ndarray]) -> SecondOpinion:
    """The opinion on a case beside a network with these fields."""
    case, network = load_case(config), SimpleNamespace(predict=predict)
    return second_opinion(config, case, network, predict(case.output.points), case.nu)


def still(points: np.ndarray) -> np.ndarray:
    return np.zeros((len(points), 3))


@pytest.fixture
def ask(box: Box) -> Ask:
    """The opinion on the exact flow beside a network that is as wrong as is said."""

    def opinion(*overrides: str | tuple[str, Any], wrong: float = 0.02) -> SecondOpinion:
        return beside(box(*overrides), lambda points: (1 + wrong) * exact_fields(points))

    return opinion


def test_it_solves_what_is_stated_and_is_to_be_believed(ask: Ask) -> None:
    opinion = ask()
    assert opinion.facts is not None
    assert opinion.errors["solver"]["velocity"] < 1e-3
    assert opinion.facts["network_apart"] == pytest.approx(0.02, abs=1e-3)
    assert opinion.facts["sensor_misfit"] < 1e-3
    assert opinion.facts["cells"] == [27, 27]
    assert "It was given the equations and the sides alone." in opinion.note
    assert opinion.note.endswith(", without having seen them.")
    assert "Believe the solver: it matches the sensors to" in opinion.note


def test_a_network_that_agrees_may_be_believed_too(ask: Ask) -> None:
    assert "Both may be believed: they agree within its error" in ask(wrong=1e-4).note


def test_where_the_stated_viscosity_is_wrong_the_sensors_say_so(ask: Ask) -> None:
    opinion = ask("flow.nu=0.5")
    assert opinion.errors["solver"]["velocity"] > 0.05
    assert "Look at viscosity, sides and units before believing either: it misses the sensors by" in opinion.note
    # A network that is as wrong makes the solver no better.
    assert "Believe neither yet: it misses the sensors by" in ask("flow.nu=0.5", wrong=0.3).note


def test_an_unknown_viscosity_and_the_speed_of_a_side_are_found_for_the_whole_run(ask: Ask, box: Box) -> None:
    """The network's condition and the polished flow have the factor as well."""
    doubled = ("boundaries.3.u", f"2*({U})")
    opinion = ask("flow.nu=0.2", "flow.learn_nu=true", doubled, "solver.unknown=[top]")
    assert opinion.facts is not None
    found = opinion.facts["found"]
    assert found["nu"]["value"] == pytest.approx(0.05, rel=0.05)
    assert found["factor of the velocity along the top side"]["value"] == pytest.approx(0.5, rel=0.05)
    assert 0 < found["nu"]["standard_error"] < 0.02
    assert opinion.errors["solver"]["velocity"] < 0.01
    assert "and found from these: factor of the velocity along the top side = " in opinion.note
    assert "with no more than these numbers fitted" in opinion.note
    lid = np.column_stack([np.linspace(-0.5, 0.5, 9), np.full(9, 0.5)])
    for unknown in ((), ("solver.unknown=[top]",)):
        is_right, case = bool(unknown), load_case(box(doubled, *unknown))
        (top,) = [condition for condition in case.conditions if str(condition.where) == "top"]
        error = np.abs(top.targets(lid)[0][:, 0] / exact_fields(lid)[:, 0] - 1).max()
        assert (error < 0.05) == is_right
        assert any("(standard error" in note for note in case.notes) == is_right
        # With the stated factor both answers are another flow.
        errors = ask(doubled, *unknown, "solver.polish=true", wrong=0.0).errors.values()
        assert [item["velocity"] < 0.02 for item in errors] == [is_right, is_right]


def test_formulas_and_numbers_are_scaled(ask: Ask, box: Box) -> None:
    case = load_case(box(("boundaries.3.u", 3.0), "solver.unknown=[top]"))
    (top,) = [condition for condition in case.conditions if str(condition.where) == "top"]
    assert case.solved is not None
    assert top.values["u"] == pytest.approx(3.0 * case.solved[0].a[1])


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ((("boundaries.3.u", 0.0),), "solver.unknown: expected sides with a velocity along them, got top, .* at rest"),
        (("boundaries.0.v=null",), "solver.unknown: the solver does not apply: .* no v on the left; leave it empty"),
    ],
)
def test_a_factor_that_cannot_be_found_is_refused_before_the_training(
    box: Box, overrides: tuple[Any, ...], why: str
) -> None:
    with pytest.raises(PinnxError, match=why):
        load_case(box(*overrides, "solver.unknown=[top]"))


CHANNEL = [
    *({"where": {"side": side}, "u": 0.0, "v": 0.0} for side in ("bottom", "top")),
    {"where": {"side": "left"}, "u": "1 - 4*y*y", "v": 0.0},
]


def parabola(points: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - 4 * points[:, 1] ** 2, 0 * points])


@pytest.mark.parametrize(("right", "leaves"), [({"p": 0.0}, True), ({"p": 0, "v": 0}, True), ({"p": "y"}, False)])
def test_a_flow_may_leave_on_the_right_at_a_constant_pressure(box: Box, right: dict[str, Any], leaves: bool) -> None:
    config = box(("boundaries", [*CHANNEL, {"where": {"side": "right"}, **right}]))
    opinion, case = beside(config, parabola), load_case(config)
    if not leaves:
        assert f"{FOUR_SIDES} u and no v on the right" in opinion.note
        return
    assert opinion.fields is not None
    np.testing.assert_allclose(opinion.fields[:, 0], 1 - 4 * case.output.points[:, 1] ** 2, atol=3e-3)
    np.testing.assert_allclose(opinion.fields[:, 2], -8 * case.nu * case.output.points[:, 0], atol=2e-3)
    assert "On the right the flow leaves in parallel, at a constant pressure." in opinion.note


@pytest.mark.parametrize(("wrong", "believed"), [(0.03, "network"), (-0.3, "solver")])
def test_an_outflow_is_an_assumption_of_the_solver(box: Box, wrong: float, believed: str) -> None:
    """Missing the sensors by 3 % it is not believed beside a network that has them, but beside one that is far off."""
    config = box(("boundaries", [*CHANNEL, {"where": {"side": "right"}, "p": 0.0}]))
    case = load_case(config)
    case = replace(case, velocity=1.03 * parabola(case.coordinates)[:, :2])
    network: Any = SimpleNamespace(predict=lambda points: (1 + wrong) * parabola(points))
    opinion = second_opinion(config, case, network, network.predict(case.output.points), case.nu)
    assert f"Believe the {believed}" in opinion.note


BODY = "domain.holes=[{name: plate, rectangle: {x: [-0.1, 0.1], y: [-0.1, 0.2]}}]"
AT_REST = {"where": {"hole": "plate"}, "u": 0.0, "v": 0.0}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([AT_REST], None),
        ([{"where": {"hole": "plate"}, "condition": "slip"}], "it takes bodies at rest with the velocity zero on"),
        ([], "it takes bodies at rest with the velocity zero on them, and the body plate is not one"),
        ([{**AT_REST, "v": 0.1}], "it takes bodies at rest with the velocity zero on them, and the body plate"),
    ],
)
def test_bodies_with_sides_along_the_axes_are_solved(box: Box, given: list[Any], why: str | None) -> None:
    """The inlet is a part of its side; the rest of it is said to be a wall."""
    inlet = {"where": {"side": "left", "range": [-0.25, 0.25]}, "u": "1 - 16*y*y", "v": 0.0}
    wall = {"where": {"side": "left"}, "u": 0.0, "v": 0.0}
    sides = [*CHANNEL[:2], inlet, wall, {"where": {"side": "right"}, "p": 0.0}]
    config = box(("boundaries", [*sides, *given]), BODY, "solver.polish=null")
    if why is not None:
        assert beside(config, still).note.startswith(f"Solver: does not apply: {why}")
        return
    study, _ = solve_case(config, load_case(config), 27)
    opinion = beside(config, lambda points: 1.02 * study.at(points))
    assert opinion.facts is not None
    assert opinion.facts["network_apart"] == pytest.approx(0.02, abs=1e-3)
    assert max(opinion.facts["polished"][name] for name in ("mass", "momentum")) < 1e-10
    fine = study.grids[-1]
    np.testing.assert_allclose(trapezoid(fine.columns["u"], fine.y, axis=1), 1 / 3, atol=0.02)
    inside = np.logical_and.outer(np.abs(fine.x) < 0.1, np.abs(fine.y - 0.05) < 0.15)
    assert not fine.columns["u"][inside].any()
    middle = fine.columns["u"][np.abs(fine.x).argmin()]
    assert middle[fine.y < -0.1].max() > middle[fine.y > 0.2].max() > 0.0, "more takes the wide gap"


def test_a_part_of_a_side_without_a_velocity_is_said(box: Box) -> None:
    inlet = {"where": {"side": "left", "range": [-0.25, 0.25]}, "u": "1 - 16*y*y", "v": 0.0}
    opinion = beside(box(("boundaries", [*CHANNEL[:2], inlet, {"where": {"side": "right"}, "p": 0.0}])), still)
    assert opinion.note == f"Solver: does not apply: {FOUR_SIDES} u and no v on the left."


def test_a_poor_network_is_judged_by_a_coarse_grid(ask: Ask) -> None:
    cells = {wrong: ask("solver.cells=null", wrong=wrong).facts["cells"] for wrong in (0.5, 0.001)}  # type: ignore[index]
    assert cells == {0.5: [27, 27], 0.001: [54, 54]}


def test_where_the_coarse_grid_has_no_flow_the_fine_one_is_solved(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def solve(config: Config, case: Any, cells: int) -> Any:
        if cells < none_below:
            raise NoSteadyFlowError("none")
        return solve_case(config, case, cells)

    monkeypatch.setattr("pinnx.jobs.judging.second_opinion.solve_case", solve)
    none_below = 54
    facts = ask("solver.cells=null", wrong=0.5).facts
    assert facts is not None
    assert facts["cells"] == [54, 54]
    none_below = 60
    assert ask("solver.cells=null", wrong=0.5).note == "Solver: no answer: none."


def test_the_networks_field_is_polished_also_with_its_own_velocity_along_sides(ask: Ask) -> None:
    for given in ((), (("boundaries", []),)):
        opinion = ask("solver.beside=false", "solver.polish=true", *given, wrong=0.0)
        assert opinion.facts is not None
        assert opinion.polished is not None
        assert opinion.facts["polished"]["steps"] <= 4
        assert max(opinion.polished.mass, opinion.polished.momentum) < 1e-10
        assert opinion.errors["polished"]["velocity"] < 0.01
        assert "Solver: not used, as solver.beside is false. Polished: " in opinion.note
    assert ask("solver.beside=false").polished is None


@pytest.mark.parametrize("wrong", [0.02, 0.2])
def test_the_distance_to_the_polished_field_estimates_the_error_of_the_network(ask: Ask, wrong: float) -> None:
    opinion = ask("solver.beside=false", "solver.polish=null", wrong=wrong)
    assert opinion.facts is not None
    assert opinion.facts["polished"]["network_apart"] == pytest.approx(wrong, rel=0.3)
    assert "an estimate of the network's error, as far as viscosity and sides are right." in opinion.note


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("unsteady_grid", "it solves steady flows, and this one changes in time"),
        ("scattered_3d", "it solves steady flows, and this one changes in time"),
        ("steady_csv", f"{FOUR_SIDES} v on the left"),
        ("steady_grid", f"{FOUR_SIDES} u and no v on the right"),
    ],
)
def test_where_it_does_not_apply_one_sentence_says_why(tiny: Tiny, name: str, why: str) -> None:
    opinion = beside(tiny(name), still)
    assert opinion.note == f"Solver: does not apply: {why}."
    assert opinion.facts is None
    assert not opinion.errors


def test_a_solver_without_an_answer_says_so(ask: Ask) -> None:
    assert ask("solver.cells=9").note == "Solver: no answer: solver.cells: expected 18 or more, got 9."
