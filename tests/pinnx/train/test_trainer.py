"""The loop: the loss falls, one that is not finite changes nothing, resumed runs equal unstopped ones."""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pinnx.errors import PinnxError
from pinnx.train import (
    ALONE,
    Hook,
    LoggedStep,
    NonFiniteLossError,
    Problem,
    StoppedBetweenSteps,
    Trainer,
    load_checkpoint,
    save_checkpoint,
)
from pinnx.train.optimizers import FIRST_ORDER

Build = Callable[..., Trainer]


def parameters(trainer: Trainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainer.problem.parameters()]


class Recorder(Hook):
    """Keeps what it is called with; ``press`` has Ctrl-C pressed after that step."""

    def __init__(self, press: int | None = None) -> None:
        self.steps: list[int] = []
        self.logged: list[LoggedStep] = []
        self.saved: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.returns: list[int] = []
        self._press = press

    def on_step(self, step: int) -> None:
        self.steps.append(step)
        if step == self._press:
            os.kill(os.getpid(), signal.SIGINT)

    def on_log(self, logged: LoggedStep) -> None:
        self.logged.append(logged)

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_return(self, step: int) -> None:
        self.returns.append(step)

    def on_checkpoint(self, state: dict[str, Any]) -> None:
        self.saved.append(state)


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def same_state(a: Any, b: Any) -> bool:
    """Whether two states are bitwise alike, but for the time they took."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[k], b[k]) for k in a if k != "train_s")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_state, a, b))
    return bool(a == b)


@pytest.mark.parametrize("optimizer", FIRST_ORDER)
def test_the_loss_falls(make_trainer: Build, optimizer: str) -> None:
    trainer = make_trainer(optimizer=optimizer, steps=150, lr=1e-2, log_every=1, hooks=[seen := Recorder()])
    trainer.run()
    assert len(seen.logged) == trainer.step == 150
    first, last = (sum(item.total for item in part) for part in (seen.logged[:20], seen.logged[-20:]))
    assert last < 0.7 * first


@pytest.mark.parametrize("learn_nu", [False, True])
@pytest.mark.parametrize("stop", [1, 2, 3, 4, 7, 11])
@pytest.mark.parametrize("optimizer", FIRST_ORDER)
def test_resume_equals_the_uninterrupted_run(
    make_trainer: Build, make_problem: Callable[..., Problem], tmp_path: Path, optimizer: str, stop: int, learn_nu: bool
) -> None:
    def build() -> Trainer:
        return make_trainer(optimizer=optimizer, problem=make_problem(learn_nu=learn_nu))

    whole, part, resumed = build(), build(), build()
    whole.run()
    for _ in range(stop):
        part.train_step()
    save_checkpoint(tmp_path / "c.pt", part.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
    resumed.run()
    assert resumed.step == 12
    assert same(parameters(whole), parameters(resumed))
    assert same_state(whole.state_dict(), resumed.state_dict())
    assert not same(parameters(whole), parameters(build())), "something was trained"


def test_two_runs_are_bitwise_alike(make_trainer: Build) -> None:
    first, second = make_trainer(), make_trainer()
    torch.manual_seed(1)  # the global generator has no say
    first.run()
    torch.manual_seed(2)
    second.run()
    assert same_state(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("check_every", [1, 2, 3, 100])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_optimiser(
    make_trainer: Build, bad: float, check_every: int
) -> None:
    """Read after each step, or from a flag some steps later: the same step is named, with the same parameters."""
    trainer = make_trainer(check_every=check_every)
    for _ in range(4):
        trainer.train_step()
    before, state = parameters(trainer), trainer.method.optimizer.state_dict()["state"][0]["exp_avg"].clone()
    data = trainer.problem.terms[1]
    draw = data.draw
    data.draw = lambda step, *given: draw(step, *given) | ({"values": data.values * bad} if step == 4 else {})
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.run()
    message = str(caught.value)
    assert message.startswith(f"step 5: expected a finite loss, got {bad:g} (momentum_x ")
    assert f"data {bad:g}" in message
    assert trainer.step == 4
    assert same(before, parameters(trainer))
    assert torch.equal(state, trainer.method.optimizer.state_dict()["state"][0]["exp_avg"])
    assert all(torch.isfinite(p).all() for p in parameters(trainer))


class Overflows:
    """A term's loss that is not finite once the network has moved too far from where it was."""

    def __init__(self, trainer: Trainer, limit: float) -> None:
        self._start, self._limit = parameters(trainer), limit
        self._term = trainer.problem.terms[1]
        self._columns, self._term.columns = self._term.columns, self

    def __call__(self, residual: torch.Tensor, points: Any) -> torch.Tensor:
        return self._columns(residual, points) / (self.far() < self._limit)

    def far(self) -> float:
        return max(float((p - q).abs().max()) for p, q in zip(self._now(), self._start, strict=True))

    def follow(self, trainer: Trainer) -> Overflows:
        self._now = lambda: parameters(trainer)
        return self


