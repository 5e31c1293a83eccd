"""Every setting of the losses and their weights acts: with another value the training takes another course."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.flow_problem import flow_problem
from pinnx.jobs.load_case import load_case
from pinnx.jobs.training import make_trainer
from pinnx.runs.history import history_columns
from pinnx.train import Trainer, load_checkpoint
from pinnx.train.checkpoint import checkpoint_loss

Tiny = Callable[..., Config]
RELOBRALO, GRADNORM = "train.balance.method=relobralo", "train.balance.method=gradnorm"


def trained(config: Config) -> Trainer:
    flow = flow_problem(config, load_case(config))
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.run()
    return trainer


def bits(trainer: Trainer) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in trainer.problem.parameters()]


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ([], RELOBRALO),
        ([RELOBRALO], "train.balance.temperature=1.0"),
        ([RELOBRALO], "train.balance.decay=0.5"),
        ([RELOBRALO], "train.balance.lookback=0.0"),
        ([], GRADNORM),
        ([GRADNORM, "train.balance.every=1"], "train.balance.asymmetry=0.0"),
        ([GRADNORM], "train.balance.lr=0.1"),
        ([GRADNORM], "train.balance.every=2"),
        ([], "train.physics_ramp=[0.3, 0.7]"),
        ([], "train.balance.method=ntk"),
        (["train.balance.method=ntk"], "train.balance.every=2"),
        ([], "train.balance.method=lagrangian"),
        (["train.balance.method=lagrangian"], "train.balance.growth=0.1"),
        (["train.balance.method=lagrangian"], "train.balance.memory=0.5"),
        ([], "train.causal.tolerance=1.0"),
        (["train.causal.tolerance=1.0"], "train.causal.tolerance=10.0"),
        (["train.causal.tolerance=1.0"], "train.causal.parts=3"),
        (["train.causal.tolerance=1.0"], "train.causal.every=2"),
        ([], "train.data_loss=huber"),
        (["train.data_loss=huber"], "train.huber_delta=0.01"),
        (["train.physics_ramp=[0.3, 0.7]"], "train.physics_ramp=[0.3, 0.9]"),
        ([], "train.precision=[[0, float32], [2, float16]]"),
    ],
)
def test_each_setting_changes_the_course(tiny: Tiny, base: list[str], change: str) -> None:
    without, with_it = tiny("unsteady_grid", *base), tiny("unsteady_grid", *base, change)
    reference = bits(trained(without))
    assert bits(trained(with_it)) != reference
    assert bits(trained(without)) == reference, "nothing else did"


def test_precision_as_the_configuration_has_it(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    metrics = reconstruct(tiny("unsteady_grid", "train.precision=auto"), tmp_path / "run")
    (note,) = [note for note in metrics["notes"] if note.startswith("Precision")]
    assert "no cheaper precision pays" in note
    with pytest.raises(PinnxError, match=r"^train\.precision: expected train\.dtype float32 beside it, got float64$"):
        trained(tiny("unsteady_grid", "train.precision=auto", "train.dtype=float64"))


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
