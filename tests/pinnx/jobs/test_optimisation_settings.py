"""Every setting of the optimisation acts: the training takes another course; one that would do nothing is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from same_runs import Tiny, assert_resumes_to_the_bit, course, made, parameter_bytes, trained
from torch import nn

import pinn_ext
from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.physics import WHOLE, JetTerm, Points, Share
from pinnx.runs.history import history_columns
from pinnx.train import Problem, Trainer
from pinnx.train.optimizers import FIRST_ORDER

NAMES = " and ".join(FIRST_ORDER)
PLAIN = "model.factorization.mean=null"
DOUBLE = ["train.dtype=float64"]
LBFGS = "train.phases=[{optimizer: lbfgs, start: 0.5}]"
SIDES = "boundaries=[{where: {side: left}, u: 0, v: 0}, {where: {side: top}, u: 1, v: 0}]"
FORCED = "flow={nu: 0.1, forcing: [1.0, 0.0], learn_forcing: [x]}"
THREE = "train.phases=[{optimizer: soap, dtype: float64, start: 0.3}, {optimizer: ssbroyden, start: 0.6}]"


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ([], "train.steps=7"),
        ([], "train.optimizer=adam"),
        ([], "train.lr=1e-2"),
        ([], "train.final_lr=1e-3"),
        ([], "train.betas=[0.8, 0.95]"),
        ([], "train.betas=[0.95, 0.8]"),
        ([], "train.precondition_frequency=2"),
        ([], "train.collocation_points=20"),
        ([], "train.boundary_points=9"),
        ([], "train.data_points=3"),
        ([SIDES, "model.corner_flow=false"], "train.corner_radius=0.3"),
        ([], "train.seed=5"),
        ([], "train.dtype=float64"),
        *(([], f"train.weights.{name}=3.0") for name in ("momentum", "continuity", "data", "boundary")),
        (["flow.learn_nu=true"], "train.lr_nu=0.1"),
        ([FORCED, "domain={x: [0.0, 2.0], periodic: [x]}"], "train.lr_forcing=0.1"),
        ([], "train.warm_up=2"),
        ([], "train.clip=0.1"),
        ([], LBFGS),
        ([LBFGS], "train.phases=[{optimizer: lbfgs, start: 0.7}]"),
        ([LBFGS], "train.phases=[{optimizer: ssbroyden, start: 0.5}]"),
        ([LBFGS], "train.quasi_newton.pairs=1"),
        ([LBFGS], "train.quasi_newton.points_for=2"),
        ([*DOUBLE, PLAIN, "train.optimizer=gauss_newton"], "train.quasi_newton.points_for=2"),
        ([], "train.phases=[{optimizer: soap, start: 0.5}]"),
        ([], "train.phases=[{optimizer: adam, start: 0.5}]"),
        (["train.phases=[{optimizer: soap, start: 0.5}]"], "train.phases=[{optimizer: soap, start: 0.5, lr: 0.01}]"),
        (
            ["train.phases=[{optimizer: soap, start: 0.5}]"],
            "train.phases=[{optimizer: soap, start: 0.5, dtype: float64}]",
        ),
        (
            ["train.lr=1e-8", "train.final_lr=0.0", "train.log_every=1", LBFGS.replace("0.5", "0.9")],
            "train.phases=[{optimizer: lbfgs, start: 0.9, patience: 1}]",
        ),
        (DOUBLE, "train.optimizer=lbfgs"),
        ([*DOUBLE, "train.optimizer=lbfgs"], "train.optimizer=ssbroyden"),
        ([*DOUBLE, PLAIN, "train.optimizer=lbfgs"], "train.optimizer=gauss_newton"),
    ],
)
def test_each_setting_changes_the_course(tiny: Tiny, base: list[str], change: str) -> None:
    assert course(tiny, *base, change) != course(tiny, *base)


@pytest.mark.parametrize(
    ("steps", "starts"),
    [(6, [0, 3, 5]), (3, [0, 1, 2]), (100, [0, 50, 99]), (1000, [0, 500, 999])],
)
def test_each_phase_takes_a_step_at_least(tiny: Tiny, steps: int, starts: list[int]) -> None:
    phases = "train.phases=[{optimizer: adam, start: 0.5}, {optimizer: soap, start: 0.999}]"
    trainer = made(tiny("unsteady_grid", phases, f"train.steps={steps}"))
    assert [phase.first for phase in trainer.phases._phases] == starts


def test_nothing_else_changes_the_course(tiny: Tiny) -> None:
    """Two trainings with the same settings give the same bits, also where the loss decides when a phase begins."""
    given = [*DOUBLE, LBFGS, "train.clip=0.1"]
    again = trained(tiny("unsteady_grid", *given))
    assert again.step == 6
    assert parameter_bytes(again) == course(tiny, *given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train.optimizer=lbfgs"], "train.dtype: expected float64 for lbfgs, which compares losses, got float32"),
        (
            ["train.phases=[{optimizer: ssbroyden, start: 0.5, dtype: float32}]"],
            "train.phases.0.dtype: expected float64 for ssbroyden, which compares losses, got float32",
        ),
        (
            ["train.phases=[{optimizer: lbfgs, start: 0.5, lr: 1.0}]"],
            f"train.phases.0.lr: only for {NAMES}, got optimizer lbfgs, which finds its own",
        ),
        (["train.phases=[{optimizer: soap}]"], "train.phases.0.start: expected a number > 0 and < 1, got nothing"),
        (["train.phases=[{start: 1.0}]"], "train.phases.0.start: expected a number > 0 and < 1, got 1.0"),
        (
            ["train.phases=[{start: 0.5}, {start: 0.5}]"],
            "train.phases: expected each start to be later than the one before, got [0.5, 0.5]",
        ),
        (
            ["train.phases=[{optimizer: adam, start: 0.5, lr: 1e-6}]"],
            "train.phases.0.lr: expected at least final_lr = 1e-05, got 1e-06",
        ),
        (["train.quasi_newton.pairs=3"], "train.quasi_newton.pairs: only for lbfgs, which no phase uses"),
        (
            ["train.quasi_newton.points_for=3"],
            "train.quasi_newton.points_for: only for gauss_newton and lbfgs and ssbroyden, which no phase uses",
        ),
        ([*DOUBLE, "train.optimizer=lbfgs", "train.clip=1.0"], f"train.clip: only for {NAMES}, got lbfgs"),
        (
            ["train.data_loss=huber", "train.phases=[{optimizer: gauss_newton, start: 0.5}]"],
            "train.data_loss: expected squares for optimizer gauss_newton, got huber",
        ),
        ([*DOUBLE, "train.optimizer=lbfgs", "train.warm_up=1"], f"train.warm_up: only for optimizer {NAMES}"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        load_config("demo", given)
    assert str(caught.value).startswith(message)


def test_a_later_phase_that_cannot_train_the_network_is_refused_before_the_first_step(tiny: Tiny) -> None:
    phases = "train.phases=[{optimizer: gauss_newton, start: 0.5}]"
    with pytest.raises(PinnxError, match=r"gauss_newton: expected a network .* set model\.factorization\.mean to null"):
        made(tiny("unsteady_grid", phases))
    made(tiny("unsteady_grid", phases, PLAIN))


@pytest.mark.parametrize("after", [2, 5])
def test_a_run_in_phases_resumes_to_the_same_bits(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_report: None, after: int
) -> None:
    """Before and behind a change of precision, and of the optimiser."""
    config = tiny("unsteady_grid", THREE, "train.log_every=1", "train.quasi_newton.points_for=2")
    assert_resumes_to_the_bit(config, tmp_path, monkeypatch, after - 1)
    notes = json.loads((tmp_path / "run" / "metrics.json").read_text())["notes"]
    assert notes[-2:] == ["soap from step 3 on", "ssbroyden from step 5 on"]


@pytest.fixture
def a_spoilt_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of step 5 is not finite, once."""
    original = Trainer.train_step
    spoilt = [4]

    def spoil(trainer: Trainer) -> None:
        parameter = trainer.problem.parameters()[0]
        hook = None
        if spoilt and trainer.step == spoilt[0]:
            del spoilt[0]
            hook = parameter.register_hook(lambda gradient: gradient * float("nan"))
        try:
            original(trainer)
        finally:
            if hook is not None:
                hook.remove()

    monkeypatch.setattr(Trainer, "train_step", spoil)