@pytest.mark.parametrize("check_every", [1, 4])
def test_a_loss_that_is_not_finite_is_tried_again_in_smaller_steps(make_trainer: Build, check_every: int) -> None:
    """From the last good state; hooks hear of it, and rows of steps that are taken back do not count."""
    trainer = make_trainer(check_every=check_every, hooks=[seen := Recorder()], log_every=1, lr=2e-2)
    overflows = Overflows(trainer, 0.1).follow(trainer)
    trainer.run()
    assert trainer.step == 12
    assert overflows.far() < 0.1, "steps were smaller"
    (note, *_) = trainer.clock.notes
    step = int(note.split()[1].removesuffix(":"))
    assert note.startswith(f"step {step}: expected a finite loss, got inf (momentum_x ")
    assert re.search(r"data inf.*\); again from step \d+, in steps of 0\.5 of their size$", note)
    assert seen.notes == trainer.clock.notes
    back = seen.returns[0]
    assert 0 <= back < step
    first, again = ([item for item in seen.logged if item.step == back + 1][k] for k in (0, 1))
    assert (first.total, again.lr) == (again.total, first.lr / 2), "the same points and parameters, half the step"
    assert trainer.train_s >= seen.logged[-2].time_s


def test_how_often_it_is_tried(make_trainer: Build) -> None:
    tried = "tried 2 times again from step 0, at last in steps of 0.25 of their size; "
    for retries, wanted in ((0, ""), (2, tried)):
        trainer = make_trainer(retries=retries, lr=2e-2, hooks=[seen := Recorder()])
        Overflows(trainer, 1e-4).follow(trainer)
        with pytest.raises(NonFiniteLossError) as caught:
            trainer.run()
        assert len(seen.returns) == retries
        assert str(caught.value).startswith("step 3: expected a finite loss, got inf (")
        advice = "try a smaller train.lr in a new --out, resuming repeats it"
        assert str(caught.value).partition("); ")[2] == wanted + advice


def test_first_and_last_steps_are_logged(make_trainer: Build) -> None:
    make_trainer(steps=12, log_every=5, hooks=[seen := Recorder()]).run()
    logged = seen.logged
    assert [item.step for item in logged] == [1, 5, 10, 12]
    assert seen.steps == list(range(1, 13))
    start, final = 3e-3, 1e-5
    for item in logged:  # the rate with which the step was taken: the first has the full one
        cosine = (1 + math.cos(math.pi * (item.step - 1) / 12)) / 2
        assert item.lr == pytest.approx(final + (start - final) * cosine)
    row = logged[1].as_row()
    names = ["momentum_x", "momentum_y", "continuity", "data", "boundary"]
    keys = ["step", "time_s", "lr", "loss/total", *(f"loss/{name}" for name in names), "steps_per_s"]
    assert list(row) == keys
    assert row["loss/total"] == pytest.approx(sum(row[f"loss/{name}"] for name in names), rel=1e-5)
    times = [item.time_s for item in logged]
    assert times == sorted(times)
    assert all(item.steps_per_s > 0 for item in logged)


def test_checkpoints_come_at_their_steps(make_trainer: Build) -> None:
    make_trainer(steps=12, checkpoint_every=5, hooks=[first := Recorder(), second := Recorder()]).run()
    for seen in (first, second):
        assert [state["clock"]["step"] for state in seen.saved] == [5, 10]


def test_ctrl_c_stops_after_the_step_at_hand(make_trainer: Build) -> None:
    trainer, other = make_trainer(hooks=[Recorder(press=5)]), make_trainer()
    with pytest.raises(StoppedBetweenSteps):
        trainer.run()
    for _ in range(5):
        other.train_step()
    assert same_state(trainer.state_dict(), other.state_dict())
    trainer.run()
    assert trainer.step == 12, "it can go on"


