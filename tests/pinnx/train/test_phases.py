"""Phases: when they begin, on which points and in which precision they train, and what a resumed run has of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.losses import CausalWeights, GradNorm
from pinnx.train import (
    FirstOrder,
    Hook,
    LoggedStep,
    Objective,
    Phase,
    Problem,
    Trainer,
    cosine_schedule,
    load_checkpoint,
    make_optimizer,
    make_quasi_newton,
    save_checkpoint,
)
from pinnx.train.problem import Batch
from pinnx.train.quasi_newton import QuasiNewton
from pinnx.train.trend import Trend

MakeProblem = Callable[..., Problem]


def first_order(name: str, lr: float = 3e-3) -> Callable[[Objective, int], FirstOrder]:
    def make(objective: Objective, steps: int) -> FirstOrder:
        optimizer = make_optimizer(name, objective.parameters, lr=lr, betas=(0.95, 0.95), precondition_frequency=2)
        return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, min(lr, 1e-5)))

    return make


def quasi_newton(name: str) -> Callable[[Objective, int], QuasiNewton]:
    return lambda objective, steps: make_quasi_newton(name, objective, pairs=3)


FOUR = [
    Phase(first_order("soap"), name="soap"),
    Phase(first_order("adam"), name="adam", first=3, dtype=torch.float64),
    Phase(quasi_newton("lbfgs"), name="lbfgs", first=5, points_for=3),
    Phase(quasi_newton("ssbroyden"), name="ssbroyden", first=10, points_for=2),
]


class Seen(Hook):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.logged: list[LoggedStep] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_log(self, logged: LoggedStep) -> None:
        self.logged.append(logged)


def build(problem: Problem, phases: list[Phase], steps: int = 14, **changes: Any) -> Trainer:
    given = {"weights": dict.fromkeys(problem.names, 1.0), "steps": steps, "log_every": 1} | changes
    return Trainer(problem, phases, **given)


def bits(state: Any) -> Any:
    """A state but for its times, tensors as their bytes."""
    if isinstance(state, dict):
        return {key: bits(value) for key, value in state.items() if key != "train_s"}
    if isinstance(state, list | tuple):
        return [bits(value) for value in state]
    return (str(state.dtype), state.numpy().tobytes()) if isinstance(state, Tensor) else state


@pytest.mark.parametrize("strategies", [False, True])
def test_a_resumed_run_has_the_same_bits_in_every_phase(
    make_problem: MakeProblem, tmp_path: Path, strategies: bool
) -> None:
    """From a checkpoint after each of the steps: inside a phase, at its last step, on points that are kept."""

    def trainer() -> Trainer:
        trainer = build(make_problem(learn_nu=True, parts_measured=True), FOUR)
        if strategies:
            term, weights = trainer.problem.terms[0], trainer.weights
            term.time_weights = torch.ones(4)
            causal = CausalWeights(term, weights.configured, trainer.problem.names, tolerance=1.0, every=2)
            weights.adapt_by(GradNorm(weights.configured, every=2), causal)
        return trainer

    whole, wanted = trainer(), []
    for step in range(14):
        save_checkpoint(tmp_path / f"{step}", whole.state_dict())
        whole.train_step()
        wanted.append(bits(whole.state_dict()))
    for step in range(14):
        resumed = trainer()
        resumed.load_state_dict(load_checkpoint(tmp_path / f"{step}"))
        assert resumed.step == step
        for later in range(step, min(step + 4, 14)):  # beyond the next draw of points
            resumed.train_step()
            assert bits(resumed.state_dict()) == wanted[later], f"step {later} from step {step} on"
    assert len({repr(state["model"]) for state in wanted}) == 14, "each step changed the network"


def test_a_phase_begins_at_its_step_in_its_precision(make_problem: MakeProblem) -> None:
    trainer = build(make_problem(), FOUR, hooks=[seen := Seen()])
    found = []
    while trainer.step < 14:
        trainer.train_step()
        found.append((trainer.phases.number, trainer.problem.model.frequencies.dtype))
    single, double = torch.float32, torch.float64
    assert found == [(0, single)] * 3 + [(1, double)] * 2 + [(2, double)] * 5 + [(3, double)] * 4
    assert {p.dtype for p in trainer.problem.parameters()} == {double}
    assert seen.notes == ["adam from step 4 on", "lbfgs from step 6 on", "ssbroyden from step 11 on"]
    assert trainer.clock.notes == seen.notes


def test_points_are_drawn_once_for_as_many_steps(make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, drawn = make_problem(), []
    batch = problem.batch
    monkeypatch.setattr(problem, "batch", lambda step, share: drawn.append(step) or batch(step, share))
    build(problem, FOUR).run()
    assert drawn == [0, 1, 2, 3, 4, 5, 8, 10, 12]


def test_what_is_logged_is_of_the_method(make_problem: MakeProblem) -> None:
    build(make_problem(), FOUR, hooks=[seen := Seen()]).run()
    rows = [logged.as_row() for logged in seen.logged]
    assert all("method/evaluations" not in row for row in rows[:5])
    assert all(row["method/evaluations"] >= 1 for row in rows[5:])
    losses = [row["loss/total"] for row in rows]
    assert losses[7] < losses[6] < losses[5], "on the same points a line search goes down"


class Stuck:
    """A method that can do nothing from some step on."""

    searches = False

    def __init__(self, objective: Objective, after: int) -> None:
        self._objective, self._left, self.stopped = objective, after, ""

    def evaluate(self, batch: Batch) -> Tensor:
        return self._objective.gradients(batch)

    def update(self, batch: Batch) -> None:
        self._left -= 1
        self.stopped = "the end of a rope" if self._left < 0 else ""

    def shrink(self, factor: float) -> None: ...

    def logged(self) -> dict[str, float]:
        return {"lr": 0.0}

    def state_dict(self) -> dict[str, Any]:
        return {"left": self._left, "stopped": self.stopped}

    def load_state_dict(self, state: Any) -> None:
        self._left, self.stopped = state["left"], state["stopped"]


def test_a_method_that_can_do_no_more_ends_its_phase(make_problem: MakeProblem) -> None:
    phases = [Phase(lambda objective, steps: Stuck(objective, 2)), Phase(first_order("adam"), name="adam", first=9)]
    trainer = build(make_problem(), phases, hooks=[seen := Seen()])
    trainer.run()
    assert seen.notes == ["adam from step 4 on: the end of a rope"]
    assert trainer.step == 14


def test_the_training_ends_where_the_last_method_can_do_no_more(make_problem: MakeProblem) -> None:
    def trainer() -> Trainer:
        return build(make_problem(), [Phase(lambda objective, steps: Stuck(objective, 2))], log_every=100)

    stopped = trainer()
    stopped.hooks.append(seen := Seen())
    stopped.run()
    assert stopped.step == 3
    assert [logged.step for logged in seen.logged] == [1, 3], "the last step is logged"
    assert seen.notes == ["the training ended after step 3 of 14: the end of a rope"]
    resumed = trainer()
    resumed.load_state_dict(stopped.state_dict())
    resumed.run()
    assert resumed.step == 3
    assert resumed.clock.notes == seen.notes


def test_a_method_that_is_stuck_gets_other_points_first(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the fourth step on its points it gets new ones; stopped at the first step on those it has ended."""
    problem, drawn = make_problem(), []
    batch = problem.batch
    monkeypatch.setattr(problem, "batch", lambda step, share: drawn.append(step) or batch(step, share))
    trainer = build(problem, [Phase(lambda objective, steps: Stuck(objective, 3), points_for=1000)])
    trainer.run()
    assert drawn == [0, 4]
    assert trainer.step == 5