@pytest.mark.usefixtures("a_spoilt_step", "no_report")
def test_without_retries_a_loss_that_is_not_finite_ends_the_run(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"^step 5: expected finite gradients"):
        reconstruct(tiny("unsteady_grid", "train.retries=0"), tmp_path / "run")


@pytest.mark.usefixtures("a_spoilt_step", "no_report")
def test_rows_of_steps_that_were_taken_back_are_gone(tiny: Tiny, tmp_path: Path) -> None:
    """Each step stands once in the history, with the learning rate that counted."""
    config = tiny("unsteady_grid", "train.log_every=1")
    metrics = reconstruct(config, tmp_path / "run")
    history = history_columns(tmp_path / "run" / "history.jsonl")
    assert history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["lr"][0] == pytest.approx(config.train.lr / 2)
    (note,) = [note for note in metrics["notes"] if "again from step 0" in note]
    assert note.startswith("step 5: expected finite gradients, got NaN or infinity at a loss of ")


def test_a_training_that_ends_early_says_so(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    """One column, exactly zero from the start: nothing is left to lower."""
    zero = [f"train.weights.{name}=0.0" for name in ("momentum", "continuity", "boundary", "data")]
    config = tiny("unsteady_grid", *zero, *DOUBLE, "train.optimizer=lbfgs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = reconstruct(config, tmp_path / "run")
    assert metrics["steps"] == 1
    assert metrics["notes"][-1] == "the training ended after step 1 of 6: the gradient is zero"


class Offset(JetTerm, nn.Module):
    """The first field has a mean that is learned."""

    name, names, spec, num_points = "offset", ("offset",), pinn_ext.JetSpec(), 8

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(()))

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        return {"x": np.full((len(share.rows(self.num_points)), 3), 0.5)}

    def residual(self, jet: pinn_ext.Jet, points: Points) -> torch.Tensor:
        return jet.value[:, :1] - self.mean


@pytest.mark.parametrize("optimizer", FIRST_ORDER)
def test_the_parameters_of_any_term_are_trained(tiny: Tiny, optimizer: str) -> None:
    """Those of terms beside the equations were left out of what the optimiser was given."""
    config = tiny("unsteady_grid", f"train.optimizer={optimizer}")
    flow = flow_problem(config, load_case(config))
    offset = Offset()
    problem = Problem(flow.model, [*flow.problem.terms, offset], fields=flow.equations.fields)
    trainer = make_trainer(config, problem, flow.weights | {"offset": 1.0})
    for _ in range(2):  # SOAP's first step moves nothing
        trainer.train_step()
    assert offset.mean.item() != 0.0
