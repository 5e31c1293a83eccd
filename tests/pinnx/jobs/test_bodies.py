"""Bodies of a domain from the configuration to the files: no point, no sensor, no number inside."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from flow_files import TINY

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.evals.checks import check
from pinnx.jobs.cases.load_case import load_case, load_snapshots
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.file_periods import file_periods
from pinnx.jobs.judging.flow_verification import boundary_checks, worst_of_frames
from pinnx.jobs.judging.verdicts import GROUPS
from pinnx.jobs.reconstruction import reconstruct
from pinnx.jobs.trainer_setup import make_trainer

STEP = "domain.holes=[{name: step, rectangle: {x: [0, 2], y: [1, 2]}}]"
BOXES = "domain.shape=[{x: [0, 2], y: [0, 1]}, {x: [2, 4], y: [0, 2]}]"
WALLS = """boundaries=[{where: {side: left, range: [0.2, 0.8]}, u: "y*(1-y)", v: 0},
    {where: {hole: NAME}, u: 0, v: 0}, {where: {side: top}, u: 0, v: 0}, {where: {side: bottom}, u: 0, v: 0}]"""


def measured_step(folder: Path, *overrides: str, name: str = "step") -> Config:
    """Ten measurements of a channel with a step, and no other data."""
    places = np.random.default_rng(0).uniform([2.1, 0.1], [3.9, 1.9], (10, 2))
    table = np.column_stack([places, places[:, 1], 0.0 * places[:, 0]])
    np.savetxt(folder / "piv.csv", table, delimiter=",", header="x,y,u,v", comments="")
    domain = (f"data.measurements={folder / 'piv.csv'}", "domain.x=[0, 4]", "domain.y=[0, 2]", "flow.nu=0.01")
    return load_config(None, [*domain, WALLS.replace("NAME", name), *TINY, "evals.grid=41", *overrides])


@pytest.mark.parametrize("shape", [STEP, BOXES])
def test_a_table_with_a_step_and_a_partial_inlet(shape: str, tmp_path: Path, no_pictures: None) -> None:
    config = measured_step(tmp_path, shape, "evals.left_out=0", name="step" if shape == STEP else "shape")
    case = load_case(config)
    equations, _, boundary = flow_problem(config, case).problem.terms
    inside = equations.draw(4)["x"]
    assert not ((inside[:, 0] < 2.0) & (inside[:, 1] > 1.0)).any()
    walls = boundary.draw(4)["x"]
    assert not ((walls[:, 0] < 2.0 - 1e-3) & (walls[:, 1] > 1.0 + 1e-3)).any()
    inlet = walls[: config.train.boundary_points]
    assert inlet[:, 0].max() == 0.0
    assert inlet[:, 1].min() >= 0.2
    assert inlet[:, 1].max() <= 0.8
    metrics = reconstruct(config, tmp_path / "run")
    assert any(note.startswith("Inside the body ") for note in metrics["notes"])
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        x, y = np.meshgrid(file["x"][()], file["y"][()], indexing="ij")
        blank = (x < 2.0 - 1e-5) & (y > 1.0 + 1e-5)
        for field in ("u", "p", "residual/continuity"):
            np.testing.assert_array_equal(np.isnan(file[field][()]), blank)
    assert "on the left side from 0.2 to 0.8" in (tmp_path / "run" / "report.html").read_text()


def test_a_hole_of_a_mesh_is_found_shown_and_to_be_confirmed(tmp_path: Path, no_pictures: None) -> None:
    x, y = (axis.reshape(-1) for axis in np.meshgrid(np.linspace(0, 4, 81), np.linspace(0, 2, 41)))
    kept = (np.abs(x - 1.0) > 0.375) | (np.abs(y - 1.0) > 0.275)
    x, y = x[kept], y[kept]
    np.savez(tmp_path / "flow.npz", x=x, y=y, u=1.0 + 0.0 * x, v=0.0 * x)
    given = (f"data.path={tmp_path / 'flow.npz'}", "flow.nu=0.01", "sensors.count=9", "sensors.method=coverage", *TINY)
    hole = "domain.holes=[{name: box, nodes: [1.1, 0.9]}]"
    config = load_config(None, [*given, hole, "boundaries=[{where: {hole: box}, condition: no_slip}]"])
    metrics = reconstruct(config, tmp_path / "run")
    (note,) = [note for note in metrics["notes"] if note.startswith("The outline of body box was found")]
    assert "x from 0.6 to 1.4, y from 0.7 to 1.3, area 0.4" in note
    assert load_case(config).bodies[0].area > 0.95 * 0.48, "its corners may be cut by a node"
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        outline = file["outlines"][()]
    assert np.isnan(outline[-1]).all()
    np.testing.assert_allclose([np.nanmin(outline, axis=0), np.nanmax(outline, axis=0)], [[0.6, 0.7], [1.4, 1.3]])
    with pytest.raises(PinnxError, match=r"domain.holes.0: expected a place in a hole .*, got \(3, 1\)"):
        load_case(load_config(None, [*given, "domain.holes=[{nodes: [3, 1]}]"]))


@pytest.mark.parametrize("name", ["ellipse", "polygon", "expression"])
def test_values_of_a_file_inside_a_body_are_not_used(name: str, tmp_path: Path) -> None:
    shapes = {
        "ellipse": "{center: [1.0, 1.0], half_axes: [0.6, 0.3]}",
        "polygon": "[[0.5, 0.5], [1.5, 0.5], [1.0, 1.5]]",
        "expression": "'hypot(x - 1, y - 1) - 0.5'",
    }
    x, y = np.linspace(0, 4, 41), np.linspace(0, 2, 21)
    mesh = np.meshgrid(x, y, indexing="ij")
    np.savez(tmp_path / "flow.npz", x=x, y=y, u=1.0 + 0.0 * mesh[0], v=0.0 * mesh[0])
    given = (f"data.path={tmp_path / 'flow.npz'}", "flow.nu=0.01", "sensors.count=30", "sensors.method=random", *TINY)
    shape = f"domain.holes=[{{{name}: {shapes[name]}}}]"
    free, beside = (load_case(load_config(None, [*given, *more])) for more in ((), (shape,)))
    assert beside.reference is not None
    assert beside.reference.holes is not None
    inside = beside.bodies[0].contains(beside.reference.points, beside.bounds)
    assert 20 < inside.sum() < 120
    np.testing.assert_array_equal(beside.reference.holes, inside)
    assert not beside.bodies[0].contains(beside.sensors.positions, beside.bounds).any()
    assert free.in_flow.all()
    np.testing.assert_array_equal(beside.in_flow, ~inside)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "domain.holes=[{circle: {center: [1, 1], radius: 0.1}}]",
            r"boundaries\.1: hole: expected one of .*circle\)",
        ),
        ("domain.holes=[{name: step, polygon: [[0, 0], [1, 1], [2, 2]]}]", r"domain\.holes\.0: step: expected corners"),
        ("domain.shape=[{x: [0, 2], y: [0, 1]}]", r"domain\.shape: expected boxes that reach the domain's ends in x"),
        ("domain.holes=[{name: step, rectangle: {x: [-1, 5], y: [-1, 3]}}]", "expected a part that borders the flow"),
    ],
)
def test_refuses_in_one_line(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=message):
        load_case(measured_step(tmp_path, override))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "domain.holes=[{name: a}]",
            "exactly one of circle, ellipse, rectangle, polygon, airfoil, expression",
        ),
        ("domain.holes=[{expression: x}, {expression: y}]", "expected a name of its own for each body"),
        ("boundaries.1.where={hole: step, range: [0, 1]}", "range: expected side or section beside it, got hole"),
    ],
)
def test_wrong_settings_are_refused_before_any_file_is_read(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=message):
        measured_step(tmp_path, override)


def test_conditions_by_name_reach_the_loss_and_the_checks(tmp_path: Path, no_pictures: None) -> None:
    """Each setting changes the training: with its weight at 0 the network is another."""
    named = """boundaries=[{where: {side: left, range: [0.2, 0.8]}, u: "y*(1-y)", v: 0},
        {where: {hole: step}, condition: slip}, {where: {side: right}, condition: no_stress},
        {where: {section: {x: 3.0}}, flux: 0.1}, {where: {side: top}, u: 0.5, weight: 0.25}]"""
    given = (STEP, named, "evals.left_out=0", "train.boundary_points=8")
    metrics = reconstruct(measured_step(tmp_path, *given), tmp_path / "run")
    assert {"slopes", "flux"} <= set(metrics["terms"])
    checks = {(check["name"], check.get("part", "")) for check in metrics["checks"]}
    assert ("neumann_error_max", "no_stress, right") in checks
    assert ("neumann_error_max", "slip, body step") in checks
    assert ("boundary_error_max", "slip, body step") in checks
    assert ("section_flux", "section x = 3") in checks
    (budget,) = (item for item in metrics["checks"] if item["name"] == "mass_budget")
    assert budget["note"].endswith("without 4 of 16 sub-boxes"), "those of the step"
    (boundary,) = (item for item in metrics["checks"] if item["name"] == "boundary_error_max" and not item.get("part"))
    assert "without 1 that are known roughly" in boundary["note"]
    found = []
    for override in (
        *("train.weights.slopes=1", "train.weights.slopes=0", "train.weights.flux=0", "boundaries.3.flux=0.2"),
        *("boundaries.4.weight=0", "boundaries.4.until=0.5", "boundaries.2.condition=zero_gradient"),
    ):
        config = measured_step(tmp_path, *given, override)
        flow = flow_problem(config, load_case(config))
        make_trainer(config, flow.problem, flow.weights).run()
        found.append(sum(float(parameter.detach().double().sum()) for parameter in flow.problem.model.parameters()))
    assert len(set(found)) == len(found)
    text = (tmp_path / "run" / "report.html").read_text()
    assert "no_stress on the right side" in text
    assert "flux = 0.1 through the section at x = 3" in text


def test_slopes_of_a_file_are_checked_at_its_own_points(tmp_path: Path) -> None:
    """The channel 3 y (2 - y): at its outlet nothing changes along x, at the bottom du/dn is -6."""
    x, y = np.meshgrid(np.linspace(0, 4, 41), np.linspace(0, 2, 21), indexing="ij")
    np.savez(tmp_path / "flow.npz", x=x[:, 0], y=y[0], u=3 * y * (2 - y), v=0 * x, p=-0.3 * x)
    stated = """boundaries=[{where: {side: right}, condition: zero_gradient},
        {where: {side: bottom}, slopes: {u: SLOPE}}, {where: {side: left}, condition: no_stress},
        {where: {section: {x: 2.0}}, flux: 4.0}]"""

    def verdicts(slope: str) -> dict[tuple[str, str], str]:
        given = (
            f"data.path={tmp_path / 'flow.npz'}",
            "data.arrays.p=p",
            "flow.nu=0.05",
            stated.replace("SLOPE", slope),
        )
        config = load_config(None, list(given))
        snapshots = load_snapshots(config)
        found = boundary_checks(snapshots, config, (), None, file_periods(config, snapshots))
        return {(check.name, check.part): check.status for check in found}

    right, wrong = verdicts("-6.0"), verdicts("-5.0")
    assert right["neumann_error_max", "u, zero_gradient, right"] == "passed"
    assert right["neumann_error_max", "u, slopes, bottom"] == "passed"
    assert wrong["neumann_error_max", "u, slopes, bottom"] == "failed"
    assert right["neumann_error_max", "no_stress, left"] == "failed", "it was not checked"
    assert right["section_flux", "section x = 2"] == "failed", "it was not checked"
    assert {name for name, _ in right} <= set(GROUPS["boundary"]), "pinnx verify --boundary asks for all of them"


def test_a_frame_that_is_not_a_number_is_the_worst_one() -> None:
    for values in ([np.nan, 1e-9, 2e-9], [1e-9, np.nan, 2e-9], [1e-9, 2e-9, np.nan]):
        (worst,) = worst_of_frames([check("periodic_error_max", value) for value in values])
        assert worst.status == "failed"
    (worst,) = worst_of_frames([check("periodic_error_max", value) for value in (1e-9, 2e-9, 0.0)])
    assert worst.value == 2e-9