def test_a_second_ctrl_c_stops_at_once(make_trainer: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer()
    steps = trainer.train_step

    def step_with_two_presses() -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return steps()

    monkeypatch.setattr(trainer, "train_step", step_with_two_presses)
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.run()
    assert not isinstance(caught.value, StoppedBetweenSteps), "the state may be that of half a step"


@pytest.mark.parametrize(
    ("more", "got"), [((), r"none for \['boundary'\]"), (("boundary", "outflow"), r"\['outflow'\]")]
)
def test_every_column_needs_a_weight_and_no_other_has_one(make_trainer: Build, more: tuple[str, ...], got: str) -> None:
    names = ("momentum_x", "momentum_y", "continuity", "data", *more)
    with pytest.raises(PinnxError, match=f"weights: expected one for each column of the loss, .*got {got}"):
        make_trainer(weights=dict.fromkeys(names, 1.0))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(make_trainer: Build, weight: float) -> None:
    names = ("momentum_x", "momentum_y", "continuity", "data", "boundary")
    with pytest.raises(PinnxError, match=r"^weights: expected finite numbers >= 0, got \{'data': "):
        make_trainer(weights={**dict.fromkeys(names, 1.0), "data": weight})


@pytest.mark.parametrize("name", ["steps", "log_every", "checkpoint_every"])
@pytest.mark.parametrize("value", [0, -1, 3.5])
def test_steps_and_intervals_are_whole_numbers(make_trainer: Build, name: str, value: float) -> None:
    with pytest.raises(PinnxError, match=f"^{name}: expected an integer >= 1, got {value}"):
        make_trainer(**{name: value})


@pytest.mark.parametrize("check_every", [1, 5])
def test_gradients_that_are_not_finite_stop_it_too(make_trainer: Build, check_every: int) -> None:
    trainer = make_trainer(check_every=check_every)
    trainer.train_step()
    before = parameters(trainer)
    spoilt = {1: float("inf")}
    weight = trainer.problem.model.weights[0]
    weight.register_hook(lambda gradient: gradient * spoilt.get(trainer.step, 1.0))
    with pytest.raises(NonFiniteLossError, match=r"^step 2: expected finite gradients, got NaN or infinity at a loss"):
        trainer.run()
    assert same(before, parameters(trainer))


@pytest.mark.parametrize("check_every", [1, 4])
def test_a_flag_that_is_read_later_changes_nothing(make_trainer: Build, check_every: int) -> None:
    trainer, other = make_trainer(check_every=check_every), make_trainer()
    trainer.run()
    other.run()
    assert same_state(trainer.state_dict(), other.state_dict())


class Reads(TorchDispatchMode):
    """Counts the numbers that are read back from tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::item")
        return func(*args, **(kwargs or {}))


def test_steps_between_two_checks_read_nothing_back(make_trainer: Build) -> None:
    trainer = make_trainer(check_every=20, steps=60)
    for _ in range(20):
        trainer.train_step()
    counts = []
    for _ in range(21):
        with Reads() as reads:
            trainer.train_step()
        counts.append(reads.count)
    assert counts == [2, *[0] * 19, 2], "the flag and the numbers of the step, at steps 20 and 40"


def test_a_part_with_a_state_joins_the_checkpoint(make_trainer: Build) -> None:
    """What a strategy adds to the parts is saved, loaded and asked for by name."""

    class Counter:
        count = 0

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    trainer, resumed = make_trainer(), make_trainer()
    names = ["phases", "precision", "model", "term equations", "weights", "clock"]
    assert list(trainer.state_dict()) == names
    trainer.parts["pool"], resumed.parts["pool"] = Counter(), Counter()
    trainer.parts["pool"].count = 3
    resumed.load_state_dict(trainer.state_dict())
    assert resumed.parts["pool"].count == 3
    with pytest.raises(PinnxError, match=r"^checkpoint: expected one of this configuration, got one with pool$"):
        make_trainer().load_state_dict(trainer.state_dict())
    with pytest.raises(PinnxError, match=r"^checkpoint: expected one of this configuration, got one without pool$"):
        resumed.load_state_dict(make_trainer().state_dict())


@pytest.mark.parametrize("spoil", ["width", "optimizer", "missing"])
def test_a_checkpoint_of_something_else_is_refused(make_trainer: Build, spoil: str) -> None:
    trainer = make_trainer()
    trainer.train_step()
    state = trainer.state_dict()
    if spoil == "width":
        state["model"] = {name: value[..., :1] for name, value in state["model"].items()}
    elif spoil == "optimizer":
        state["phases"]["method"]["optimizer"] = {"state": {}, "param_groups": []}
    else:
        del state["clock"]["step"]
    with pytest.raises(PinnxError, match=r"^checkpoint: expected one of this configuration, got another \w+: [^\n]*$"):
        make_trainer().load_state_dict(state)


def test_copies_of_a_training_under_torchrun_are_refused(make_trainer: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PinnxError, match=r"^Trainer: expected one process, got 2 that torchrun started.*Distributed"):
        make_trainer(steps=2)
    own = make_trainer(steps=2, ranks=ALONE)
    own.run()
    monkeypatch.setenv("WORLD_SIZE", "1")
    alone = make_trainer(steps=2)
    alone.run()
    assert all(torch.equal(a, b) for a, b in zip(parameters(own), parameters(alone), strict=True))
