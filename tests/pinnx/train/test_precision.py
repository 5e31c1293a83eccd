"""Precision by schedule and by trial: each changes the steps, is left with its reason, and resumes to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.train import (
    NonFiniteLossError,
    Problem,
    Trainer,
    load_checkpoint,
    loss_scale,
    precision_policy,
    precision_trial,
    save_checkpoint,
)
from pinnx.train.precision import AdaptivePrecisionTrainer, PrecisionPolicy

Build = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"),
    reason=f"torch {torch.__version__} has no choice of products (2.9 has)",
)


def flat(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().double().reshape(-1) for p in trainer.problem.parameters()])


def trained(trainer: Trainer, steps: int) -> torch.Tensor:
    for _ in range(steps):
        trainer.train_step()
    return flat(trainer)


@pytest.fixture
def by_a_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product is rounded, also those that oneDNN would leave in float32 for their size."""
    monkeypatch.setattr("pinn_ext._impl.product.hardware_products", tuple)


@pytest.fixture
def bfloat16_pays(monkeypatch: pytest.MonkeyPatch, by_a_cast: None) -> None:
    """As on a CPU that multiplies in bfloat16 and with a wide network, with a trial every 3 steps."""
    monkeypatch.setattr(pinn_ext, "hardware_products", lambda device: ("bfloat16",))
    monkeypatch.setattr(precision_policy, "PAYS_FROM", {("cpu", True): 1})
    monkeypatch.setattr(precision_policy, "TRIAL_EVERY", 3)


# --- by schedule --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("by_a_cast")
@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float64"])
def test_a_schedule_changes_the_steps_from_its_own_on(make_trainer: Build, precision: str) -> None:
    plain, changed = make_trainer(), make_trainer(precision={0: "float32", 4: precision, 8: "float32"})
    assert torch.equal(trained(plain, 4), trained(changed, 4))
    far, near = (1e-2, 1e-6) if precision != "float64" else (1e-6, 1e-10)
    for steps in (1, 3):
        distance = (trained(plain, steps) - trained(changed, steps)).norm() / flat(plain).norm()
        assert near < distance < far
    assert changed.problem.model.frequencies.dtype == (torch.float64 if precision == "float64" else torch.float32)
    assert changed.problem.model.products == "ieee", "outside of the steps"
    trained(changed, 4)
    assert {p.dtype for p in changed.problem.parameters()} == {torch.float32}
    at = [message.split(":")[0] for message in changed.clock.notes]
    assert at == ["precision at step 5", "precision at step 9"]


@pytest.mark.usefixtures("by_a_cast")
@pytest.mark.parametrize("precision", ["float16", "float64"])
@pytest.mark.parametrize("stop", [4, 6, 8])
def test_resume_across_a_change(make_trainer: Build, tmp_path: Path, precision: str, stop: int) -> None:
    def build() -> Trainer:
        return make_trainer(precision={0: "float32", 4: precision, 8: "float32"})

    whole, part, resumed = build(), build(), build()
    wanted = trained(whole, 12)
    trained(part, stop)
    save_checkpoint(tmp_path / "c", part.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "c"))
    assert torch.equal(trained(resumed, 12 - stop), wanted)
    assert resumed.precision.state_dict() == whole.precision.state_dict()


