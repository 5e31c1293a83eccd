"""What a run looks at and shows while it trains: exact flows and wrong ones, and that watching changes no bit."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from same_runs import Tiny, last_state, repr_bits
from tolerances import EXACT_FLOW

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.cli import main
from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.evals import TaylorGreen, verify
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import FlowProblem, flow_problem
from pinnx.jobs.judging.flow_balances import energy_budget, energy_growth, sub_box_budgets
from pinnx.jobs.judging.run_guard import watched_physics
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import Circle
from pinnx.train.problem import Problem


class Exact(FieldModel):
    """The vortices of the data, their velocity or their pressure times a factor."""

    def __init__(self, like: FieldModel, speed: float, pressure: float, *, backwards_from: float | None = None) -> None:
        scales = {"coordinate_scales": like.coordinate_scales, "field_scales": like.field_scales}
        super().__init__(3, 3, origin=like.origin, **scales)
        self.register_buffer("frequencies", like.frequencies.double())
        self._end = backwards_from
        self._scale = torch.tensor([speed, speed, pressure]) / torch.from_numpy(like.field_scales)

    def jet(self, x: torch.Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        flow, unit = TaylorGreen(nu=0.1, wavenumber=2.0), torch.from_numpy(self.coordinate_scales)

        def fields(inputs: torch.Tensor) -> torch.Tensor:
            t, x, y = (inputs * unit + torch.from_numpy(self.origin)).unbind(1)
            at = (t if self._end is None else self._end - t, x, y)
            return torch.column_stack([flow.velocity(*at), flow.pressure(*at)]) * self._scale

        with torch.enable_grad():
            found = jet_of(fields, x, spec)
        return pinn_ext.Jet(found.data.detach(), spec)


def exact_flow(config: Config, case: Case, speed: float = 1.0, pressure: float = 1.0, **changes: Any) -> FlowProblem:
    flow = flow_problem(config, case)
    terms, fields = flow.problem.terms, flow.problem.fields
    exact = Problem(Exact(flow.model, speed, pressure, **changes), terms, fields=fields)
    exact.to_dtype(torch.float64)
    return replace(flow, problem=exact)


def watched(config: Config, speed: float = 1.0, pressure: float = 1.0) -> dict[str, float]:
    flow = exact_flow(config, load_case(config), speed, pressure)
    return {item.name: item.value for item in watched_physics(flow)()}


def test_the_exact_flow_passes_and_wrong_ones_do_not(tiny: Tiny) -> None:
    config = tiny("unsteady_grid", "train.dtype=float64")
    right = watched(config)
    assert {"pde_residual_l2", "conservation", "sensor_misfit", "energy_budget", "reconstruction"} <= set(right)
    for name in ("pde_residual_l2", "conservation", "energy_budget", "reconstruction"):
        assert right[name] < EXACT_FLOW, name
    assert watched(config, speed=1.1)["reconstruction"] == pytest.approx(0.1)
    assert watched(config, speed=1.1)["energy_budget"] > 1e-3
    without_pressure = watched(config, pressure=0.0)
    assert without_pressure["energy_budget"] > 1e-3
    assert without_pressure["reconstruction"] < EXACT_FLOW, "of the velocity"


def test_energy_falls_where_nothing_drives_the_flow(tiny: Tiny) -> None:
    """And grows where time runs backwards; a force, a jump or an open side may drive it."""
    config = tiny("unsteady_grid", "train.dtype=float64")
    case = replace(load_case(config), periods={"x": 2.0, "y": 1.5})
    start, end = case.bounds["t"]
    right, wrong = exact_flow(config, case).problem, exact_flow(config, case, backwards_from=start + end).problem
    (falls,), (grows,) = (verify(energy_growth(case, problem, forced=False)) for problem in (right, wrong))
    assert (falls.value, falls.status, grows.status) == (0.0, "passed", "failed")
    assert grows.worst_at == (end,), "the vortices are strongest at their start"
    for driven in (replace(case, jumps={"x": 0.1}), replace(case, periods={"x": 2.0}), replace(case, steady=True)):
        assert energy_growth(driven, wrong, forced=False) == []
    assert energy_growth(case, wrong, forced=True) == []
    (budget,) = verify(energy_budget(case, wrong, 500, 0))
    assert (budget.status, budget.worst > budget.value, len(budget.worst_at)) == ("failed", True, 3)


def test_budgets_of_sub_boxes_are_those_of_the_flow_outside_of_bodies(tiny: Tiny) -> None:
    config = tiny("unsteady_grid", "train.dtype=float64")
    case = load_case(config)

    def budgets(speed: float = 1.0, **changes: Any) -> list[Any]:
        return sub_box_budgets(replace(exact_flow(config, case, speed), case=replace(case, **changes)))

    (right,) = budgets()
    assert (right.name, right.status, right.num_points) == ("mass_budget", "passed", 16)
    (x0, x1), (y0, y1) = case.bounds["x"], case.bounds["y"]
    (around,) = budgets(bodies=(Circle((0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1), 0.1 * (x1 - x0)),))
    assert (around.num_points, around.note.partition("; ")[2]) == (12, "without 4 of 16 sub-boxes")
    assert budgets(bodies=(Circle(((x0 + x1) / 2, (y0 + y1) / 2), 2 * (x1 - x0)),)) == [], "nothing is left to check"
    (broken,) = budgets(speed=float("nan"))
    assert (broken.status, broken.passed) == ("failed", False)


def test_holes_are_not_compared_and_measurements_have_no_reference(tiny: Tiny) -> None:
    config = tiny("unsteady_grid")
    case = load_case(config)
    assert case.reference is not None
    holes = np.arange(case.reference.num_points) % 2 == 0
    spoiled = case.reference.values.copy()
    spoiled[:, holes] = np.nan
    holed = replace(case, reference=replace(case.reference, values=spoiled, holes=holes))
    flow = replace(flow_problem(config, case), case=holed)
    values = {item.name: item.value for item in watched_physics(flow)()}
    assert np.isfinite(values["reconstruction"])
    config = tiny("unsteady_csv")
    found = watched_physics(flow_problem(config, load_case(config)))()
    assert "reconstruction" not in {item.name for item in found}


@pytest.mark.usefixtures("no_report")
def test_a_live_view_and_a_profile_change_no_bit(tiny: Tiny, tmp_path: Path) -> None:
    config, run = tiny("unsteady_grid", "train.balance.method=relobralo"), tmp_path / "run"
    reconstruct(config, tmp_path / "plain")
    console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})
    reconstruct(config, run, console=console, live=True, profile=True)
    watched = ("momentum_x", "pde_residual_l2", "sensor_misfit", "energy_budget", "epochs/hour")
    for part in ("sensors chosen in", *watched, "█", "weight", "profile: "):
        assert part in console.file.getvalue()
    assert (run / "profile.txt").stat().st_size > 0
    assert (run / "profile.json").stat().st_size > 0
    assert repr_bits(last_state(run)["model"]) == repr_bits(last_state(tmp_path / "plain")["model"])


def test_a_live_view_needs_a_terminal(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PinnxError, match=r"^--live: expected a terminal, got a file or a pipe; leave --live out$"):
        reconstruct(tiny("unsteady_grid"), tmp_path / "run", live=True)
    assert main(["demo", "--live"]) == 2
    assert "--live: expected a terminal" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["demo", "--live", "--quiet"])
    assert "argument --quiet: not allowed with argument --live" in capsys.readouterr().err
    assert not (tmp_path / "demo_run").exists()
