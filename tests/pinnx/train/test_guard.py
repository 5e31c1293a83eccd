"""The guard: each fault is seen and undone, what comes close raises no alarm, and what does not help is an end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.evals import Check, check, measure, verify
from pinnx.losses.balancing import ReLoBRaLo
from pinnx.losses.weighting import LossWeights
from pinnx.train import GaussNewton, Guard, Hook, Phase, PhysicsLostError, Trainer
from pinnx.train.stateful import copy_of

Build = Callable[..., Trainer]


class Fault(Hook):
    """Does something after a step, once or each time, and keeps what it is called with."""

    def __init__(self, at: int, do: Callable[[], None], *, once: bool = True) -> None:
        self._at, self._do, self._once = at, do, once
        self.incidents: list[tuple[dict[str, Any], list[str]]] = []
        self.notes: list[str] = []

    def on_step(self, step: int) -> None:
        if step == self._at:
            self._do()
            self._at = -1 if self._once else self._at

    def on_incident(self, incident: dict[str, Any], states: Mapping[str, dict[str, Any]]) -> None:
        self.incidents.append((dict(incident), sorted(states)))

    def on_note(self, text: str) -> None:
        self.notes.append(text)


def judged(*values: float, gate: str = "pde_residual_l2") -> Guard:
    """A guard that is given these values, one after the other; the last from then on."""
    given = itertools.chain(values, itertools.repeat(values[-1]))
    return Guard(lambda: [check(gate, next(given))])


def physical(trainer_of: Callable[[], Trainer]) -> Guard:
    """A guard with the true checks of a problem."""

    def checks() -> list[Check]:
        problem = trainer_of().problem
        bounds = {"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}
        return verify(measure(problem.model, problem.terms, bounds, num_points=50, seed=0))

    return Guard(checks)


def test_twenty_healthy_runs_raise_no_alarm(make_trainer: Build, make_problem: Callable[..., Any]) -> None:
    for seed in range(20):
        made: list[Trainer] = []
        problem = make_problem(seed=seed)
        guard = physical(lambda made=made: made[0])
        made.append(make_trainer(problem=problem, steps=20, lr=1e-2, checkpoint_every=4, guard=guard))
        made[0].run()
        assert guard.incidents == []


def scaled(trainer: Trainer, factor: float) -> None:
    with torch.no_grad():
        trainer.problem.model.get_parameter("weight_2").mul_(factor)


def test_what_was_destroyed_comes_back(make_trainer: Build) -> None:
    made: list[Trainer] = []
    fault = Fault(13, lambda: scaled(made[0], 30.0))
    guard = physical(lambda: made[0])
    made.append(make_trainer(steps=20, checkpoint_every=5, guard=guard, hooks=[fault]))
    made[0].run()
    (opened, with_states), (closed, without) = fault.incidents
    assert (opened["step"], opened["returned_to"], opened["helped"]) == (15, 10, None)
    assert with_states == ["bad", "good"]
    assert {"pde_residual_l2", "sensor_misfit"} & {item["name"] for item in opened["crossed"]}
    assert opened["done"] == "steps of 0.5 of their size"
    assert (closed["helped"], without) == (True, [])
    assert "beyond the red line; again from step 10" in "".join(fault.notes)
    assert made[0].step == 20

    calm = Fault(13, lambda: scaled(made[0], 1.02))  # comes close, and is none
    made[0] = make_trainer(steps=20, checkpoint_every=5, guard=physical(lambda: made[0]), hooks=[calm])
    made[0].run()
    assert calm.incidents == []


def test_the_state_returned_to_is_that_of_the_last_good_checkpoint(make_trainer: Build) -> None:
    kept: dict[int, list[torch.Tensor]] = {}

    class Keep(Hook):
        def on_checkpoint(self, state: dict[str, Any]) -> None:
            kept[state["clock"]["step"]] = [value.clone() for value in state["model"].values()]

        def on_return(self, step: int) -> None:
            now = [value.clone() for value in trainer.problem.model.state_dict().values()]
            assert all(torch.equal(a, b) for a, b in zip(now, kept[step], strict=True))
            kept[-1] = now

    trainer = make_trainer(steps=8, checkpoint_every=2, guard=judged(1.0, 1.0, 1.0, 50.0, 1.0), hooks=[Keep()])
    trainer.run()
    assert -1 in kept


@pytest.mark.parametrize(
    ("values", "alarms"),
    [
        ((1.0, 1.0, 2.9, 8.0), 0),  # less than three times each
        ((1.0, 1.0, 3.1, 1.0), 1),
        ((1.0, 1e-3, 2.9, 1.0), 0),  # small by chance
        ((1e-4, 1e-4, 9e-3, 9e-3), 0),  # 90 times, within the red line
        ((5e-3, 5e-3, 1.6e-2, 1e-3), 1),
        ((1.0, math.nan, 1.0, 1.0), 1),
        ((1.0, 1.0, math.inf, 1.0), 1),
        ((1.0, 50.0, 50.0, 50.0), 0),  # of one value before none knows how it wavers
    ],
)
def test_the_line(make_trainer: Build, values: tuple[float, ...], alarms: int) -> None:
    trainer = make_trainer(steps=8, checkpoint_every=2, guard=judged(*values))
    trainer.run()
    assert len(trainer.guard.incidents) == alarms
    assert trainer.step == 8


def test_a_viscosity_tells_once_it_is_near(make_trainer: Build) -> None:
    for before, alarms in ((0.3, 0), (0.2, 1)):
        trainer = make_trainer(
            steps=6, checkpoint_every=2, guard=judged(before, before, 1.0, before, gate="viscosity_misfit")
        )
        trainer.run()
        assert len(trainer.guard.incidents) == alarms


def test_what_could_not_be_checked_is_no_loss(make_trainer: Build) -> None:
    """Between rotating cylinders no viscosity can be told; the same value as a failure is one."""
    for status, alarms in (("not checked", 0), ("failed", 1)):
        first, item = check("viscosity_misfit", 0.1), replace(check("viscosity_misfit", math.nan), status=status)
        seen = iter([first, first, item, first, first, first])
        trainer = make_trainer(steps=6, checkpoint_every=2, guard=Guard(lambda seen=seen: [next(seen)]))
        trainer.run()
        assert len(trainer.guard.incidents) == alarms


def test_memory_has_a_line_of_its_own(make_trainer: Build) -> None:
    """Twice that of the start is too much, whatever it was before."""
    trainer = make_trainer(steps=8, checkpoint_every=2, guard=judged(1.0, 1.9, 2.1, 1.0, gate="memory"))
    trainer.run()
    assert [item["crossed"][0]["value"] for item in trainer.guard.incidents] == [2.1]
    leaks = make_trainer(steps=8, checkpoint_every=2, guard=judged(1.0, 1.9, 2.1, gate="memory"))
    with pytest.raises(
        PhysicsLostError, match=r"step 6: memory grew \(memory 2.1 after 1.9\) .* try fewer points a step"
    ):
        leaks.run()


@pytest.mark.parametrize(("last", "alarms"), [(5.9, 0), (6.3, 1)])
def test_a_later_phase_has_the_memory_of_its_own_method(make_trainer: Build, last: float, alarms: int) -> None:
    """The matrix of Gauss-Newton is no leak; twice that with it is."""
    one = make_trainer()
    phases = [Phase(lambda goal, steps: GaussNewton(goal), first=first, dtype=torch.float64) for first in (0, 4)]
    for speed, lost in ((None, alarms), (1e-9, 1)):  # with a baseline its memory is what counts
        given = itertools.chain([1.0, 1.0, 3.0, last], itertools.repeat(1.0))
        guard = Guard(lambda given=given: [check("memory", next(given))], speed=speed)
        weights = dict.fromkeys(one.problem.names, 1.0)
        trainer = Trainer(one.problem, phases, weights=weights, steps=8, checkpoint_every=2, guard=guard)
        trainer.run()
        assert bool(trainer.guard.incidents) == bool(lost)
        assert all(item["crossed"][0]["value"] > 2.0 for item in trainer.guard.incidents)


def test_returns_go_from_smaller_steps_to_ieee_products_to_configured_weights(make_trainer: Build) -> None:
    def trainer_of(**changes: Any) -> Trainer:
        return make_trainer(steps=8, checkpoint_every=2, guard=judged(1.0, 1.0, 50.0), **changes)

    trainer = trainer_of(hooks=[hook := Fault(-1, lambda: None)])
    with pytest.raises(PhysicsLostError, match=r"step 6: the physics is lost \(pde_residual_l2 50 after 1\) after 3"):
        trainer.run()
    assert trainer.step == 4, "the state is the good one"
    done = [item["done"] for item in trainer.guard.incidents]
    sizes = [f"steps of {factor} of their size" for factor in (0.5, 0.5, 0.25)]
    assert done == [sizes[0], f"{sizes[1]}, float64", f"{sizes[2]}, float64", "stopped"]
    assert [item["helped"] for item in trainer.guard.incidents] == [False] * 3 + [None]
    assert len(hook.incidents) == 7
    assert [item["options"]["dtype"] for item in trainer.guard.incidents] == [
        "float32",
        "float32",
        "float64",
        "float64",
    ]

    problem = trainer_of().problem
    weights = LossWeights(dict.fromkeys(problem.names, 1.0), problem.names, problem.model.frequencies)
    weights.adapt_by(ReLoBRaLo(weights.configured))
    other = trainer_of(problem=problem, weights=weights, precision={0: "bfloat16"})
    with pytest.raises(PhysicsLostError):
        other.run()
    assert [item["done"] for item in other.guard.incidents] == [
        "steps of 0.5 of their size",
        "steps of 0.5 of their size, IEEE products",
        "steps of 0.5 of their size, IEEE products, configured weights",
        "stopped",
    ]
    before, *_, after = (item["options"] for item in other.guard.incidents)
    assert (before["products"], after["products"], before["strategies"]) == ("bfloat16", "ieee", ["ReLoBRaLo"])
    assert set(before["weights"]) == set(problem.names)


def test_after_a_return_a_training_resumes_to_the_bit(make_trainer: Build) -> None:
    class Keep(Hook):
        def __init__(self) -> None:
            self.states: list[dict[str, Any]] = []

        def on_checkpoint(self, state: dict[str, Any]) -> None:
            self.states.append(copy_of(state))

    values = (1.0, 1.0, 50.0, 1.0, 50.0, 1.0)
    whole = make_trainer(steps=10, checkpoint_every=2, guard=judged(*values), hooks=[kept := Keep()])
    whole.run()
    assert len(whole.guard.incidents) == 2
    state = next(item for item in kept.states if item["clock"]["step"] == 4)
    resumed = make_trainer(steps=10, checkpoint_every=2, guard=judged(*values[2:]))
    resumed.load_state_dict(state)
    resumed.run()
    pairs = zip(whole.problem.parameters(), resumed.problem.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert [item["step"] for item in resumed.guard.incidents] == [item["step"] for item in whole.guard.incidents]


def test_a_training_that_has_become_slow_says_so(make_trainer: Build) -> None:
    class Slowed(Fault):
        def on_step(self, step: int) -> None:
            trainer.clock.train_s = {4: 1.0, 8: 2.0, 12: 3.3, 16: 4.7}.get(step, 0.0)  # slower twice

    slowed = Slowed(-1, lambda: None)
    trainer = make_trainer(steps=16, checkpoint_every=4, guard=judged(1.0), hooks=[slowed])
    trainer.run()
    assert [note for note in slowed.notes if "steps/s" in note] == [
        "step 16: 2.86 steps/s since step 12, below 0.8 of 4"
    ]


def test_a_later_phase_has_the_speed_of_its_own_method(make_trainer: Build) -> None:
    """Ten times slower from step 4 on is Gauss-Newton; twice that is slow."""
    one = make_trainer()
    phases = [Phase(lambda goal, steps: GaussNewton(goal), first=first, dtype=torch.float64) for first in (0, 4)]

    class Slowed(Fault):
        def on_step(self, step: int) -> None:
            trainer.clock.train_s = {2: 1, 4: 2, 6: 12, 8: 22, 10: 32, 12: 52, 14: 72}.get(step, trainer.train_s)

    slowed, weights = Slowed(-1, lambda: None), dict.fromkeys(one.problem.names, 1.0)
    given = {"weights": weights, "steps": 14, "checkpoint_every": 2, "guard": judged(1.0), "hooks": [slowed]}
    trainer = Trainer(one.problem, phases, **given)
    trainer.run()
    (note,) = [note for note in slowed.notes if "steps/s" in note]
    assert note.startswith("step 14: 0.1")


@pytest.mark.parametrize(("worse", "returns"), [(1.0, 3), (math.nan, 3), (3.0, -1)])
def test_bad_settings(worse: float, returns: int) -> None:
    with pytest.raises(PinnxError, match="guard: expected worse > 1 and returns >= 0"):
        Guard(lambda: [], worse=worse, returns=returns)