def test_torchs_dtypes_and_a_trainer_of_that_name(make_trainer: Build) -> None:
    named = make_trainer(precision={0: "float32", 3: "float16", 6: "float32"})
    given = named.problem, named.phases._phases
    options = {"weights": dict.fromkeys(named.problem.names, 1.0), "steps": 12}
    other = AdaptivePrecisionTrainer(
        *given, precision_schedule={0: torch.float32, 3: torch.float16, 6: torch.float32}, **options
    )
    assert other.precision._schedule == named.precision._schedule == {0: "float32", 3: "float16", 6: "float32"}
    assert AdaptivePrecisionTrainer(*given, **options).precision._schedule is None


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({1: "float32"}, r"^train\.precision: expected steps >= 0 and one of them 0, got \[1\]$"),
        ({0: "half"}, r"^train\.precision: expected one of float64, float32, tf32, bfloat16, float16, got 'half'$"),
        ({0: torch.int8}, r"^train\.precision: expected one of .*, got torch.int8$"),
        ({0: "tf32"}, r"^train\.precision: expected a CUDA device for tf32, got cpu; bfloat16 is for CPUs$"),
    ],
)
def test_schedules_that_are_refused(make_trainer: Build, schedule: Any, message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        make_trainer(precision=schedule)


def test_a_second_order_method_is_left_in_ieee(make_trainer: Build) -> None:
    """What does not say which products it wants has exact ones, also while first-order steps have others."""
    trainer = make_trainer()
    objective, batch = trainer.phases.objective, trainer.problem.batch(0)
    exact = objective.gradients(batch)
    objective.products = "float16"
    assert torch.equal(objective.gradients(batch), exact)
    assert not torch.equal(objective.gradients(batch, "float16"), exact)


# --- the loss scale, and what is not finite -----------------------------------------------------------------------


def test_small_gradients_need_the_loss_scale(make_trainer: Build) -> None:
    trainer = make_trainer()
    objective, batch = trainer.phases.objective, trainer.problem.batch(0)
    objective.weights.fill_(1e-6)
    objective.gradients(batch)
    exact = precision_trial.flat_gradient(objective)

    def error(scale: float) -> float:
        objective.loss_scale.fill_(scale)
        numbers = objective.gradients(batch, "float16")
        assert torch.isfinite(numbers).all()
        return float((precision_trial.flat_gradient(objective) - exact).norm() / exact.norm())

    assert error(2.0**16) < 1e-3
    assert error(1.0) > 1e-2, "cotangents fall below the range of float16"


@pytest.mark.parametrize("check_every", [1, 100])
def test_a_first_scale_that_overflows_is_lowered_before_the_optimiser(make_trainer: Build, check_every: int) -> None:
    trainer, suited = (make_trainer(precision={0: "float16"}, check_every=check_every) for _ in range(2))
    trainer.precision._scale.value = 2.0**24
    found = trained(trainer, 5)
    assert trainer.precision._scale.value < 2.0**24
    suited.precision._scale.value = trainer.precision._scale.value
    assert torch.equal(trained(suited, 5), found)
    assert suited.precision._scale.value == trainer.precision._scale.value


def test_an_overflow_that_is_seen_some_steps_later(make_trainer: Build) -> None:
    trainer = make_trainer(precision={0: "float16"}, check_every=100)
    trained(trainer, 3)
    scale = trainer.precision._scale.value
    trainer.problem.terms[1].values *= 1e4
    trained(trainer, 3)
    assert not torch.isfinite(flat(trainer)).all(), "the scale was too large by then"
    trainer.require_finite()
    assert trainer.precision._scale.value < scale
    assert torch.isfinite(flat(trainer)).all()
    assert trainer.step == 6


def test_the_loss_scale_doubles_after_good_steps(make_trainer: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "DOUBLED_AFTER", 2)
    monkeypatch.setattr(loss_scale, "FIRST_SCALE", 4.0)
    trainer = make_trainer(precision={0: "float16", 5: "float32"})
    scales = []
    for _ in range(7):
        trainer.train_step()
        scales.append(trainer.precision._scale.value)
    assert scales == [4.0, 8.0, 8.0, 16.0, 16.0, 16.0, 16.0]


def test_what_float16_cannot_hold_is_taken_in_float32(make_trainer: Build) -> None:
    def build(precision: Any) -> Trainer:
        trainer = make_trainer(precision=precision)
        with torch.no_grad():
            trainer.problem.model.weights[1][0, 0] = 1e5
        return trainer

    reduced, plain = build({0: "float16"}), build({0: "float32"})
    assert torch.equal(trained(reduced, 3), trained(plain, 3))
    assert reduced.precision._scale.value == 2.0**16, "as a later entry of the schedule finds it"
    assert reduced.clock.notes[1:] == [
        "precision at step 1: float32 in place of float16: a loss or a gradient is not finite"
    ]


def test_what_float32_cannot_hold_either_still_stops(make_trainer: Build) -> None:
    trainer = make_trainer(precision={0: "float16"})
    trained(trainer, 2)
    before = flat(trainer)
    trainer.problem.terms[1].values[2, 1] = float("nan")
    with pytest.raises(NonFiniteLossError, match=r"^step 3: expected a finite loss, got nan"):
        trainer.train_step()
    assert torch.equal(flat(trainer), before)


# --- by trial -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("bfloat16_pays")
def test_a_cheaper_precision_is_tried_and_kept(make_trainer: Build) -> None:
    plain, tried = make_trainer(), make_trainer(precision="auto")
    assert not torch.equal(trained(plain, 2), trained(tried, 2)), "SOAP's first step moves nothing"
    trained(tried, 10)
    (message,) = tried.clock.notes
    assert message.startswith("precision at step 1: bfloat16 is tried: its gradient differs by ")
    assert tried.precision.precision == "bfloat16"


@pytest.mark.usefixtures("bfloat16_pays")
@pytest.mark.parametrize(
    ("limit", "value", "reasons"),
    [
        ("GRADIENT_TOLERANCE", 1e-9, ["step 1: bfloat16 is not used: its gradient differs by "]),
        ("UNDERFLOW", -1.0, ["step 1: bfloat16 is not used: 0.0% of the gradient has become zero"]),
        ("RISE", 1e-9, ["step 1: bfloat16 is tried", "step 7: float32 in place of bfloat16: the mean loss rose from "]),
    ],
)
def test_each_reason_to_leave_it(
    make_trainer: Build, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, reasons: list[str]
) -> None:
    monkeypatch.setattr(precision_trial, limit, value)
    trainer = make_trainer(precision="auto")
    trained(trainer, 12)
    assert len(trainer.clock.notes) == len(reasons), "it is not tried again"
    for message, reason in zip(trainer.clock.notes, reasons, strict=True):
        assert reason in message
    assert trainer.precision.precision == "float32"


@pytest.mark.usefixtures("bfloat16_pays")
@pytest.mark.parametrize("stop", [2, 5])
def test_a_resumed_trial(make_trainer: Build, tmp_path: Path, stop: int) -> None:
    whole, part, resumed = (make_trainer(precision="auto") for _ in range(3))
    wanted = trained(whole, 9)
    trained(part, stop)
    save_checkpoint(tmp_path / "c", part.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "c"))
    assert torch.equal(trained(resumed, 9 - stop), wanted)
    assert resumed.clock.notes == whole.clock.notes != []


def test_where_nothing_cheaper_pays_the_run_says_so(make_problem: Build) -> None:
    problem: Problem = make_problem()
    policy = PrecisionPolicy("auto", problem.model)
    assert policy._candidates() == ()
    wide = PrecisionPolicy("auto", make_problem(width=512).model)
    assert wide._candidates() == pinn_ext.hardware_products("cpu")


def test_a_narrow_network_stays_in_float32(make_trainer: Build) -> None:
    plain, auto = make_trainer(), make_trainer(precision="auto")
    said: list[str] = []
    auto.precision.report = said.append
    assert torch.equal(trained(plain, 4), trained(auto, 4))
    assert said[0].startswith("precision at step 1: float32 throughout: no cheaper precision pays with a network of")
