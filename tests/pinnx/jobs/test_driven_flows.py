"""Flows that a force drives which varies in space and time: found from few sensors, and not with a wrong force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from flow_files import TINY
from same_runs import Tiny, trained

from pinnx.cli import main
from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.wall_forces import body_forces
from pinnx.train.trainer import Trainer

# Six places; Gauss-Newton takes seconds to where a first-order method takes minutes.
KOLMOGOROV = """
data: {path: flow.npz, axes: [x, y]}
domain: {periodic: [x, y]}
flow: {steady: true}
sensors: {count: 6, method: interpolation}
model: {width: 16, layers: 2, frequencies: 8, sigma: 0.5, factorization: {mean: null}}
train:
  {steps: 60, collocation_points: 196, optimizer: gauss_newton, dtype: float64, weights: {data: 100}}
evals: {points: 500, grid: 33}
"""
FORCE = "0.4*sin(2*y)"


def kolmogorov(folder: Path, *changes: str, length: float = 1.0, origin: float = 0.0, force: str = FORCE) -> Config:
    """u = sin 2y at a viscosity of 0.1, which the force 0.4 sin 2y balances, in units of a length."""
    folder.mkdir(exist_ok=True)
    line = np.linspace(0.0, 2 * np.pi, 36)  # lines of which few are zeros of the flow
    _, y = np.meshgrid(line, line, indexing="ij")
    at, ends = origin + length * line, f"[{origin!r}, {origin + 2 * np.pi * length!r}]"
    np.savez(folder / "flow.npz", x=at, y=at, u=length * np.sin(2 * y), v=0 * y, p=0 * y)
    (folder / "flow.yaml").write_text(KOLMOGOROV.replace("flow.npz", str(folder / "flow.npz")))
    given = (f"domain.x={ends}", f"domain.y={ends}", f"flow.nu={0.1 * length**2}", f'flow.forcing=["{force}", 0]')
    return load_config(folder / "flow.yaml", [*given, *changes])


def statuses(checks: list[dict[str, Any]]) -> dict[str, str]:
    return {f"{item['name']} {item.get('part') or ''}".strip(): item["status"] for item in checks}


def test_six_sensors_and_the_force_find_a_kolmogorov_flow(
    tmp_path: Path, no_report: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in mm with another origin; the force of the other sign is another flow, which all checks see."""
    metrics = reconstruct(kolmogorov(tmp_path), tmp_path / "run")
    assert metrics["relative_l2"]["velocity"] < 1e-3
    assert metrics["equations"].endswith(f" = 0.1 and the body force {FORCE} along x")
    assert metrics["solver_note"].startswith("Solver: does not apply: it takes a constant force, and flow.forcing has")
    found = statuses(metrics["checks"])
    assert {name for name, status in found.items() if status != "passed"} <= {"conservation"}
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "run"), "--json"]) == 1
    again = {(item["name"], item.get("part")): item["value"] for item in json.loads(capsys.readouterr().out)}
    for item in metrics["checks"]:
        if item["name"] in ("pde_residual_l2", "momentum_budget", "energy_budget", "viscosity_misfit"):
            assert again[item["name"], item.get("part")] == item["value"]

    small = {"length": 10.0, "origin": 1000.0, "force": "4*sin(2*(y - 1000)/10)"}
    other = reconstruct(kolmogorov(tmp_path / "mm", **small), tmp_path / "mm_run")
    assert other["relative_l2"]["velocity"] < 1e-3

    wrong = reconstruct(kolmogorov(tmp_path, force=f"-{FORCE}"), tmp_path / "wrong")
    assert wrong["relative_l2"]["velocity"] > 0.5
    found = statuses(wrong["checks"])
    failed = ("pde_residual_l2", "conservation", "momentum_budget x", "energy_budget", "sensor_misfit")
    assert {found[name] for name in failed} == {"failed"}


VARYING = {
    "plain": (),
    "refined": ("train.points.refine={method: rad, every: 2}",),
    "causal": ("train.causal={tolerance: 1.0, every: 2}",),
    "corner": ("boundaries=[{where: {side: left}, u: 0.0, v: 0.0}, {where: {side: top}, u: 1.0, v: 0.0}]",),
    "ramp": ("domain={x: [0.0, 2.0], periodic: [x], jump: {x: -0.5}}",),
    "stream": ("model.stream_function=true",),
    "piratenet": ("model.architecture=piratenet", "model.factorization.mean=null"),
    "gauss_newton": ("train.optimizer=gauss_newton", "model.factorization.mean=null"),
    "ntk": ("train.balance={method: ntk, every: 2}",),
    "learned": ("flow.learn_forcing=[y]", "flow.learn_nu=true", "domain={y: [0.0, 1.5], periodic: [y]}"),
}


