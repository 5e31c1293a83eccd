"""A round body in a stream that is known far away: what the solver finds from sensors, and where a guide is enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flow_files import TINY

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.box_case import box_problem
from pinnx.jobs.cases.load_case import load_case, started
from pinnx.jobs.flows import warm_start
from pinnx.jobs.judging.second_opinion import SecondOpinion, second_opinion
from pinnx.solvers import Study, solve_box
from pinnx.solvers.grid_sequence import continued, grid_sequence

SIDES = ("left", "bottom", "top")
AT_REST = {"where": {"hole": "body"}, "condition": "no_slip"}
GUIDES = [{"where": {"side": side}, "u": 1.0, "v": 0.0, "weight": 0.01, "until": 0.6} for side in SIDES]
STREAM = [{**guide, "condition": "free_stream", "speed": 1.0} for guide in GUIDES]
CELLS = 27
# The stream is 5 % faster than stated, and the wake a source of 0.3.
TRUTH = np.array([1.0, 0.05, 0.3])


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Config]:
    """A cylinder at Re 20 in a window, with what is stated of its sides; the data are the solver's own."""
    folder = tmp_path_factory.mktemp("stream")
    x, y = np.linspace(-2, 4, 25), np.linspace(-2, 2, 17)

    def config(stated: list[dict[str, Any]], *more: Any) -> Config:
        given = [
            ("data.path", str(folder / "flow.npz")),
            ("data.arrays", {"x": "x", "y": "y", "u": "u", "v": "v", "p": "p", "nu": "nu"}),
            ("data.axes", ["x", "y"]),
            ("data.check_orientation", False),
            ("flow.scales", {"length": 1.0, "velocity": 1.0}),
            ("domain.holes", [{"name": "body", "circle": {"center": [0.0, 0.0], "radius": 0.5}}]),
            ("boundaries", [AT_REST, *stated]),
            ("sensors", {"count": 12, "method": "random"}),
            ("solver.cells", CELLS),
            ("train.warm_start", "none"),
        ]
        return load_config(None, [*TINY, *given, *more])

    def save(fields: np.ndarray) -> None:
        u, v, p = fields.T.reshape(3, 25, 17)
        np.savez(folder / "flow.npz", x=x, y=y, u=u, v=v, p=p, nu=0.05)

    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    save(np.ones((points.shape[0], 3)))
    given = config(STREAM)
    study = _study(given, TRUTH)
    save(study.at(points))
    return config


def _study(config: Config, a: np.ndarray) -> Study:
    problem = box_problem(config, load_case(config), 0.05)
    assert problem.far
    return grid_sequence(problem, lambda flow, start: continued(flow, start, 0.05, a), CELLS)


def _opinion(config: Config, wrong: float) -> SecondOpinion:
    case = load_case(config)
    study = _study(config, TRUTH)
    network: Any = SimpleNamespace(predict=lambda points: (1 + wrong) * study.at(points))
    return second_opinion(config, case, network, network.predict(case.output.points), case.nu)


def test_the_stream_and_the_wake_are_found_from_the_sensors(make: Callable[..., Config]) -> None:
    opinion = _opinion(make(STREAM), 0.002)
    assert opinion.facts is not None
    assert opinion.errors["solver"]["velocity"] < 1e-3
    found = [item["value"] for item in opinion.facts["found"].values()]
    np.testing.assert_allclose(found, TRUTH[1:], atol=2e-3)
    assert opinion.facts["approximate"]
    assert "Believe the network: the two agree" in opinion.note
    assert "Its sides are 8 sizes of the bodies away" in opinion.note


def test_a_network_of_another_flow_is_not_to_be_believed(make: Callable[..., Config]) -> None:
    opinion = _opinion(make(STREAM), -0.3)
    assert "Believe the solver" in opinion.note
    assert "fluid is at rest, above all around bodies" in opinion.note


