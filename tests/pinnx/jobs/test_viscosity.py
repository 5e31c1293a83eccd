"""A viscosity that the sensors do not tell is not checked; one that they hold is, right or wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnx.config import Config
from pinnx.evals import Kovasznay
from pinnx.evals.checks import Check, verify
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import FlowProblem, flow_problem
from pinnx.jobs.judging import found_numbers as viscosity
from pinnx.jobs.judging.found_numbers import held_by_sensors
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.physics.term import Measured
from pinnx.train.trainer import Trainer

Tiny = Callable[..., Config]
SMALL = (
    *("boundaries=[]", "model.sigma=0.5", "model.width=16", "model.layers=2", "model.frequencies=8"),
    *("train.collocation_points=128", "train.lr=1e-2", "train.steps=400"),
)


def table(config: Config, flow: Callable[[np.ndarray, np.ndarray], np.ndarray], every: int = 1) -> None:
    x, y = np.meshgrid(np.linspace(-0.45, 0.95, 5), np.linspace(-0.45, 0.45, 4))
    rows = np.column_stack([x.ravel(), y.ravel(), flow(x.ravel(), y.ravel())])[::every]
    np.savetxt(config.data.measurements.path, rows, delimiter=",", header="x,y,u,v", comments="", fmt="%.17g")


def trained(config: Config) -> tuple[FlowProblem, Trainer, list[Measured]]:
    flow = flow_problem(config, load_case(config))
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.run()
    (term, *_) = flow.problem.checked
    return flow, trainer, term.measure(flow.problem.model, num_points=500, seed=0)


def verdict(config: Config) -> tuple[Check, Check]:
    """Of `viscosity_misfit`, by the fields alone and with the sensors."""
    flow, trainer, measured = trained(config)
    pairs = verify(measured), verify(held_by_sensors(flow, trainer, measured, {}))
    assert flow.equations.nu == pytest.approx(config.problem.nu), "the viscosity is fixed again"
    assert "nu" not in flow.equations.found()
    alone, beside = (next(item for item in checks if item.name == viscosity.GATE) for checks in pairs)
    return alone, beside


@pytest.mark.parametrize("factor", [1.0, 2.0, 3.0, 0.5])
def test_a_wrong_viscosity_is_never_passed(tiny: Tiny, factor: float) -> None:
    config = tiny("steady_csv", *SMALL, f"flow.nu={0.05 * factor}")
    flow = Kovasznay(nu=0.05)
    table(config, lambda x, y: flow.velocity(0, x, y))
    _, beside = verdict(config)
    assert (beside.status == "passed") == (factor == 1.0), beside
    if beside.status == "not checked":
        least = float(re.search(r"least loss near (\S+),", beside.note)[1])
        assert (least < 1) == (factor > 1), "where the loss would take it is towards the right one"
        assert abs(math.log(least * factor)) < abs(math.log(factor)), "and nearer to it"


@pytest.mark.parametrize("nu", [0.05, 0.2])
def test_a_flow_that_any_viscosity_has_is_not_checked(tiny: Tiny, nu: float) -> None:
    """Between plates the pressure takes up any viscosity; the fields alone agree with each."""
    config = tiny("steady_csv", *SMALL, f"flow.nu={nu}")
    table(config, lambda x, y: np.column_stack([1 - 4 * y**2, 0 * x]))
    alone, beside = verdict(config)
    assert alone.status == "passed"
    assert beside.status == "not checked"
    assert "leave the viscosity open" in beside.note


def test_what_cannot_be_asked_is_said(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def note(*overrides: str, value: float | None = 0.01, flow: str = "steady_csv") -> str:
        config = tiny(flow, *overrides)
        made = flow_problem(config, load_case(config))
        trainer = make_trainer(config, made.problem, made.weights)
        given = Measured(viscosity.GATE, value, "as it is")
        (found,) = held_by_sensors(made, trainer, [given], {})
        assert found.checkable
        return found.note

    assert "no sum of squares" in note("train.data_loss=huber")
    assert "not known for such a network" in note("model.architecture=piratenet")
    for flow in ("steady_csv", "unsteady_grid"):
        assert "not known for such a network" in note("model.stream_function=true", flow=flow)
    assert note(value=None) == "as it is"
    assert note(value=0.5) == "as it is; a wrong or exchanged sensor or a wrong side has this effect too"
    with monkeypatch.context() as patch:
        patch.setattr(viscosity, "OPEN", 1e9)
        assert "hold it between" in (held := note())
        assert "exchanged" not in held


@pytest.mark.parametrize(("sensors", "held"), [(20, True), (4, False)])
def test_a_viscosity_that_is_fitted_needs_an_interval(
    tiny: Tiny, tmp_path: Path, no_report: None, sensors: int, held: bool
) -> None:
    """Fields agree with the viscosity that was fitted to them: with four sensors also with a quarter of the truth."""
    config = tiny("steady_csv", *SMALL, "flow.nu=0.15", "flow.learn_nu=true")
    flow = Kovasznay(nu=0.05)
    table(config, lambda x, y: flow.velocity(0, x, y), every=20 // sensors)
    metrics = reconstruct(config, tmp_path / "run")
    found, (item,) = metrics["found"]["nu"], [item for item in metrics["checks"] if item["name"] == viscosity.GATE]
    assert item["value"] < 0.05, "the fields have no objection"
    assert (abs(found["value"] / 0.05 - 1) < 0.2) == held
    assert (found["estimate"] is not None) == held
    assert item["status"] == ("passed" if held else "not checked")
    assert held or "was fitted to these fields, and has no interval" in item["note"]


def test_conditions_with_the_viscosity_take_part(tiny: Tiny) -> None:
    """An outflow without stress has nu in its rows, there one for each point."""
    outflow = "boundaries=[{where: {side: right}, condition: no_stress}]"
    config = tiny("steady_csv", *SMALL, outflow, "train.steps=2", "flow.nu=0.05")
    flow = flow_problem(config, load_case(config))
    trainer = make_trainer(config, flow.problem, flow.weights)
    (found,) = held_by_sensors(flow, trainer, [Measured(viscosity.GATE, 0.01, "as it is")], {})
    assert "not known" not in found.note
    assert found.note != "as it is"


def test_the_verdict_made_anew_is_that_of_the_run(
    finished: Callable[[str], tuple[Path, Path, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the fields have no objection, so that the sensors are asked."""
    from pinnx.jobs.judging.verification import verify_run

    folder, _, metrics = finished("steady_csv")
    (known,) = (item for item in metrics["checks"] if item["name"] == viscosity.GATE)
    (made,) = (item for item in verify_run(folder, {"pde-residual"}, lambda word: None) if item.name == viscosity.GATE)
    assert (made.status, made.note) == (known["status"], known["note"])