def losses_of(trend: Trend, losses: list[float]) -> list[int]:
    """The steps at which the loss has stopped falling."""
    found = []
    for step, loss in enumerate(losses):
        trend.add(step, loss)
        if trend.stalled:
            found.append(step)
    return found


def test_when_a_loss_has_stopped_falling() -> None:
    falling = [0.99**k for k in range(60)]
    assert losses_of(Trend(10), falling) == []
    flat = [*falling[:30], *[falling[29]] * 30]
    assert losses_of(Trend(10), flat)[0] in range(35, 50), "about patience after the fall has ended"
    noise = torch.rand(60, generator=torch.Generator().manual_seed(0)).add(0.5).tolist()
    # A fall of 7 % a step in noise of 50 %.
    assert losses_of(Trend(10), [a * b for a, b in zip(noise, [0.93**k for k in range(60)], strict=True)]) == []
    assert losses_of(Trend(None), [1.0] * 60) == []


def test_a_loss_that_does_not_fall_begins_the_next_phase(make_problem: MakeProblem) -> None:
    def second_phase_from(lr: float, patience: int | None) -> tuple[int, list[str]]:
        phases = [Phase(first_order("adam", lr)), Phase(first_order("soap"), name="soap", first=40, patience=patience)]
        trainer = build(make_problem(collocation=64), phases, steps=42, hooks=[seen := Seen()])
        while not trainer.phases.number:
            trainer.train_step()
            trainer._log()
        return trainer.step - 1, seen.notes

    assert second_phase_from(1e-12, 10) == (21, ["soap from step 22 on: the loss did not fall in 10 steps"])
    assert second_phase_from(1e-12, None) == (40, ["soap from step 41 on"])
    assert second_phase_from(1e-2, 10) == (40, ["soap from step 41 on"])