def test_guides_make_a_start_and_no_second_opinion(make: Callable[..., Config]) -> None:
    """What is known roughly is stated nowhere: only a start may use it."""
    config = make(GUIDES, "train.warm_start=solver")
    assert "does not apply: it needs the velocity along all four sides" in _note(config)
    case = load_case(config)
    assert case.start is not None
    values = warm_start.start_values(config.train, case, case.start, np.ones(3))
    assert not case.bodies[0].contains(values.coordinates, case.bounds).any()
    assert np.isfinite(values.values[:, :2]).all()
    wake = (values.coordinates[:, 0] > 0.5) & (np.abs(values.coordinates[:, 1]) < 0.3)
    assert values.values[wake, 0].min() < -0.01, "behind the body it flows back"
    with pytest.raises(PinnxError, match="the solver does not apply: it needs the velocity along all four sides"):
        started(config, replace(case, conditions=case.conditions[:3]))


def test_a_body_in_a_stream_starts_from_the_solver_unless_that_is_denied(make: Callable[..., Config]) -> None:
    """By itself in a stream that is known far away alone; a case without some of the sensors finds its own numbers."""
    auto = ("train.warm_start", "auto")
    config = make(STREAM, auto)
    case = load_case(config)
    assert case.start is not None
    assert any("started from the field of a classical solver" in note for note in case.notes)
    fewer = case.rows(np.arange(12) < 8)
    assert fewer.start is None
    found = started(config, fewer).start
    assert found is not None
    assert 0 < np.abs(found.a - case.start.a).max() < 0.02
    assert load_case(make(STREAM)).start is None
    assert load_case(make(GUIDES, auto)).start is None, "guides alone have one on request"


@pytest.mark.parametrize(
    ("stated", "more", "reason"),
    [
        (STREAM[:2], [], "it needs the velocity along all four sides"),
        (STREAM, [("train.balance.method", "relobralo")], "train.balance.method follows the columns"),
        (STREAM, [("flow.nu", 1e-5)], "expected a steady flow"),
    ],
    ids=["two_sides", "balance", "not_steady"],
)
def test_where_it_has_no_start_a_note_says_why(
    make: Callable[..., Config], stated: list[dict[str, Any]], more: list[Any], reason: str
) -> None:
    case = load_case(make(stated, ("train.warm_start", "auto"), *more))
    assert case.start is None
    (note,) = (note for note in case.notes if "started from random weights" in note)
    assert reason in note
    assert "fluid at rest" in note


def _note(config: Config) -> str:
    case = load_case(config)
    network: Any = SimpleNamespace(predict=lambda points: np.zeros((len(points), 3)))
    return second_opinion(config, case, network, np.zeros((len(case.output.points), 3)), case.nu).note


@pytest.mark.parametrize(
    "stated",
    [STREAM[:2], [*STREAM[:2], {**STREAM[2], "speed": 2.0}], [*STREAM, {"where": {"side": "top"}, "v": 0.0}]],
    ids=["two_sides", "two_speeds", "more_is_known"],
)
def test_a_stream_is_one_on_three_sides_of_which_no_more_is_known(
    make: Callable[..., Config], stated: list[dict[str, Any]]
) -> None:
    assert "does not apply: it needs the velocity along all four sides" in _note(make(stated))


def test_sides_without_friction_and_an_outflow_by_name(make: Callable[..., Config], tmp_path: Path) -> None:
    """In a channel without friction the fluid beside the body is faster, by what the body holds back."""
    inlet = {"where": {"side": "left"}, "u": 1.0, "v": 0.0}
    outlet = {"where": {"side": "right"}, "condition": "zero_gradient"}
    between = [{"where": {"side": side}, "condition": name} for side, name in (("bottom", "slip"), ("top", "symmetry"))]
    config = make([inlet, outlet, *between])
    study = solve_box(box_problem(config, load_case(config), 0.05), CELLS)
    fine = study.grids[-1]
    beside = fine.columns["u"][np.abs(fine.x).argmin()]
    assert beside[0] == pytest.approx(beside[-1], rel=1e-3)
    assert 1.2 < beside[-1] < 2.0
    np.testing.assert_array_equal(fine.columns["omega"][1:-1, [0, -1]], 0.0)
    assert max(fine.mass, fine.momentum) < 1e-10
    for missing in (outlet, between[0]):
        assert "does not apply" in _note(make([c for c in (inlet, outlet, *between) if c is not missing]))


def test_a_side_of_a_stream_has_no_factor_of_its_own(make: Callable[..., Config]) -> None:
    with pytest.raises(PinnxError, match=r"solver\.unknown: .* in a stream it finds the speed of that, not of sides"):
        load_case(make(STREAM, "solver.unknown=[top]"))
