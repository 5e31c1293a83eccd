"""Faults in a run that has learned its flow: each crosses its line and is undone; what comes close to it is not.

All continue from one state, 400 steps of a small network on an exact flow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinnx.config import Config, load_config
from pinnx.evals import Kovasznay, check
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows import flow_run
from pinnx.jobs.flows.flow_problem import FlowProblem, flow_problem
from pinnx.jobs.judging import run_guard as guards
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.runs.machine import memory_now
from pinnx.train import Hook, NonFiniteLossError, PhysicsLostError, Trainer
from pinnx.train import trainer as trainers
from pinnx.train.checkpoint import load_checkpoint
from pinnx.train.stateful import copy_of

LEARNED, EVERY = 400, 20
RATE = 10.0 - np.sqrt(100.0 + 4 * np.pi**2)  # of the flow behind the bodies, nu = 0.05
SETTINGS = (
    *("sensors.count=2", "sensors.method=random", "train.collocation_points=64", "train.boundary_points=16"),
    *("model.width=16", "model.layers=2", "model.frequencies=8", "model.corner_flow=false", "evals.points=256"),
    *("train.lr=5e-3", "train.final_lr=5e-3", f"train.checkpoint_every={EVERY}", f"train.steps={LEARNED + 2 * EVERY}"),
)


class Fault(Hook):
    """Does something five steps after the state that was learned, once, and keeps what the run says."""

    def __init__(self, do: Callable[[], object], undo: Callable[[], object] = lambda: None) -> None:
        self._do, self._undo, self._at = do, undo, LEARNED + 5
        self.notes: list[str] = []
        self.states: list[Mapping[str, Any]] = []

    def on_step(self, step: int) -> None:
        if step == self._at:
            self._at = -1
            self._do()

    def on_return(self, step: int) -> None:
        self._undo()

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_incident(self, incident: dict[str, Any], states: Mapping[str, Any]) -> None:
        self.states.append(states)


Build = Callable[..., tuple[Trainer, FlowProblem]]


def built(config: Config) -> tuple[Trainer, FlowProblem]:
    flow = flow_problem(config, load_case(config))
    return make_trainer(config, flow.problem, flow.weights, guards.flow_guard(flow)), flow


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Makes the trainer of a run as it was after LEARNED steps, with other settings where they are given."""
    path, flow = tmp_path_factory.mktemp("flow") / "kovasznay.npz", Kovasznay(nu=0.05)
    x, y = np.linspace(-0.5, 1.0, 13), np.linspace(-0.5, 0.5, 11)
    mesh = np.meshgrid(x, y, indexing="ij")
    u, v = np.moveaxis(flow.velocity(mesh[0], *mesh), -1, 0)
    np.savez(path, x=x, y=y, u=u, v=v, p=flow.pressure(mesh[0], *mesh), nu=flow.nu)
    wave = f"exp({RATE}*x)"
    sides = [
        {
            "where": {"side": side},
            "u": f"1 - {wave}*cos(2*pi*y)",
            "v": f"{RATE}/(2*pi)*{wave}*sin(2*pi*y)",
        }
        for side in ("left", "right", "top", "bottom")
    ]
    data = [("data.path", str(path)), ("data.arrays", {"p": "p", "nu": "nu"}), ("data.axes", ["x", "y"])]

    def trainer_of(*settings: str) -> tuple[Trainer, FlowProblem]:
        return built(load_config(None, [*data, ("boundaries", sides), *SETTINGS, *settings]))

    trainer, _ = trainer_of()
    trainer.steps = LEARNED
    trainer.run()
    assert trainer.guard.incidents == []
    state = copy_of(trainer.state_dict())

    def after(*settings: str) -> tuple[Trainer, FlowProblem]:
        made = trainer_of(*settings)
        made[0].load_state_dict(copy_of(state))
        return made

    return after


def crossed(trainer: Trainer) -> set[str]:
    """What the first incident of a run that has continued to its end is about; empty without one."""
    trainer.run()
    assert trainer.step == LEARNED + 2 * EVERY
    found = trainer.guard.incidents
    if not found:
        return set()
    assert [(item["step"], item["returned_to"]) for item in found] == [(LEARNED + EVERY, LEARNED)]
    assert (found[0]["done"], found[0]["helped"]) == ("steps of 0.5 of their size", True)
    return {item["name"] for item in found[0]["crossed"]}


def weights(trainer: Trainer) -> torch.Tensor:
    """Those of the second layer."""
    return [item.detach() for item in trainer.problem.model.parameters() if item.dim() == 2][1]