@pytest.mark.parametrize("name", VARYING)
def test_a_formula_of_one_value_trains_as_its_number(name: str, tiny: Tiny) -> None:
    """Whatever draws points, weighs them or takes rows of them has the force that belongs to them."""

    def ended(force: str) -> Trainer:
        return trained(tiny("unsteady_grid", "train.dtype=float64", f"flow.forcing=[{force}, 0.2]", *VARYING[name]))

    formula, number, other = (ended(force) for force in ("'0.7 + 0*x'", "0.7", "'0.7 + x*t'"))
    assert "known forcing" in formula.problem.batch(0)["equations"]
    assert "known forcing" not in number.problem.batch(0)["equations"]
    losses = [trainer.numbers for trainer in (formula, number, other)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-8)
    assert not np.allclose(losses[0], losses[2], rtol=1e-3)


def test_a_second_training_and_members_have_the_force(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    found = []
    for number, force in enumerate(("'0.7 + 0*x'", "0.7", "'0.7 + x*t'")):
        settings = ("train.dtype=float64", f"flow.forcing=[{force}, 0.2]", "evals={left_out: 0.2, members: 2}")
        metrics = reconstruct(tiny("unsteady_grid", *settings), tmp_path / str(number))
        values = [item["value"] for item in metrics["checks"]]
        found.append([*values, metrics["ensemble"]["width"], metrics["error_estimates"]["residual"]])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-12)
    assert not np.allclose(found[0], found[2], rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("flow.learn_forcing=[x]",),
            "flow.learn_forcing: expected a number as flow.forcing along x, the first guess,",
        ),
        (("flow.forcing=['sin(t)', 0]",), r"flow.forcing: expression 'sin\(t\)': uses t, but the coordinates are x, y"),
        (("flow.forcing=['x < 1', 0]",), "flow.forcing: expression 'x < 1': expected a number, got a condition"),
        (("flow.forcing=['log(x - 3)', 0]",), r"flow.forcing: expression 'log\(x - 3\)': expected finite values, got"),
        (("flow.forcing=['y', 0, 0]",), "flow.forcing: expected 2 numbers or expressions, got 3"),
        (("train.warm_start=solver",), "train.warm_start: the solver does not apply: it takes a constant force, and"),
        (("solver.unknown=[top]",), "solver.unknown: the solver does not apply: it takes a constant force, and"),
        (
            ("train.curriculum=[{until: 0.5, numbers: {forcing_x: 1.0}}]",),
            r"train.curriculum.0.numbers: expected known numbers of the equations \(nu, forcing_y\), got forcing_x",
        ),
    ],
)
def test_what_a_formula_cannot_be(changes: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=f"^{message}"):
        reconstruct(kolmogorov(tmp_path, *changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_constant_formula_is_its_number(tmp_path: Path) -> None:
    assert kolmogorov(tmp_path, force="2*pi").problem.forcing == (2 * np.pi, 0.0)


def test_a_box_around_a_body_tells_no_drag_where_a_force_drives(tmp_path: Path) -> None:
    """The force on the fluid between box and body would count as drag."""
    (tmp_path / "sensors.csv").write_text("x,y,u,v\n1.0,1.0,1.0,0.1\n2.0,-0.4,0.9,0.0\n")
    settings = {"data.measurements": str(tmp_path / "sensors.csv"), "domain.x": [-3.0, 5.0], "domain.y": [-3.0, 3.0]}
    circle = {"where": {"circle": {"center": [0.0, 0.0], "radius": 0.5}}, "u": 0.0, "v": 0.0}
    case = load_case(load_config(None, list((settings | {"flow.nu": 0.1, "boundaries": [circle]}).items())))
    model = flow_problem(load_config(None, [*settings.items(), ("flow.nu", 0.1)]), case).model
    (free,), (forced,) = (body_forces(case, model, 0.1, forced=forced) for forced in (False, True))
    assert set(free) - set(forced) == {"drag_of_box"}
    assert forced["drag"] == free["drag"]


def test_a_force_may_be_infinite_inside_a_body(tmp_path: Path, no_report: None) -> None:
    """A current between cylinders in a magnetic field drives by c / r; a point of the grid lies on the axis."""
    (tmp_path / "sensors.csv").write_text("x,y,u,v\n1.0,1.0,1.0,0.1\n2.0,-0.4,0.9,0.0\n0.0,1.5,0.3,0.2\n")
    settings = {"data.measurements": str(tmp_path / "sensors.csv"), "domain.x": [-2.0, 2.0], "domain.y": [-2.0, 2.0]}
    settings |= {"domain.holes": [{"circle": {"center": [0.0, 0.0], "radius": 0.3}}], "flow.nu": 0.1, "evals.grid": 9}
    settings |= {"flow.forcing": ["-y/(x**2 + y**2)", "x/(x**2 + y**2)"]}
    metrics = reconstruct(load_config(None, [*TINY, *settings.items()]), tmp_path / "run")
    values = {(item["name"], item.get("part")): item["value"] for item in metrics["checks"]}
    assert {("momentum_budget", "x"), ("energy_budget", None), ("pde_residual_l2", None)} <= set(values)
    assert np.isfinite([value for value in values.values() if value is not None]).all()
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        residual = file["residual/momentum_x"][()]
        assert 0.0 in file["x"][()]
    assert np.isnan(residual[4, 4])
    assert np.isnan(residual).sum() == 1