@pytest.mark.parametrize("starts", [[], [1], [0, 4, 4], [0, 4, 2]])
def test_phases_out_of_order_are_refused(make_problem: MakeProblem, starts: list[int]) -> None:
    phases = [Phase(first_order("adam"), first=start) for start in starts]
    with pytest.raises(PinnxError, match=r"^train\.phases: expected the first at step 0 and each later than the last"):
        build(make_problem(), phases)


@pytest.mark.parametrize("start", [20, 300])
def test_a_phase_behind_the_last_step_is_refused(make_problem: MakeProblem, start: int) -> None:
    """It would never begin, and the cosine before it would not have come down."""
    phases = [Phase(first_order("adam")), Phase(first_order("adam"), first=start)]
    message = rf"^train\.phases: expected each to begin before the end, step 20, got \[0, {start}\]$"
    with pytest.raises(PinnxError, match=message):
        build(make_problem(), phases, steps=20)
    build(make_problem(), phases, steps=start + 1)


def test_what_is_no_phase_and_no_method_is_refused(make_problem: MakeProblem) -> None:
    with pytest.raises(PinnxError, match=r"^phases: expected a Phase for each, got function$"):
        build(make_problem(), [first_order("adam")])
    for phase, message in (
        (Phase(quasi_newton("lbfgs")), "train.optimizer lbfgs: expected a phase in float64, got torch.float32"),
        (Phase(quasi_newton("bfgs")), "train.optimizer: expected lbfgs or ssbroyden, got 'bfgs'"),
    ):
        with pytest.raises(PinnxError, match=f"^{message}$"):
            build(make_problem(), [phase])
    bare = Phase(lambda objective, steps: make_optimizer("adam", objective.parameters, lr=1e-3))
    with pytest.raises(PinnxError, match=r"^phase 1: expected a method from make, such as FirstOrder, got Adam$"):
        build(make_problem(), [bare])


@pytest.mark.parametrize("warm_up", [0, 2])
def test_more_steps_are_a_further_phase(make_problem: MakeProblem, warm_up: int) -> None:
    """With the state of a shorter one a cosine had its length, and rose again behind its end."""

    def make(objective: Objective, steps: int) -> FirstOrder:
        optimizer = make_optimizer("adam", objective.parameters, lr=1e-2)
        return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, 1e-4, warm_up=warm_up))

    first, longer, further = (
        build(make_problem(), phases, steps=steps)
        for phases, steps in (([Phase(make)], 6), ([Phase(make)], 12), ([Phase(make), Phase(make, first=6)], 12))
    )
    first.run()
    over = rf"schedule over \[{12 - warm_up}\] steps, got one over \[{6 - warm_up}\]; add a phase for more steps$"
    with pytest.raises(PinnxError, match=over):
        longer.load_state_dict(first.state_dict())
    further.load_state_dict(first.state_dict())
    further.run()
    assert further.step == 12
    assert further.method.logged()["lr"] < 2e-3, "down from 1e-2 once more"


def test_a_state_of_other_phases_is_refused(make_problem: MakeProblem) -> None:
    trainer = build(make_problem(), FOUR)
    trainer.run()
    with pytest.raises(PinnxError, match="got another phases: phase: expected one of 1, got number 4"):
        build(make_problem(), FOUR[:1]).load_state_dict(trainer.state_dict())
    for k in (2, 3):
        state = trainer.state_dict()
        state["phases"]["number"] = k
        state["phases"]["method"] = build(make_problem(sides=()), FOUR).phases.state_dict()["method"]
        with pytest.raises(PinnxError, match=r"^checkpoint: expected one of this configuration, got another phases"):
            build(make_problem(), FOUR).load_state_dict(state)