def test_numbers_that_are_none(learned: Build) -> None:
    """A weight becomes NaN behind the last step before a check; steps with one are taken again anyway."""
    trainer, _ = learned()
    fault = Fault(lambda: None)
    fault._at, fault._do = LEARNED + EVERY, lambda: weights(trainer).fill_(float("nan"))
    trainer.hooks.append(fault)
    assert {"pde_residual_l2", "boundary_error_max", "sensor_misfit"} <= crossed(trainer)
    assert sorted(fault.states[0]) == ["bad", "good"]
    broken = fault.states[0]["bad"]["model"].values()
    assert sum(int(torch.isnan(item).sum()) for item in broken) == weights(trainer).numel()

    trainer, _ = learned()
    trainer.hooks.append(Fault(lambda: weights(trainer).mul_(1.001)))
    assert crossed(trainer) == set()


def test_a_loss_that_is_not_finite_between_two_checks_is_an_incident_too(learned: Build) -> None:
    trainer, _ = learned()
    trainer.hooks.append(fault := Fault(lambda: weights(trainer).fill_(float("nan"))))
    trainer.run()
    (found,) = trainer.guard.incidents
    assert (found["number"], found["step"], found["returned_to"]) == (1, LEARNED + 5, LEARNED)
    assert [item["name"] for item in found["crossed"]] == ["loss or gradient"]
    assert found["loss"]["continuity"] is None, "not a number"
    assert (found["done"], found["helped"]) == ("steps of 0.5 of their size", True)
    assert [len(states) for states in fault.states] == [2, 0], "as it was found, and whether it helped"
    broken = fault.states[0]["bad"]["model"].values()
    assert sum(int(torch.isnan(item).sum()) for item in broken) == weights(trainer).numel()
    assert all(torch.isfinite(item).all() for item in fault.states[0]["good"]["model"].values())

    trainer, _ = learned("train.retries=2")
    trainer.hooks.append(fault := Fault(lambda: None))
    fault.on_step = lambda step: weights(trainer).fill_(float("nan")) if step >= LEARNED + EVERY + 5 else None
    with pytest.raises(NonFiniteLossError):
        trainer.run()
    assert [item["number"] for item in trainer.guard.incidents] == [1, 2, 3]
    assert [item["helped"] for item in trainer.guard.incidents] == [False, False, None], "all was well before it"
    assert trainer.guard.incidents[-1]["done"] == "stopped"


@pytest.mark.parametrize(("factor", "lines"), [(2.0, {"pde_residual_l2", "viscosity_misfit"}), (1.05, set())])
def test_a_viscosity(learned: Build, factor: float, lines: set[str]) -> None:
    trainer, flow = learned()
    viscosity = flow.equations.numbers()["nu"].tensor
    trainer.hooks.append(Fault(lambda: viscosity.mul_(factor)))
    assert lines <= crossed(trainer)
    assert bool(trainer.guard.incidents) == bool(lines)


@pytest.mark.parametrize(("share", "lines"), [(0.0, {"dropped_terms"}), (0.5, set())])
def test_a_term_of_the_loss(learned: Build, share: float, lines: set[str]) -> None:
    trainer, _ = learned()
    column = trainer.problem.names.index("boundary")
    trainer.hooks.append(Fault(lambda: trainer.weights.values[column].mul_(share)))
    found = crossed(trainer)
    assert lines <= found
    assert bool(found) == bool(lines)
    assert bool(trainer.weights.values[column] > 0)


@pytest.mark.parametrize("overflows", [True, False])
def test_an_overflow_of_float16(learned: Build, overflows: bool) -> None:
    """A weight beyond 65504: products in float16 are left at that step, and the physics comes back at the check."""
    trainer, _ = learned("train.precision=[[0, float16]]")

    trainer.hooks.append(fault := Fault(lambda: weights(trainer)[0, 0].add_(1e6 if overflows else 1e-3)))
    lines = crossed(trainer)
    left = [note for note in fault.notes if "float32 in place of float16: a loss or a gradient is not finite" in note]
    assert (bool(left), bool(lines)) == (overflows, overflows)


