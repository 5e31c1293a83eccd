"""Every setting of the losses and their weights acts: with another value the training takes another course."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_runs import Tiny, course, last_state, trained

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.runs.history import history_columns
from pinnx.train import load_checkpoint
from pinnx.train.checkpoint import checkpoint_loss

STAGED = "train.curriculum=[{until: 0.5, numbers: {nu: 1.0}}]"
RELOBRALO, GRADNORM = "train.balance.method=relobralo", "train.balance.method=gradnorm"


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ([], RELOBRALO),
        ([RELOBRALO], "train.balance.temperature=1.0"),
        ([RELOBRALO], "train.balance.decay=0.5"),
        ([RELOBRALO], "train.balance.lookback=0.0"),
        ([], GRADNORM),
        ([GRADNORM, "train.balance.every=1", "train.balance.lr=1.0"], "train.balance.asymmetry=0.0"),
        ([GRADNORM], "train.balance.lr=0.1"),
        ([GRADNORM], "train.balance.every=2"),
        ([], "train.physics_ramp=[0.3, 0.7]"),
        ([], "train.balance.method=ntk"),
        (["train.balance.method=ntk"], "train.balance.every=2"),
        ([], "train.balance.method=lagrangian"),
        (["train.balance.method=lagrangian"], "train.balance.growth=0.1"),
        (["train.balance.method=lagrangian"], "train.balance.memory=0.5"),
        ([], "data.noise=100.0"),
        (["data.noise=100.0"], "data.noise={share: 100.0, u: 1.0}"),
        ([], "train.causal.tolerance=1.0"),
        (["train.causal.tolerance=1.0"], "train.causal.tolerance=10.0"),
        (["train.causal.tolerance=1.0"], "train.causal.parts=3"),
        (["train.causal.tolerance=1.0"], "train.causal.every=2"),
        ([], "train.data_loss=huber"),
        (["train.data_loss=huber"], "train.huber_delta=0.01"),
        (["train.physics_ramp=[0.3, 0.7]"], "train.physics_ramp=[0.3, 0.9]"),
        ([], "train.precision=[[0, float32], [2, float16]]"),
        ([], "train.curriculum=[{until: 0.5, numbers: {nu: 1.0}}]"),
        ([STAGED], "train.curriculum.0.until=0.3"),
        ([STAGED], "train.curriculum.0.numbers.nu=2.0"),
        (["flow.forcing=[0.1, 0.2]"], "train.curriculum=[{until: 0.5, numbers: {forcing_y: 1.0}}]"),
    ],
)
def test_each_setting_changes_the_course(tiny: Tiny, base: list[str], change: str) -> None:
    assert course(tiny, *base, change) != course(tiny, *base)


def test_precision_as_the_configuration_has_it(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    metrics = reconstruct(tiny("unsteady_grid", "train.precision=auto"), tmp_path / "run")
    (note,) = [note for note in metrics["notes"] if note.startswith("precision")]
    assert "no cheaper precision pays" in note
    with pytest.raises(PinnxError, match=r"^train\.precision: expected train\.dtype float32 beside it, got float64$"):
        trained(tiny("unsteady_grid", "train.precision=auto", "train.dtype=float64"))
    with pytest.raises(PinnxError, match=r"^train\.streams: expected 1 on the cpu, where terms run in order, got 2$"):
        trained(tiny("unsteady_grid", "train.streams=2"))


def test_the_ramp_holds_back_the_equations_alone(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    """In the history: 0, then growing, then as configured; what is measured keeps its weight."""
    config = tiny("unsteady_grid", "train.physics_ramp=[0.3, 0.7]", "train.log_every=1", "train.weights.momentum=2.0")
    reconstruct(config, tmp_path / "run")
    history = history_columns(tmp_path / "run" / "history.jsonl")
    # Steps 0 .. 5 of 6: shares 0, 1/6, 1/3, 1/2, 2/3, 5/6.
    wanted = [0.0, 0.0, 1 / 12, 0.5, 11 / 12, 1.0]
    assert history["weight/continuity"].tolist() == pytest.approx(wanted, abs=1e-6)
    assert history["weight/momentum_x"].tolist() == pytest.approx([2 * value for value in wanted], abs=1e-6)
    assert set(history["weight/data"]) == set(history["weight/boundary"]) == {10.0}


def test_a_curriculum_has_the_equations_of_its_stages(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    """The first step is that of a run with the viscosity of the stage; the end is one with that of the flow."""
    stages = "train.curriculum=[{until: 0.3, numbers: {nu: 0.2}}, {until: 0.6, numbers: {nu: 0.1}}]"
    one = (
        "train.log_every=1",
        "train.balance.method=lagrangian",
        "train.checkpoint_every=1",
        "train.keep_checkpoints=9",
        "train.phases=[{start: 0.9, optimizer: adam, patience: 50}]",
    )
    reconstruct(tiny("unsteady_grid", "flow.nu=0.05", stages, *one), tmp_path / "run")
    reconstruct(tiny("unsteady_grid", "flow.nu=0.2", *one), tmp_path / "first")
    history, first = (history_columns(tmp_path / name / "history.jsonl") for name in ("run", "first"))
    # Shares of the steps to come: 1/6, 1/3, 1/2, 2/3, 5/6, 1.
    assert history["number/nu"].tolist() == pytest.approx([0.2, 0.1, 0.1, 0.05, 0.05, 0.05], rel=1e-6)
    assert history["loss/momentum_x"][:2].tolist() == first["loss/momentum_x"][:2].tolist()
    assert history["loss/momentum_x"][2] != first["loss/momentum_x"][2]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["nu"] == pytest.approx(0.05)
    state = last_state(tmp_path / "run")["term equations"]
    plain = last_state(tmp_path / "first")["term equations"]
    kept = sorted((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    best = [math.isfinite(checkpoint_loss(path)) for path in kept]
    assert best == [False] * 5 + [True] * 2, "a loss of an easier stage makes no checkpoint the best"
    ((step, _),) = load_checkpoint(kept[5])["phases"]["trend"]["logged"]
    assert step == 5, "nor is it part of the trend"
    assert float(state["fixed_nu"]) * 4 == pytest.approx(float(plain["fixed_nu"]), rel=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["flow.learn_nu=true"], r"0\.numbers: expected known numbers of the equations \(there is none\), got nu$"),
        (
            ["train.curriculum.0.numbers={re: 9.0}"],
            r"0\.numbers: expected known numbers of the equations \(nu\), got re$",
        ),
        (["train.curriculum.0.numbers={nu: -1.0}"], r"0\.numbers\.nu: expected a number > 0, got -1$"),
    ],
)
def test_a_curriculum_of_other_numbers_is_refused(tiny: Tiny, given: list[Any], message: str) -> None:
    with pytest.raises(PinnxError, match=r"^train\.curriculum\." + message):
        trained(tiny("unsteady_grid", STAGED, *given))


def test_the_best_checkpoint_is_judged_by_the_configured_weights(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    """Steps before the equations count have the least total, whatever their fields are."""
    logs = ("train.log_every=1", "train.checkpoint_every=1")
    reconstruct(tiny("unsteady_grid", "train.physics_ramp=[0.5, 0.9]", *logs), tmp_path / "run")
    history = history_columns(tmp_path / "run" / "history.jsonl")
    columns = [name for name in history if name.startswith("loss/") and name != "loss/total"]
    weights = {"loss/data": 10.0, "loss/boundary": 10.0}
    comparable = sum(weights.get(name, 1.0) * history[name] for name in columns)
    kept = {load_checkpoint(path)["clock"]["step"]: path for path in (tmp_path / "run" / "checkpoints").glob("*.*")}
    for step in kept.keys() - {0}:
        assert checkpoint_loss(kept[step]) == pytest.approx(comparable[step - 1], rel=1e-5)
    assert int(comparable.argmin()) + 1 in kept
    assert not np.allclose(comparable, history["loss/total"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train.balance.temperature=1.0"], "temperature: only for method relobralo, got method none"),
        ([RELOBRALO, "train.balance.every=5"], "every: only for method gradnorm and ntk, got method relobralo"),
        ([GRADNORM, "train.balance.lookback=0.5"], "lookback: only for method relobralo, got method gradnorm"),
        ([GRADNORM, "train.balance.growth=1.0"], "growth: only for method lagrangian, got method gradnorm"),
        (["train.causal.parts=3"], "parts: only with a tolerance, got tolerance null"),
        (["train.huber_delta=0.2"], "huber_delta: only for data_loss huber, got data_loss squares"),
        (
            [STAGED.replace("}]", "}, {until: 0.4, numbers: {nu: 0.5}}]")],
            "curriculum: expected rising until, got 0.5, 0.4",
        ),
        ([STAGED, "train.curriculum.0.until=1.0"], r"curriculum\.0\.until: expected a number > 0 and < 1, got 1\.0"),
        (["train.physics_ramp=[0.7, 0.3]"], "lo < hi"),
        (["train.physics_ramp=[0.7, 1.3]"], "0 <= lo < hi <= 1"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: list[Any], message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        load_config("demo", given)


def test_one_column_with_a_weight_leaves_nothing_to_balance(tiny: Tiny) -> None:
    zero = [f"train.weights.{name}=0.0" for name in ("momentum", "continuity", "boundary")]
    config = tiny("unsteady_grid", *zero, RELOBRALO)
    with pytest.raises(
        PinnxError, match=r"^train\.balance: expected two columns of the loss with a weight > 0, got 1$"
    ):
        trained(config)


def test_a_steady_flow_has_no_causal_weights(tiny: Tiny) -> None:
    message = r"^train\.causal\.tolerance: expected a flow with times, got a steady one; set it to null$"
    with pytest.raises(PinnxError, match=message):
        trained(tiny("steady_grid", "train.causal.tolerance=1.0"))