@pytest.mark.parametrize(("share", "lines"), [(1.6, {"memory"}), (0.6, set())])
def test_memory(learned: Build, share: float, lines: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of 0.1 GiB: what the tests hold besides does not count."""
    trainer, _ = learned()
    others = memory_now()["memory_gib"] - 0.1
    monkeypatch.setattr(guards, "memory_now", lambda: {"memory_gib": memory_now()["memory_gib"] - others})
    trainer.guard._checks()
    held: list[np.ndarray] = []

    def take() -> None:
        held.append(np.ones(int(share * 0.1 * 2**27)))  # 8 bytes each, all touched

    trainer.hooks.append(Fault(take, held.clear))
    assert crossed(trainer) == lines


@pytest.mark.parametrize(("slower", "says"), [(1.5, True), (1.2, False)])
def test_a_slow_step(learned: Build, slower: float, says: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of its own, as that of the machine has noise."""
    trainer, _ = learned()
    trainer.steps += EVERY
    trainer.clock.train_s = LEARNED * 1e-3
    clock = {"now": 0.0, "step": 1e-3}

    def tick() -> float:
        clock["now"] += clock["step"]
        return clock["now"]

    monkeypatch.setattr(trainers.time, "perf_counter", tick)
    fault = Fault(lambda: clock.update(step=slower * 1e-3))
    fault._at = LEARNED + EVERY
    trainer.hooks.append(fault)
    trainer.run()
    assert trainer.guard.incidents == []
    assert any("steps/s since step" in note for note in fault.notes) == says


def test_the_baseline_of_this_machine_is_what_is_usual(
    learned: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pinnx.jobs.judging.recorded_baseline import Baseline
    from pinnx.jobs.outputs import versions

    usual = {"steps_per_s": [1e9, 2e9, 3e9], "peak_memory_gib": [1e-3]}
    here = dict(versions(torch.device("cpu")))
    monkeypatch.setattr("pinnx.jobs.judging.recorded_baseline.require_acknowledged", lambda *given: [])
    for device, lines in ((here, {"memory"}), (here | {"torch": "0"}, set())):
        path = tmp_path / f"{len(lines)}.json"
        Baseline({}, usual, {}, {}, 3, device).write(path)
        trainer, _ = learned(f"evals.baseline={path}")
        names = {item["name"] for item in trainer.guard._crossed(trainer.weights)}
        assert names == lines
        assert trainer.guard._speed == (2e9 if lines else None)


def test_it_costs_less_than_three_per_cent() -> None:
    """CPU time of a check, of a copy of the state too, by that of the steps between two checks of the demo."""
    config = load_config("demo")
    trainer, _ = built(config)

    def seconds(of: Callable[[], object], times: int) -> float:
        of()
        begun = time.process_time()
        for _ in range(times):
            of()
        return (time.process_time() - begun) / times

    step = seconds(trainer.train_step, 10)
    judged = seconds(lambda: trainer.guard.holds(trainer), 3)
    assert trainer.guard.incidents == []
    assert judged < 0.03 * step * config.train.checkpoint_every


def test_each_incident_is_a_file_and_the_last_one_an_end(
    tiny: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([1.0, 1.0, 50.0, 50.0, 50.0])
    monkeypatch.setattr(guards, "checks_at_points", lambda *_: [check("pde_residual_l2", next(given))])
    monkeypatch.setattr(flow_run, "watched_physics", lambda flow: list)
    config = tiny("unsteady_grid", "train.steps=8", "train.checkpoint_every=2", "train.guard.returns=2")
    with pytest.raises(PhysicsLostError, match=r"step 6: the physics is lost .* after 2 returns to step 4; see the"):
        reconstruct(config, tmp_path / "run")
    folder = tmp_path / "run" / "incidents"
    names = [f"0{number}-step-00000006" for number in (1, 2, 3)]
    endings = ("-bad.safetensors", "-good.safetensors", ".json")
    assert sorted(path.name for path in folder.iterdir()) == [name + end for name in names for end in endings]
    files = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    assert [(item["done"].rpartition(" ")[2], item["helped"]) for item in files] == [
        ("size", False),
        ("float64", False),
        ("stopped", None),
    ]
    for item in files:
        assert item["crossed"] == [{"name": "pde_residual_l2", "value": 50.0, "before": 1.0, "red_line": 0.01}]
        assert {"step", "returned_to", "loss", "precision"} <= set(item)
        assert {"phase", "dtype", "products", "method", "weights", "strategies"} == set(item["options"])
        assert {"momentum_x", "continuity", "data"} <= set(item["loss"])
    good, bad = (load_checkpoint(folder / f"{names[1]}-{word}.safetensors") for word in ("good", "bad"))
    assert (good["clock"]["step"], bad["clock"]["step"]) == (4, 6)


def test_how_much_worse_counts_as_lost(
    tiny: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    """A value 50 times the last good one."""
    monkeypatch.setattr(flow_run, "watched_physics", lambda flow: list)
    for worse, lost in ((49, True), (51, False)):
        given = iter([1.0, 1.0, 50.0, 1.0])
        monkeypatch.setattr(guards, "checks_at_points", lambda *_, given=given: [check("pde_residual_l2", next(given))])
        config = tiny("unsteady_grid", "train.steps=6", "train.checkpoint_every=2", f"train.guard.worse={worse}")
        reconstruct(config, tmp_path / f"{worse}")
        assert (tmp_path / f"{worse}" / "incidents").exists() == lost
